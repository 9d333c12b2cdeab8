//! Reading what people type: hex, files that hold it, secrets.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use keymill::Epoch;
use keymill::support::{Foreign, without_mark};
use zeroize::Zeroizing;

use super::failure::Failure;
use super::messages::warn;

/// Hex digits without the 0x or 0X before them, if there is one.
fn without_base(text: &str) -> &str {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    digits.unwrap_or(text)
}

/// Hex digits, with or without 0x or 0X.
pub fn parse_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits = text.trim();
    let digits = without_base(digits);
    hex::decode(digits).map_err(|error| format!("not hex: {error}"))
}

/// A message: 32 bytes in hex.
pub fn parse_message(text: &str) -> Result<[u8; 32], String> {
    let bytes = parse_hex(text)?;
    let found = bytes.len();
    bytes
        .try_into()
        .map_err(|_| format!("{}, but a message is 32 bytes, 64 hex digits", counted(found)))
}

/// What an argument that is hex or the name of a file has given.
pub struct Given {
    pub bytes: Vec<u8>,
    /// What to say if something is wrong with the bytes.
    origin: Origin,
}

/// Where the bytes come from.
enum Origin {
    Hex,
    /// Although there is a file of that name.
    HexBesideFile,
    /// The file holds hex, or the bytes.
    File {
        is_hex: bool,
    },
}

impl Given {
    /// What is wrong with the bytes, with where they came from.
    pub fn wrong(&self, flag: &str, text: &str, what: impl std::fmt::Display) -> Failure {
        Failure::usage(format!("{flag}{}: {what}", self.place(text)))
    }

    /// Where the bytes came from, if that is more than the argument; to be put behind its name.
    fn place(&self, text: &str) -> String {
        let name = Foreign(text);
        match self.origin {
            Origin::Hex => String::new(),
            Origin::HexBesideFile => format!(
                " '{name}' was taken as hex digits, although there is a file of that name (which is './{name}')"
            ),
            Origin::File { is_hex: true } => format!(", the hex digits in the file '{name}'"),
            Origin::File { is_hex: false } => format!(", the bytes of the file '{name}'"),
        }
    }

    /// Says so if the bytes may have been meant to be those of a file. For an answer that is not an error.
    pub fn warn_if_doubtful(&self, flag: &str, text: &str) {
        if matches!(self.origin, Origin::HexBesideFile) {
            warn(format_args!("{flag}{}", self.place(text)));
        }
    }
}

/// An argument that is hex, or the name of a file that holds the bytes or their hex.
pub fn hex_or_file(flag: &str, text: &str, expected_bytes: usize) -> Result<Given, Failure> {
    let path = Path::new(text);
    let not_hex = match parse_hex(text) {
        Ok(bytes) => {
            let origin = match std::fs::symlink_metadata(path) {
                Ok(_) => Origin::HexBesideFile,
                Err(_) => Origin::Hex,
            };
            return Ok(Given { bytes, origin });
        }
        Err(message) => message,
    };
    match std::fs::metadata(path) {
        Ok(_) => {}
        Err(error) if [ErrorKind::NotFound, ErrorKind::InvalidFilename].contains(&error.kind()) => {
            return Err(Failure::usage(format!(
                "{flag} '{}' is neither hex nor an existing file ({not_hex})",
                Foreign(text)
            )));
        }
        Err(error) => return Err(unreadable(flag, path, &error)),
    }
    let content = read_small(flag, path)?;
    // A file of other length can still hold hex; if it does not, the length of its bytes is what is wrong with it.
    let as_hex = if content.len() == expected_bytes {
        None
    } else {
        std::str::from_utf8(&content)
            .ok()
            .and_then(|text| parse_hex(without_mark(text)).ok())
    };
    Ok(Given {
        origin: Origin::File {
            is_hex: as_hex.is_some(),
        },
        bytes: as_hex.unwrap_or_else(|| content.to_vec()),
    })
}

