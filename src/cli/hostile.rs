//! What hostile input meets in the program itself: as `keymill::hostile`, for the forms that only the program reads.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::input::{parse_hex, parse_message};
use super::tree;
use crate::config::{Settings, parse_count, parse_memory};

/// Takes any bytes, and says whether they were read as the form; an error says which promise was broken.
pub type Entry = fn(&[u8]) -> Result<bool, String>;

/// Every form, by the name of its fuzz target and its corpus.
pub const ENTRIES: &[(&str, Entry)] = &[("hex", hexadecimal), ("config", config), ("command_line", command_line)];

fn hexadecimal(bytes: &[u8]) -> Result<bool, String> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Ok(false);
    };
    // The other small forms of an argument.
    let _ = (parse_count(text), parse_memory(text));
    let parsed = parse_hex(text);
    let message = parse_message(text);
    match (parsed, message) {
        (Ok(bytes), _) if !text.to_ascii_lowercase().contains(&hex::encode(&bytes)) => {
            Err(format!("'{text}' was read as {bytes:02x?}"))
        }
        (Ok(bytes), message) if message.is_ok() != (bytes.len() == 32) => Err("a message of another length".to_owned()),
        (Err(_), Ok(_)) => Err("a message that is not hex".to_owned()),
        (parsed, _) => Ok(parsed.is_ok()),
    }
}

/// A settings file, and its lines as the environment's variables.
fn config(bytes: &[u8]) -> Result<bool, String> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Ok(false);
    };
    let show = |error: crate::config::ConfigError| error.to_string();
    let from_file = Settings::default()
        .apply_file(Path::new("config.toml"), text)
        .map_err(show);
    let variables: Vec<_> = text
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, value)| (format!("KEYMILL_{name}"), value.trim_matches('"').to_owned()))
        .collect();
    let mut settings = Settings::default();
    settings.apply_environment(variables);
    let said = [
        from_file.clone().err(),
        settings.scheme(None).map_err(show).err(),
        settings.machine(None, None).map_err(show).err(),
    ];
    if said.contains(&Some(String::new())) || settings.warnings.contains(&String::new()) {
        return Err("a refusal without a word".to_owned());
    }
    Ok(from_file.is_ok())
}

/// Arguments, one a line. They are read and not followed.
fn command_line(bytes: &[u8]) -> Result<bool, String> {
    let lines = bytes.split(|&byte| byte == b'\n').map(OsStr::from_bytes);
    match tree::parse(std::iter::once(OsStr::new("keymill")).chain(lines)) {
        Err(error) if error.to_string().is_empty() => Err("a refusal without a word".to_owned()),
        parsed => Ok(parsed.is_ok()),
    }
}

#[cfg(test)]
#[path = "../../tests/fuzz/property.rs"]
mod property;

#[cfg(test)]
mod tests {
    use super::ENTRIES;
    use super::property::{Allowance, withstands};

    #[test]
    fn whatever_is_typed_is_read_without_a_panic_and_without_more_memory_than_it_warrants() {
        for &entry in ENTRIES {
            // The parser of the command line describes all commands and flags to itself first.
            let (base_bytes, cases) = match entry.0 {
                "command_line" => (1 << 20, 3_000),
                _ => (4 << 10, 50_000),
            };
            let allowance = Allowance {
                base_bytes,
                per_byte: 64,
            };
            withstands(entry, allowance, cases);
        }
    }
}
