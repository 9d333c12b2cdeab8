//! Where settings come from: built-in defaults < config.toml < KEYMILL_* environment < flags.
//!
//! The settings keep what each place says as text, and a command reads those that it uses: so a wrong value stops only those
//! commands, and its error names the place. (clap's `env` would not name the variable, and could not tell a setting for new
//! keys from a flag, which must not contradict a key that exists.)

mod values;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Error, Read};
use std::path::{Path, PathBuf};

use keymill::support::{Foreign, nearest, toml_fault, without_mark};
use keymill::{JobOptions, Level, MemoryRequest, Scheme};
use toml::Spanned;

pub use values::{
    PROGRESS_STYLES, ProgressStyle, parse_count, parse_level, parse_memory, parse_progress, parse_scheme, parse_threads,
};
use values::{parse_group, parse_log_level};

/// The prefix of environment variables that are settings.
const ENVIRONMENT_PREFIX: &str = "KEYMILL_";
/// Names the file itself, so it cannot stand in the file.
const CONFIG_VARIABLE: &str = "KEYMILL_CONFIG";

/// The one table of settings: name, default, what it is. All but group_batches and log have a flag of the same name, which
/// overrides them; the flags for log are -v and -q.
const SETTINGS: [(&str, &str, &str); 8] = [
    ("scheme", "leansig-p1-l32-abort-v46-w8", "scheme of a new key"),
    ("epochs", "2^18", "epochs of a new key, as 1000 or 2^18"),
    ("trim", "0", "lowest level that a new key stores, 0 to 10"),
    ("threads", "0", "worker threads; 0 means one per core"),
    (
        "group_batches",
        "auto",
        "batches that are committed as one, 1 to 4096; auto follows the time that they take",
    ),
    ("memory", "auto", "most memory, as 64M or 1G; auto, or 0 for no limit"),
    ("progress", "auto", "auto, bar, plain, json or none"),
    (
        "log",
        "warn",
        "what is said on standard error: error, warn, info, debug or trace",
    ),
];

/// The one that names the file, and those that programs have agreed on.
const OTHER_VARIABLES: [(&str, &str); 4] = [
    (CONFIG_VARIABLE, "the settings file, where --config does not name one"),
    ("NO_COLOR", "if it is set and not empty, nothing is coloured"),
    (
        "CLICOLOR_FORCE",
        "if it is set and not 0, output is coloured also where it is not a terminal",
    ),
    (
        "TERM",
        "if it is dumb, empty or not set, progress is plain lines instead of a bar; if it is dumb, nothing is coloured",
    ),
];

/// Every variable of the environment that means something, with what it means.
pub fn variables() -> Vec<(String, &'static str)> {
    let settings = SETTINGS.map(|(name, _, about)| (variable_of(name), about));
    let others = OTHER_VARIABLES.map(|(name, about)| (name.to_owned(), about));
    settings.into_iter().chain(others).collect()
}

fn variable_of(setting: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}{}", setting.to_ascii_uppercase())
}

/// What is wrong with settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{place}: '{}' is wrong: {wanted}", Foreign(.value))]
    Value {
        place: String,
        value: String,
        wanted: String,
    },
    #[error("{place}: unknown setting '{}'{}", Foreign(.name), suggestion(.name, names(), str::to_owned))]
    Unknown { place: String, name: String },
    #[error("'{}' cannot be read: {source}", .path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("'{}' is not TOML: {message}", .path.display())]
    NotToml { path: PathBuf, message: String },
}

fn names() -> impl Iterator<Item = &'static str> + Clone {
    SETTINGS.into_iter().map(|(name, ..)| name)
}

/// The known name that is nearest to an unknown one, else all of them, as they are typed there.
fn suggestion<'a>(asked: &str, names: impl Iterator<Item = &'a str> + Clone, typed: fn(&str) -> String) -> String {
    nearest(asked, names.clone()).map_or_else(
        || format!("; there are: {}", names.map(typed).collect::<Vec<_>>().join(", ")),
        |name| format!(", did you mean '{}'?", typed(name)),
    )
}

type Parse<T> = fn(&str) -> Result<T, String>;

