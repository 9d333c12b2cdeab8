//! What dhat wrote, summed by places in keymill's own source.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A place that has less of a phase than this share, in bytes of all and in bytes at the peak, is among the others.
const SHARE_SHOWN: u64 = 100;

/// A profile in dhat's file format, version 2: the fields that are of use here.
#[derive(Deserialize)]
struct Text {
    pps: Vec<Point>,
    ftbl: Vec<String>,
}

/// A call stack that allocated.
#[derive(Deserialize)]
struct Point {
    #[serde(rename = "tb")]
    bytes: u64,
    #[serde(rename = "tbk")]
    blocks: u64,
    #[serde(rename = "gb")]
    peak_bytes: u64,
    #[serde(rename = "gbk")]
    peak_blocks: u64,
    #[serde(rename = "eb")]
    end_bytes: u64,
    #[serde(rename = "ebk")]
    end_blocks: u64,
    /// Innermost first.
    #[serde(rename = "fs")]
    frames: Vec<usize>,
}

#[derive(Clone, Copy, Default)]
struct Sums {
    bytes: u64,
    blocks: u64,
    peak_bytes: u64,
    peak_blocks: u64,
    end_bytes: u64,
    end_blocks: u64,
}

/// Where allocations come from.
#[derive(Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Place {
    /// File and line.
    position: String,
    /// The function that the line belongs to.
    function: String,
    /// The function of a library that is called there.
    called: String,
}

/// The heap of one phase, by file and line and by what was called there, largest first.
pub struct Profile {
    places: Vec<(Place, Sums)>,
}

impl Profile {
    pub fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        let text: Text = serde_json::from_slice(text)?;
        let sources = sources();
        let mut places: HashMap<Place, Sums> = HashMap::new();
        for point in &text.pps {
            let frames: Vec<Frame> = point
                .frames
                .iter()
                .filter_map(|&frame| Frame::parse(text.ftbl.get(frame)?))
                .collect();
            places.entry(place(&frames, &sources)).or_default().add(&Sums {
                bytes: point.bytes,
                blocks: point.blocks,
                peak_bytes: point.peak_bytes,
                peak_blocks: point.peak_blocks,
                end_bytes: point.end_bytes,
                end_blocks: point.end_blocks,
            });
        }
        let mut places: Vec<_> = places.into_iter().collect();
        places.sort_by(|(a, a_sums), (b, b_sums)| (b_sums.bytes, a).cmp(&(a_sums.bytes, b)));
        Ok(Self { places })
    }

    pub fn table(&self, name: &str) -> String {
        let mut all = Sums::default();
        self.places.iter().for_each(|(_, sums)| all.add(sums));
        let mut table = format!(
            "**{name}**: {} bytes in {} blocks, {} at the peak, {} at the end\n\n\
             | where | in | calls | bytes | blocks | bytes at the peak | blocks | at the end |\n|---|---|---|---|---|---|---|---|\n",
            grouped(all.bytes),
            grouped(all.blocks),
            grouped(all.peak_bytes),
            grouped(all.end_bytes),
        );
        let (mut others, mut others_count) = (Sums::default(), 0);
        for (place, sums) in &self.places {
            let is_shown = |of: u64, all: u64| of > 0 && of * SHARE_SHOWN >= all;
            if is_shown(sums.bytes, all.bytes) || is_shown(sums.peak_bytes, all.peak_bytes) {
                let quoted = [&place.position, &place.function, &place.called].map(|text| format!("`{text}`"));
                sums.row(&mut table, &quoted.join(" | ").replace("``", ""));
            } else {
                others.add(sums);
                others_count += 1;
            }
        }
        if others_count > 0 {
            others.row(&mut table, &format!("{others_count} other places | | "));
        }
        table
    }
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.bytes += other.bytes;
        self.blocks += other.blocks;
        self.peak_bytes += other.peak_bytes;
        self.peak_blocks += other.peak_blocks;
        self.end_bytes += other.end_bytes;
        self.end_blocks += other.end_blocks;
    }

    fn row(&self, table: &mut String, place: &str) {
        let values = [
            self.bytes,
            self.blocks,
            self.peak_bytes,
            self.peak_blocks,
            self.end_bytes,
        ]
        .map(grouped);
        // Writing to a string does not fail.
        let _ = writeln!(table, "| {place} | {} |", values.join(" | "));
    }
}

