//! Where settings come from: built-in defaults < config.toml < KEYMILL_* environment < flags, resolved once.

use std::fs::File;
use std::io::{Error, Read};
use std::path::{Path, PathBuf};

use keymill::Scheme;
use keymill::plan::{Level, MemoryRequest};

/// The prefix of environment variables that are settings.
const ENVIRONMENT_PREFIX: &str = "KEYMILL_";
/// Names the file itself, so it cannot stand in the file.
const CONFIG_VARIABLE: &str = "KEYMILL_CONFIG";

/// All settings, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub scheme: &'static Scheme,
    pub epochs: u64,
    pub trim: Level,
    pub threads: usize,
    pub group_batches: usize,
    pub memory: MemoryRequest,
    pub progress: ProgressStyle,
    pub log: tracing::Level,
    /// -q was given: no flag of a command shows progress.
    pub quiet: bool,
}

/// How a job shows itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressStyle {
    Auto,
    Bar,
    Plain,
    Json,
    None,
}

/// A setting is wrong.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{place}: '{value}' is wrong: {wanted}")]
    Value {
        place: String,
        value: String,
        wanted: String,
    },
    #[error("{place}: unknown setting '{name}'{}", suggestion(.nearest))]
    Unknown {
        place: String,
        name: String,
        nearest: Option<&'static str>,
    },
    #[error("'{}' cannot be read: {source}", .path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("'{}' is not TOML: {message}", .path.display())]
    NotToml { path: PathBuf, message: String },
}

fn suggestion(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(
        || format!("; there are: {}", names().collect::<Vec<_>>().join(", ")),
        |name| format!(", did you mean '{name}'?"),
    )
}

/// A setting: its name in the file, and how its text becomes part of the settings.
type Apply = fn(&mut Settings, &str) -> Result<(), String>;

/// The one table of settings, each with what it is. All but group_batches and log have a flag of the same name, which
/// overrides them; the flags for log are -v and -q.
const SETTINGS: [(&str, &str, Apply); 8] = [
    ("scheme", "scheme of a new key", |s, text| {
        set(&mut s.scheme, parse_scheme(text))
    }),
    ("epochs", "epochs of a new key, as 1000 or 2^18", |s, text| {
        set(&mut s.epochs, parse_count(text))
    }),
    ("trim", "lowest level that a new key stores, 0 to 10", |s, text| {
        set(&mut s.trim, parse_level(text))
    }),
    ("threads", "worker threads; 0 is one a core", |s, text| {
        set(&mut s.threads, parse_threads(text))
    }),
    (
        "group_batches",
        "batches that are committed as one, 1 to 4096",
        |s, text| set(&mut s.group_batches, parse_group(text)),
    ),
    (
        "memory",
        "most memory, as 64M or 1G; auto, or 0 for no limit",
        |s, text| set(&mut s.memory, parse_memory(text)),
    ),
    ("progress", "auto, bar, plain, json or none", |s, text| {
        set(&mut s.progress, parse_progress(text))
    }),
    (
        "log",
        "what is said on standard error: error, warn, info, debug or trace",
        |s, text| set(&mut s.log, parse_log_level(text)),
    ),
];

/// Variables that others have agreed on, and that hold here too.
const COMMON_VARIABLES: [(&str, &str); 3] = [
    ("NO_COLOR", "if it is set and not empty, nothing is coloured"),
    (
        "CLICOLOR_FORCE",
        "if it is set and not 0, output is coloured also where it is no terminal",
    ),
    (
        "TERM",
        "if it is dumb, there are no colours, and progress is plain lines instead of a bar",
    ),
];

/// Every variable of the environment that means something, with what it means.
pub fn variables() -> Vec<(String, &'static str)> {
    let settings = SETTINGS.iter().map(|&(name, about, _)| (variable_of(name), about));
    let file = (
        CONFIG_VARIABLE.to_owned(),
        "the settings file, where --config does not name one",
    );
    let common = COMMON_VARIABLES.map(|(name, about)| (name.to_owned(), about));
    settings.chain([file]).chain(common).collect()
}

fn variable_of(setting: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}{}", setting.to_ascii_uppercase())
}

fn set<T>(setting: &mut T, parsed: Result<T, String>) -> Result<(), String> {
    *setting = parsed?;
    Ok(())
}

fn names() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|(name, ..)| *name)
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // The table has it; the first one stands in for the compiler's sake.
            scheme: Scheme::by_id("leansig-p1-l32-abort-v46-w8").unwrap_or(&Scheme::all()[0]),
            epochs: 1 << 18,
            trim: Level(0),
            threads: 0,
            group_batches: 8,
            memory: MemoryRequest::Auto,
            progress: ProgressStyle::Auto,
            log: tracing::Level::WARN,
            quiet: false,
        }
    }
}

