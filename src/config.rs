//! Where settings come from: built-in defaults < config.toml < KEYMILL_* environment < flags, resolved once.

mod values;

use std::fs::File;
use std::io::{Error, Read};
use std::path::{Path, PathBuf};

use keymill::Scheme;
use keymill::plan::{Level, MemoryRequest};
use keymill::text::{Foreign, toml_fault, without_mark};

pub use values::{
    PROGRESS_STYLES, parse_count, parse_level, parse_memory, parse_progress, parse_scheme, parse_threads,
};
use values::{parse_group, parse_log_level};

/// The prefix of environment variables that are settings.
const ENVIRONMENT_PREFIX: &str = "KEYMILL_";
/// Names the file itself, so it cannot stand in the file.
const CONFIG_VARIABLE: &str = "KEYMILL_CONFIG";

/// All settings, resolved; those that are wrong, too, which only the commands that use them mind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub scheme: Setting<&'static Scheme>,
    pub epochs: Setting<u64>,
    pub trim: Setting<Level>,
    threads: Setting<usize>,
    group_batches: Setting<usize>,
    memory: Setting<MemoryRequest>,
    progress: Setting<ProgressStyle>,
    log: Setting<tracing::Level>,
    /// -q was given: no flag of a command shows progress.
    pub quiet: bool,
}

/// The value of a setting, or what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T>(Result<T, WrongValue>);

impl<T: Clone> Setting<T> {
    pub fn get(&self) -> Result<T, ConfigError> {
        Ok(self.0.clone()?)
    }

    /// With a flag on top. A value that is wrong is refused even where a flag wins.
    pub fn or_flag(&self, flag: Option<T>) -> Result<T, ConfigError> {
        let value = self.get()?;
        Ok(flag.unwrap_or(value))
    }

    /// Takes what stands further on top, unless something below is wrong.
    fn set(&mut self, parsed: Result<T, WrongValue>) {
        if self.0.is_ok() {
            self.0 = parsed;
        }
    }
}

/// How much of the machine a job may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineSettings {
    pub threads: usize,
    pub group_batches: usize,
    pub memory: MemoryRequest,
}

impl From<MachineSettings> for keymill::JobOptions {
    fn from(settings: MachineSettings) -> Self {
        Self {
            threads: settings.threads,
            group_batches: settings.group_batches,
            memory: settings.memory,
        }
    }
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

/// The value of a setting is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: '{}' is wrong: {wanted}", Foreign(.value))]
pub struct WrongValue {
    place: String,
    value: String,
    wanted: String,
}

/// A setting is wrong.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(transparent)]
    Value(#[from] WrongValue),
    #[error("{place}: unknown setting '{}'{}", Foreign(.name), suggestion(.nearest))]
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

/// How the text of a setting becomes part of the settings. The last argument makes an error of what would be right.
type Apply = fn(&mut Settings, &str, &dyn Fn(String) -> WrongValue);

macro_rules! settings {
    ($(($name:literal, $about:literal, $field:ident, $parse:path),)*) => {
        [$(($name, $about, |settings, text, wrong| settings.$field.set($parse(text).map_err(wrong)))),*]
    };
}

/// The one table of settings, each with what it is. All but group_batches and log have a flag of the same name, which
/// overrides them; the flags for log are -v and -q.
const SETTINGS: [(&str, &str, Apply); 8] = settings![
    ("scheme", "scheme of a new key", scheme, parse_scheme),
    ("epochs", "epochs of a new key, as 1000 or 2^18", epochs, parse_count),
    ("trim", "lowest level that a new key stores, 0 to 10", trim, parse_level),
    ("threads", "worker threads; 0 is one a core", threads, parse_threads),
    (
        "group_batches",
        "batches that are committed as one, 1 to 4096",
        group_batches,
        parse_group
    ),
    (
        "memory",
        "most memory, as 64M or 1G; auto, or 0 for no limit",
        memory,
        parse_memory
    ),
    ("progress", "auto, bar, plain, json or none", progress, parse_progress),
    (
        "log",
        "what is said on standard error: error, warn, info, debug or trace",
        log,
        parse_log_level
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
        "if it is dumb, empty or not set, progress is plain lines instead of a bar; if it is dumb, nothing is coloured",
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

fn names() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|(name, ..)| *name)
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // The table has it; the first one stands in for the compiler's sake.
            scheme: Setting(Ok(
                Scheme::by_id("leansig-p1-l32-abort-v46-w8").unwrap_or(&Scheme::all()[0])
            )),
            epochs: Setting(Ok(1 << 18)),
            trim: Setting(Ok(Level(0))),
            threads: Setting(Ok(0)),
            group_batches: Setting(Ok(8)),
            memory: Setting(Ok(MemoryRequest::Auto)),
            progress: Setting(Ok(ProgressStyle::Auto)),
            log: Setting(Ok(tracing::Level::WARN)),
            quiet: false,
        }
    }
}

impl Settings {
    /// How a job may use the machine, with the flags for it on top.
    pub fn machine(
        &self,
        threads: Option<usize>,
        memory: Option<MemoryRequest>,
    ) -> Result<MachineSettings, ConfigError> {
        Ok(MachineSettings {
            threads: self.threads.or_flag(threads)?,
            group_batches: self.group_batches.get()?,
            memory: self.memory.or_flag(memory)?,
        })
    }

    /// Memory alone, for what takes no more of the machine.
    pub fn memory(&self, flag: Option<MemoryRequest>) -> Result<MemoryRequest, ConfigError> {
        self.memory.or_flag(flag)
    }

    /// How to show progress where a command was told so, or was not.
    pub fn progress(&self, flag: Option<ProgressStyle>) -> Result<ProgressStyle, ConfigError> {
        let style = self.progress.or_flag(flag)?;
        Ok(if self.quiet { ProgressStyle::None } else { style })
    }

    /// How much is said, with the flags for it on top.
    pub fn log(&self, flag: Option<tracing::Level>) -> Result<tracing::Level, ConfigError> {
        self.log.or_flag(flag)
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
        let text = without_mark(text);
        let place = format!("'{}'", path.display());
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::NotToml {
            path: path.to_owned(),
            message: toml_fault(&error, text),
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
            let place = format!("environment variable {}", Foreign(variable));
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
        apply(self, text, &|wanted| WrongValue {
            place: place_of_value.to_owned(),
            value: text.to_owned(),
            wanted,
        });
        Ok(())
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
        let machine = settings.machine(None, None).unwrap();
        assert_eq!((machine.threads, machine.group_batches), (5, 4));
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
        let error = load("epochs = \"2^x\"", &[])
            .unwrap()
            .epochs
            .get()
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "'some.toml', epochs: '2^x' is wrong: expected a number like 1000 or 2^20"
        );
    }
}