/// A secret of 32 bytes, from a file that holds them or their 64 hex digits.
pub fn secret_file(flag: &str, path: &Path) -> Result<Zeroizing<[u8; 32]>, Failure> {
    let content = read_small(flag, path)?;
    warn_if_exposed(flag, path, CAN_SIGN);
    let refused = |what: &str| Err(Failure::usage(format!("{flag} '{}' holds {what}", path.display())));
    let mut bytes = Zeroizing::new([0; 32]);
    let text = std::str::from_utf8(&content).ok().map(|text| without_mark(text).trim());
    let digits = text.map(without_base);
    match digits.map(|digits| (digits.len(), hex::decode_to_slice(digits, &mut *bytes))) {
        Some((64, Ok(()))) => {}
        Some((32, _)) if digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit())) => {
            return refused("32 hex digits, which are 16 bytes; a secret is 32 bytes, 64 hex digits");
        }
        _ if content.len() == bytes.len() => bytes.copy_from_slice(&content),
        _ => {
            let found = counted(content.len());
            return refused(&format!("{found}, but has to hold 32 bytes or their 64 hex digits"));
        }
    }
    if bytes.iter().all(|byte| *byte == bytes[0]) {
        refused("the same byte 32 times, which anybody can guess; a secret is random")
    } else {
        Ok(bytes)
    }
}

/// A text that holds a secret, from a file, or from standard input for `-`.
pub fn secret_text(flag: &str, path: &Path, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
    use std::io::Read;
    // Room for all of it, so that no copy is left behind by growing.
    let mut content = Zeroizing::new(Vec::with_capacity(bytes_max + 1));
    let limit = bytes_max as u64 + 1;
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut content)
    } else {
        warn_if_exposed(flag, path, CAN_SIGN);
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut content))
    };
    read.map_err(|error| unreadable(flag, path, &error))?;
    if content.len() > bytes_max {
        Err(Failure::usage(format!(
            "{flag} '{}' is larger than {bytes_max} bytes, too large for a backup",
            path.display()
        )))
    } else {
        Ok(content)
    }
}

/// A text that is as good as a key, from a file.
#[cfg(feature = "serve")]
pub fn private_text(flag: &str, path: &Path) -> Result<Zeroizing<String>, Failure> {
    let mut content = read_small(flag, path)?;
    warn_if_exposed(flag, path, "can sign with the keys of this service");
    let text = String::from_utf8(std::mem::take(&mut *content));
    let text = text.map_err(|_| Failure::usage(format!("{flag} '{}' is not text", path.display())));
    text.map(Zeroizing::new)
}

/// What anyone can do who has read a secret.
pub const CAN_SIGN: &str = "can sign with this key";

/// Warns if others can read the file, and says what they can do then. Pipes and devices have modes of their own.
pub fn warn_if_exposed(flag: &str, path: &Path, risk: &str) {
    let Ok(metadata) = std::fs::metadata(path) else {
        return;
    };
    let mode = metadata.permissions().mode() & 0o777;
    if metadata.is_file() && mode & 0o077 != 0 {
        warn(format_args!(
            "{flag} '{}' can be read by others (its mode is {mode:o}); anyone who has read it {risk}",
            path.display()
        ));
    }
}

/// Nothing that is read here is larger than a signature; what follows in a larger file is not looked at.
const BYTES_MAX: usize = 1 << 20;

fn counted(bytes: usize) -> String {
    match bytes {
        1 => "1 byte".to_owned(),
        BYTES_MAX => format!("{BYTES_MAX} bytes or more"),
        bytes => format!("{bytes} bytes"),
    }
}

fn read_small(flag: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    use std::io::Read;
    // Large enough for a secret, so that no copy of one is left behind by growing.
    let mut content = Zeroizing::new(Vec::with_capacity(4096));
    let file = std::fs::File::open(path);
    file.and_then(|file| file.take(BYTES_MAX as u64).read_to_end(&mut content))
        .map_err(|error| unreadable(flag, path, &error))?;
    Ok(content)
}

fn unreadable(flag: &str, path: &Path, error: &std::io::Error) -> Failure {
    let message = format!("{flag} '{}' cannot be read: {error}", path.display());
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::IsADirectory => Failure::usage(message),
        _ => Failure::machine(message),
    }
}

/// The epochs `[first, first + count)` of a request; the end is checked where they are read.
pub fn epoch_numbers(first: u64, count: u64) -> Result<std::ops::Range<u64>, Failure> {
    let end = first.checked_add(count).filter(|&end| end <= u64::from(u32::MAX) + 1);
    match end {
        Some(_) if count == 0 => Err(Failure::usage("--count is 0; ask for at least 1 epoch")),
        Some(end) => Ok(first..end),
        None => Err(Failure::usage(format!(
            "--epoch {first} and --count {count} pass the largest epoch, {}",
            Epoch(u32::MAX)
        ))),
    }
}