impl Settings {
    /// How a job may use the machine.
    #[cfg(feature = "keygen")]
    pub fn job_options(&self) -> keymill::JobOptions {
        keymill::JobOptions {
            threads: self.threads,
            group_batches: self.group_batches,
            memory: self.memory,
        }
    }

    /// Resolves everything but the flags: defaults, then the file, then the environment.
    pub fn load(
        config_flag: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let environment: Vec<_> = environment
            .into_iter()
            .filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX))
            .collect();
        let mut settings = Self::default();
        let variable = environment.iter().find(|(name, _)| name == CONFIG_VARIABLE);
        let named = config_flag.or(variable.map(|(_, path)| Path::new(path)));
        match named {
            Some(path) => settings.apply_file(path, &read(path)?)?,
            None => {
                if let Some(path) = user_file().filter(|path| path.exists()) {
                    settings.apply_file(&path, &read(&path)?)?;
                }
            }
        }
        settings.apply_environment(&environment)?;
        Ok(settings)
    }

    pub fn apply_file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let place = format!("'{}'", path.display());
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::NotToml {
            path: path.to_owned(),
            message: error.to_string(),
        })?;
        for (name, value) in &table {
            let text = match value {
                toml::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            self.apply(name, &text, &place, &format!("{place}, {name}"))?;
        }
        Ok(())
    }

    pub fn apply_environment(&mut self, environment: &[(String, String)]) -> Result<(), ConfigError> {
        for (variable, text) in environment {
            if variable == CONFIG_VARIABLE {
                continue;
            }
            let name = variable[ENVIRONMENT_PREFIX.len()..].to_ascii_lowercase();
            let place = format!("environment variable {variable}");
            self.apply(&name, text, &place, &place)?;
        }
        Ok(())
    }

    fn apply(&mut self, name: &str, text: &str, place: &str, place_of_value: &str) -> Result<(), ConfigError> {
        let setting = SETTINGS.iter().find(|(known, ..)| *known == name);
        let (.., apply) = setting.ok_or_else(|| ConfigError::Unknown {
            place: place.to_owned(),
            name: name.to_owned(),
            nearest: keymill::text::nearest(name, names()),
        })?;
        apply(self, text).map_err(|wanted| ConfigError::Value {
            place: place_of_value.to_owned(),
            value: text.to_owned(),
            wanted,
        })
    }
}

/// Many times what all settings take.
const SETTINGS_BYTES_MAX: u64 = 64 << 10;

fn read(path: &Path) -> Result<String, ConfigError> {
    let mut text = String::new();
    let file = File::open(path);
    let length = file.and_then(|file| file.take(SETTINGS_BYTES_MAX + 1).read_to_string(&mut text));
    let length = length.and_then(|length| match length as u64 > SETTINGS_BYTES_MAX {
        true => Err(Error::other(format!(
            "it has more than {SETTINGS_BYTES_MAX} bytes, as no settings file has"
        ))),
        false => Ok(length),
    });
    length.map(|_| text).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

fn user_file() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    let base = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    Some(base.or_else(home)?.join("keymill/config.toml"))
}

/// A scheme by identifier or upstream name. The error says what would be right.
pub fn parse_scheme(text: &str) -> Result<&'static Scheme, String> {
    Scheme::by_id(text).map_err(|error| {
        let hint = error.nearest.map(|n| format!(", did you mean '{n}'?"));
        let hint = hint.unwrap_or_default();
        format!("expected a scheme; 'keymill schemes' lists them all{hint}")
    })
}

/// A number of epochs: 1000 or 2^20.
pub fn parse_count(text: &str) -> Result<u64, String> {
    let number = match text.strip_prefix("2^") {
        Some(exponent) => {
            let exponent = exponent.parse::<u32>().ok();
            exponent.and_then(|exponent| 1u64.checked_shl(exponent))
        }
        None => text.parse().ok(),
    };
    number.ok_or_else(|| "expected a number like 1000 or 2^20".to_owned())
}

/// A number of bytes: 67108864, 64M, 1.5G is not one; K, M, G and T are powers of 1024.
fn parse_size(text: &str) -> Result<u64, String> {
    let trimmed = text.trim_end_matches("iB").trim_end_matches('B');
    let (digits, shift) = match trimmed.chars().last() {
        Some('K' | 'k') => (&trimmed[..trimmed.len() - 1], 10),
        Some('M' | 'm') => (&trimmed[..trimmed.len() - 1], 20),
        Some('G' | 'g') => (&trimmed[..trimmed.len() - 1], 30),
        Some('T' | 't') => (&trimmed[..trimmed.len() - 1], 40),
        _ => (trimmed, 0),
    };
    let number = digits.trim().parse::<u64>().ok();
    number
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| "expected a size like 67108864, 64M or 1G".to_owned())
}