/// What a place says of a setting.
#[derive(Debug)]
struct Given {
    name: &'static str,
    place: String,
    text: String,
}

/// The settings, as far as they do not depend on flags.
#[derive(Debug, Default)]
pub struct Settings {
    /// The later wins over the earlier.
    given: Vec<Given>,
    /// Variables that look like settings and are not.
    pub warnings: Vec<String>,
    /// What --progress says.
    pub progress: Option<ProgressStyle>,
    /// -q was given: there is no progress, whatever --progress says.
    pub quiet: bool,
}

impl Settings {
    /// Reads the file, then the environment.
    pub fn load(
        config_flag: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut settings = Self::default();
        let environment: Vec<_> = environment.into_iter().collect();
        let variable = environment.iter().find(|(name, _)| name == CONFIG_VARIABLE);
        let named = config_flag.or(variable.map(|(_, path)| Path::new(path)));
        let users_own = || user_file().filter(|path| path.exists());
        if let Some(path) = named.map(Path::to_owned).or_else(users_own) {
            settings.apply_file(&path, &read(&path)?)?;
        }
        settings.apply_environment(environment);
        Ok(settings)
    }

    pub fn apply_file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let text = without_mark(text);
        let table: BTreeMap<Spanned<String>, toml::Value> =
            toml::from_str(text).map_err(|error| ConfigError::NotToml {
                path: path.to_owned(),
                message: toml_fault(&error, text),
            })?;
        for (name, value) in table {
            let before = text.get(..name.span().start).unwrap_or_default();
            let place = format!("'{}', line {}", path.display(), before.matches('\n').count() + 1);
            let name = name.into_inner();
            let Some(name) = names().find(|known| *known == name) else {
                return Err(ConfigError::Unknown { place, name });
            };
            self.given.push(Given {
                name,
                place: format!("{place}, {name}"),
                text: match value {
                    toml::Value::String(text) => text,
                    other => other.to_string(),
                },
            });
        }
        Ok(())
    }

    /// An unknown variable may belong to another program: it gives a warning and does not stop the command.
    pub fn apply_environment(&mut self, environment: impl IntoIterator<Item = (String, String)>) {
        for (variable, text) in environment {
            let Some(name) = variable.strip_prefix(ENVIRONMENT_PREFIX) else {
                continue;
            };
            let place = format!("environment variable {}", Foreign(&variable));
            let asked = name.to_ascii_lowercase();
            if let Some(name) = names().find(|known| *known == asked) {
                self.given.push(Given { name, place, text });
            } else if variable != CONFIG_VARIABLE {
                let suggestion = suggestion(&asked, names().chain(["config"]), variable_of);
                self.warnings.push(format!("unknown {place} is ignored{suggestion}"));
            }
        }
    }

    /// The value of a setting, with a flag on top. A value that is wrong is refused wherever it stands.
    fn value<T>(&self, name: &str, parse: Parse<T>, flag: Option<T>) -> Result<T, ConfigError> {
        let default = SETTINGS.into_iter().find(|(known, ..)| *known == name);
        let default = default.map_or("", |(_, default, _)| default);
        let given = self.given.iter().filter(|given| given.name == name);
        let given = given.map(|given| (&*given.place, &*given.text));
        let read = |(place, text): (&str, &str)| {
            parse(text).map_err(|wanted| ConfigError::Value {
                place: place.to_owned(),
                value: text.to_owned(),
                wanted,
            })
        };
        let lowest = read(("built-in default", default))?;
        let value = given.map(read).try_fold(lowest, |_, above| above)?;
        Ok(flag.unwrap_or(value))
    }

    pub fn scheme(&self, flag: Option<&'static Scheme>) -> Result<&'static Scheme, ConfigError> {
        self.value("scheme", parse_scheme, flag)
    }

    pub fn epochs(&self) -> Result<u64, ConfigError> {
        self.value("epochs", parse_count, None)
    }

    pub fn trim(&self, flag: Option<Level>) -> Result<Level, ConfigError> {
        self.value("trim", parse_level, flag)
    }

    pub fn memory(&self, flag: Option<MemoryRequest>) -> Result<MemoryRequest, ConfigError> {
        self.value("memory", parse_memory, flag)
    }

    /// How a job may use the machine.
    pub fn machine(&self, threads: Option<usize>, memory: Option<MemoryRequest>) -> Result<JobOptions, ConfigError> {
        Ok(JobOptions::default()
            .threads(self.threads(threads)?)
            .group_batches(self.value("group_batches", parse_group, None)?)
            .memory(self.memory(memory)?))
    }

    /// Worker threads; 0 for one per core.
    pub fn threads(&self, flag: Option<usize>) -> Result<usize, ConfigError> {
        self.value("threads", parse_threads, flag)
    }

    /// How to show progress.
    pub fn progress(&self) -> Result<ProgressStyle, ConfigError> {
        let style = self.value("progress", parse_progress, self.progress)?;
        Ok(if self.quiet { ProgressStyle::None } else { style })
    }

    /// How much is said.
    pub fn log(&self, flag: Option<tracing::Level>) -> Result<tracing::Level, ConfigError> {
        self.value("log", parse_log_level, flag)
    }
}