/// A frame as dhat writes it: `0xADDRESS: function (path:line:column)`.
struct Frame {
    function: String,
    path: String,
    line: String,
}

impl Frame {
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.split_once(": ")?;
        let (function, place) = rest.rsplit_once(" (")?;
        let mut place = place.trim_end_matches(')').rsplitn(3, ':');
        let (_column, line, path) = (place.next()?, place.next()?, place.next()?);
        Some(Self {
            function: function.to_owned(),
            path: path.to_owned(),
            line: line.to_owned(),
        })
    }

    /// The file of keymill's own source that it stands in.
    fn own_source<'a>(&self, sources: &'a [Source]) -> Option<&'a str> {
        let found = sources.iter().find(|source| source.trimmed == self.path);
        found.map(|source| source.name.as_str())
    }

    /// Whether it stands in a package from the registry, whose folders end in a version; dhat itself aside.
    fn is_of_library(&self) -> bool {
        let folder = self.path.split('/').next().unwrap_or_default();
        let version = folder.rsplit_once('-').map_or("", |(_, version)| version);
        version.starts_with(|first: char| first.is_ascii_digit()) && !folder.starts_with("dhat-")
    }
}

/// The innermost place of our own, or else of a library, in a call stack, and what was called there.
fn place(frames: &[Frame], sources: &[Source]) -> Place {
    let mut frames_inward = frames.iter().enumerate();
    let own = frames_inward.find_map(|(depth, frame)| Some((depth, frame.own_source(sources)?)));
    match own {
        Some((depth, source)) => Place {
            position: format!("{source}:{}", frames[depth].line),
            function: short(&frames[depth].function),
            called: frames[..depth]
                .last()
                .map_or_else(String::new, |frame| short(&frame.function)),
        },
        // A thread that a library began for itself.
        None => {
            let library = frames.iter().find(|frame| frame.is_of_library());
            library.or(frames.last()).map_or_else(Place::default, |frame| Place {
                position: format!("{}:{}", frame.path, frame.line),
                function: short(&frame.function),
                called: String::new(),
            })
        }
    }
}

/// A function without the types that it is generic over, and without the trait that it belongs to.
fn short(function: &str) -> String {
    let mut short = String::new();
    let mut depth = 0_u32;
    let inner = match function.strip_prefix('<').and_then(|rest| rest.split_once(" as ")) {
        Some((of, rest)) => format!("{of}{}", rest.rfind(">::").map_or("", |end| &rest[end + 1..])),
        None => function.to_owned(),
    };
    // The arrow of a function's type is not a bracket.
    for character in inner.replace("->", "").chars() {
        match character {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ if depth == 0 => short.push(character),
            _ => {}
        }
    }
    short.trim_matches(':').replace("::::", "::")
}

/// A file of keymill's own.
struct Source {
    /// Its path from the repository's root.
    name: String,
    /// What dhat leaves of its path: the last three parts.
    trimmed: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut found, mut folders) = (Vec::new(), vec![root.join("src"), root.join("migrations")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(name) = path.strip_prefix(root) {
                // A module of the library that lies outside `src` is found from there.
                let compiled = if name.starts_with("src") {
                    path.clone()
                } else {
                    root.join("src/..").join(name)
                };
                let parts: Vec<_> = compiled.iter().collect();
                found.push(Source {
                    name: name.display().to_string(),
                    trimmed: PathBuf::from_iter(&parts[parts.len() - 3..]).display().to_string(),
                });
            }
        }
    }
    found
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
