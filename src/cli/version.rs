//! `keymill --version --verbose`: what this program was built from and for.

use std::ffi::OsString;

use super::answer::Answer;
use super::cpu;

/// Whether more than the version is asked for beside it.
pub fn is_verbose(arguments: impl IntoIterator<Item = OsString>) -> bool {
    arguments.into_iter().any(|argument| {
        let argument = argument.to_string_lossy();
        let is_short = argument.starts_with('-') && !argument.starts_with("--");
        argument == "--verbose" || is_short && argument.contains('v')
    })
}

/// The version, and a line for each thing that it depends on how this program was built.
pub fn print_all() -> std::process::ExitCode {
    let features = cpu::compiled_features();
    let features_text = if features.is_empty() {
        "none beyond those of every CPU of this kind".to_owned()
    } else {
        features.join(" ")
    };
    let answer = Answer::default()
        .text([format!("keymill {}", env!("CARGO_PKG_VERSION"))])
        .line("features", compiled_in().join(" "))
        .line("target", target())
        .line("CPU features", features_text)
        .line("RocksDB", keymill::ROCKSDB_VERSION.to_string())
        .line("key directories", format!("format version {}", keymill::FORMAT_VERSION));
    match answer.print(false) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// The features of Cargo.toml that change what the program can do.
fn compiled_in() -> Vec<&'static str> {
    let features = [
        ("capi", cfg!(feature = "capi")),
        ("serve", cfg!(feature = "serve")),
        ("planted-leak", cfg!(feature = "planted-leak")),
    ];
    let found: Vec<_> = features
        .into_iter()
        .filter_map(|(name, is_in)| is_in.then_some(name))
        .collect();
    if found.is_empty() { vec!["none"] } else { found }
}

fn target() -> String {
    let libc = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
    format!("{}-{}-{libc}", std::env::consts::ARCH, std::env::consts::OS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_version_is_asked_for_by_either_name_and_in_any_order() {
        let asked = |line: &str| is_verbose(line.split(' ').map(OsString::from));
        for line in ["--version --verbose", "--verbose --version", "-V -v", "-Vv", "-vV"] {
            assert!(asked(line), "{line}");
        }
        for line in ["--version", "-V", "keygen --version"] {
            assert!(!asked(line), "{line}");
        }
    }
}