/// A memory budget: auto, a size, or 0 for none.
pub fn parse_memory(text: &str) -> Result<MemoryRequest, String> {
    match text {
        "auto" => Ok(MemoryRequest::Auto),
        _ => match parse_size(text) {
            Ok(0) => Ok(MemoryRequest::NoLimit),
            Ok(bytes) => Ok(MemoryRequest::AtMost(bytes)),
            Err(wanted) => Err(format!("{wanted}, or auto")),
        },
    }
}

/// A number of threads.
pub fn parse_threads(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|&threads| threads <= 1024);
    number.ok_or_else(|| "expected a number of threads from 0 to 1024".to_owned())
}

fn parse_group(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|n| (1..=4096).contains(n));
    number.ok_or_else(|| "expected a number of batches from 1 to 4096".to_owned())
}

/// A level of the tree. Which of them a key can be trimmed to, its scheme decides.
pub fn parse_level(text: &str) -> Result<Level, String> {
    let number = text.parse().ok().map(Level);
    number.ok_or_else(|| "expected a level, a number from 0 to 10".to_owned())
}

/// What [`parse_progress`] reads.
pub const PROGRESS_STYLES: [&str; 5] = ["auto", "bar", "plain", "json", "none"];

/// A way to show progress.
pub fn parse_progress(text: &str) -> Result<ProgressStyle, String> {
    match text {
        "auto" => Ok(ProgressStyle::Auto),
        "bar" => Ok(ProgressStyle::Bar),
        "plain" => Ok(ProgressStyle::Plain),
        "json" => Ok(ProgressStyle::Json),
        "none" => Ok(ProgressStyle::None),
        _ => Err(format!("expected one of {}", PROGRESS_STYLES.join(", "))),
    }
}

fn parse_log_level(text: &str) -> Result<tracing::Level, String> {
    text.parse()
        .map_err(|_| "expected one of error, warn, info, debug, trace".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str, environment: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let mut settings = Settings::default();
        settings.apply_file(Path::new("some.toml"), file)?;
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        settings.apply_environment(&environment)?;
        Ok(settings)
    }

    #[test]
    fn the_shipped_file_holds_every_setting_at_its_default() {
        let shipped = include_str!("../config.toml");
        assert_eq!(load(shipped, &[]).unwrap(), Settings::default());
        let table: toml::Table = shipped.parse().unwrap();
        let mut listed: Vec<&str> = table.keys().map(String::as_str).collect();
        let mut known: Vec<&str> = names().collect();
        listed.sort_unstable();
        known.sort_unstable();
        assert_eq!(listed, known);
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let settings = load("threads = 3\ngroup_batches = 4", &[("KEYMILL_THREADS", "5")]).unwrap();
        assert_eq!((settings.threads, settings.group_batches), (5, 4));
    }

    #[test]
    fn an_unknown_setting_names_its_place_and_the_nearest_one() {
        let error = load("thread = 3", &[]).unwrap_err().to_string();
        assert_eq!(error, "'some.toml': unknown setting 'thread', did you mean 'threads'?");
        let error = load("", &[("KEYMILL_MEMROY", "1G")]).unwrap_err().to_string();
        assert!(
            error.contains("KEYMILL_MEMROY") && error.contains("'memory'"),
            "{error}"
        );
    }

    #[test]
    fn a_wrong_value_names_its_place_and_what_would_be_right() {
        let error = load("epochs = \"2^x\"", &[]).unwrap_err().to_string();
        assert_eq!(
            error,
            "'some.toml', epochs: '2^x' is wrong: expected a number like 1000 or 2^20"
        );
    }

    #[test]
    fn counts_and_sizes_read_as_documented_and_never_overflow() {
        assert_eq!(parse_count("2^32"), Ok(1 << 32));
        assert_eq!(parse_count("1000"), Ok(1000));
        for wrong in ["", "2^64", "2^-1", "-1", "1e3", "2^"] {
            assert!(parse_count(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_size("64M"), Ok(64 << 20));
        assert_eq!(parse_size("64MiB"), Ok(64 << 20));
        assert_eq!(parse_memory("64M"), Ok(MemoryRequest::AtMost(64 << 20)));
        assert_eq!(parse_memory("0"), Ok(MemoryRequest::NoLimit));
        assert_eq!(parse_memory("auto"), Ok(MemoryRequest::Auto));
        for wrong in ["", "M", "99999999999T", "1.5G"] {
            assert!(parse_size(wrong).is_err() && parse_memory(wrong).is_err(), "{wrong}");
        }
    }
}