/// Many times what all settings take.
const SETTINGS_BYTES_MAX: u64 = 64 << 10;

fn read(path: &Path) -> Result<String, ConfigError> {
    let mut text = String::new();
    let file = File::open(path);
    let length = file.and_then(|file| file.take(SETTINGS_BYTES_MAX + 1).read_to_string(&mut text));
    let length = length.and_then(|length| {
        if length as u64 > SETTINGS_BYTES_MAX {
            return Err(Error::other(format!(
                "it has more than {SETTINGS_BYTES_MAX} bytes, as no settings file has"
            )));
        }
        Ok(length)
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
        settings.apply_environment(
            environment
                .iter()
                .map(|&(name, text)| (name.to_owned(), text.to_owned())),
        );
        Ok(settings)
    }

    #[test]
    fn the_shipped_file_holds_every_setting_at_its_default() {
        let shipped = load(include_str!("../config.toml"), &[]).unwrap();
        let mut listed: Vec<_> = shipped.given.iter().map(|given| (given.name, &*given.text)).collect();
        let mut known = SETTINGS.map(|(name, default, _)| (name, default));
        listed.sort_unstable();
        known.sort_unstable();
        assert_eq!(listed, known);
    }

    #[test]
    fn every_default_can_be_read() {
        let settings = Settings::default();
        settings.scheme(None).unwrap();
        settings.epochs().unwrap();
        settings.trim(None).unwrap();
        settings.machine(None, None).unwrap();
        settings.progress().unwrap();
        settings.log(None).unwrap();
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let settings = load("threads = 3\ngroup_batches = 4", &[("KEYMILL_THREADS", "5")]).unwrap();
        let machine = settings.machine(None, None).unwrap();
        assert_eq!((machine.threads, machine.group_batches), (5, 4));
    }

    #[test]
    fn an_unknown_setting_names_its_place_and_the_nearest_one() {
        let error = load("# Mine.\nthread = 3", &[]).unwrap_err().to_string();
        assert_eq!(
            error,
            "'some.toml', line 2: unknown setting 'thread', did you mean 'threads'?"
        );
    }

    #[test]
    fn an_unknown_variable_is_a_warning_that_names_the_nearest_one() {
        let variables = [
            ("KEYMILL_MEMROY", "1G"),
            ("KEYMILL_CONFIG", "f"),
            ("KEYMILL_threads", "2"),
            ("PATH", "/"),
        ];
        let settings = load("", &variables).unwrap();
        assert_eq!(
            settings.warnings,
            ["unknown environment variable KEYMILL_MEMROY is ignored, did you mean 'KEYMILL_MEMORY'?"]
        );
        assert_eq!(settings.machine(None, None).unwrap().threads, 2);
    }

    #[test]
    fn a_wrong_value_names_its_place_and_what_would_be_right() {
        let settings = load("epochs = \"2^x\"", &[("KEYMILL_EPOCHS", "7")]).unwrap();
        assert_eq!(
            settings.epochs().unwrap_err().to_string(),
            "'some.toml', line 1, epochs: '2^x' is wrong: expected a number like 1000 or 2^20, below 2^64"
        );
        assert!(settings.scheme(None).is_ok());
    }
}
