//! What can be done about an error, as somebody types it: the library names no flag and no command.

use std::path::Path;

use keymill::support::parent_of;
use keymill::{Argument, Remedy};

use super::shell::{command, command_with_set};

/// The end of a message that says what can be done; empty where nothing can.
pub fn advised<'a>(remedies: impl IntoIterator<Item = &'a Remedy>) -> String {
    keymill::support::advised(remedies, words)
}

/// One way out.
pub fn words(remedy: &Remedy) -> String {
    let path = remedy.path().unwrap_or(Path::new(""));
    let typed = |template: &str| command(template, path);
    match remedy {
        Remedy::Repair(_) => format!("run {}", typed("keymill repair {}")),
        Remedy::Restore(_) => {
            let restore = typed("keymill restore {} --from FILE");
            format!("run {restore} with the text of its backup")
        }
        Remedy::Keygen(_) => format!("run {}", typed("keymill keygen {}")),
        Remedy::Join(_) => format!("run {} with the directory of the parts", typed("keymill join {} DIR2")),
        Remedy::Migrate(_) => format!("run {}", typed("keymill migrate {}")),
        Remedy::Protect(_) => format!("if it was not read, {} and try again", typed("chmod 600 {}")),
        Remedy::SealSecret(_) => format!("run {}", typed("keymill keystore seal {}")),
        Remedy::LedgerInit(_) => format!(
            "run {}, with N above every epoch that may have signed (if the key has signed elsewhere, run 'keymill ledger import' \
             first)",
            typed("keymill ledger init {} --first-epoch N")
        ),
        Remedy::RestoreElsewhere(_) => format!(
            "run 'keymill restore' in another directory with the text of its backup and copy the manifest that it makes to \
             '{}'",
            path.display()
        ),
        Remedy::Untrim { level, .. } => format!(
            "there are two ways to have them again. With a copy of manifest.toml from before the trim: put it back and run \
             {}, which keeps the ledger. Without one: run {} and \
             never sign with this directory again. Make the key in another directory with 'keymill keygen --trim {level}' and \
             the same secret, scheme and epochs. There run 'keymill ledger import' and 'keymill ledger init'",
            typed("keymill repair {}"),
            typed("keymill ledger export {} --out FILE")
        ),
        Remedy::Overwrite => "overwrite it with --force".to_owned(),
        Remedy::AnotherKey => "make another key with 'keymill keygen'".to_owned(),
        Remedy::RestoreSecrets => {
            "add --restore-secrets, only if the old copies are lost and can never sign".to_owned()
        }
        Remedy::SetOfItsOwn => {
            "make further validators in another directory with --start-index, and merge the sets with \
                                'keymill merge-sets'"
                .to_owned()
        }
        Remedy::Generate => "run the 'keymill generate' again that made the set".to_owned(),
        Remedy::RaiseMemory => {
            "raise the limit on memory (ulimit -v, or the container's), or take fewer --threads or a smaller --memory"
                .to_owned()
        }
        Remedy::RaiseBudget => "give more memory (--memory, KEYMILL_MEMORY, or memory in config.toml)".to_owned(),
        Remedy::OtherEpoch(_) => {
            let show = typed("keymill ledger show {}");
            format!("take another epoch ({show} names the highest that is spent)")
        }
        Remedy::ServeSet(_) => format!("serve its set with {}", typed("keymill serve {}")),
        Remedy::MoveLedgerOut(_) => format!("run {}", typed("keymill ledger move {} --out")),
        Remedy::MoveLedgerIn(_) => {
            let line = command_with_set("keymill ledger move {} --into {set}", path, parent_of(path));
            format!("run {line}")
        }
        Remedy::FingerprintClients(_) => format!(
            "write into '{}' what 'openssl x509 -in CERTIFICATE -noout -fingerprint -sha256' prints for the certificate of each \
             client",
            path.display()
        ),
        Remedy::Again => "run the same command again".to_owned(),
        Remedy::Change(argument) => format!("change {}", flag(*argument)),
        Remedy::Give(argument) => format!("give {}", flag(*argument)),
        Remedy::LeaveOut(argument) => format!("leave {} out", flag(*argument)),
        Remedy::Fewer(argument) => format!("lower {}", flag(*argument)),
        other => other.to_string(),
    }
}

/// `--` and the name; the library may come to know arguments that no flag gives.
fn flag(argument: Argument) -> String {
    let name = match argument {
        Argument::Scheme => "scheme",
        Argument::ActivationEpoch => "activation-epoch",
        Argument::Epochs => "epochs",
        Argument::Parameter => "parameter",
        Argument::Trim => "trim",
        Argument::Seed => "seed-file",
        Argument::PrfKey => "prf-key-file",
        Argument::Threads => "threads",
        Argument::NumValidators => "num-validators",
        Argument::LogNumActiveEpochs => "log-num-active-epochs",
        Argument::StartIndex => "start-index",
        Argument::Role => "role",
        Argument::Roles => "roles",
        Argument::Distributed => "distributed",
        Argument::ExportFormat => "export-format",
        Argument::LeanvmRev => "leanvm-rev",
        Argument::KeepDirs => "keep-dirs",
        Argument::KeysOnly => "keys-only",
        Argument::Jobs => "jobs",
        Argument::Passphrase => "passphrase-file",
        Argument::Parts => "parts",
        Argument::PartEpochs => "part-epochs",
        Argument::Index => "index",
        Argument::Seal => "seal",
        Argument::Adopt => "adopt",
        Argument::Copy => "copy",
        other => return other.to_string(),
    };
    format!("--{name}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use keymill::{Argument, Level, Remedy};

    use super::words;

    /// The commands and the flags of a tree of commands.
    fn known(command: &clap::Command, found: &mut BTreeSet<String>) {
        found.insert(format!("keymill {}", command.get_name()));
        let flags = command.get_arguments().filter_map(clap::Arg::get_long);
        found.extend(flags.map(|flag| format!("--{flag}")));
        command.get_subcommands().for_each(|command| known(command, found));
    }

    fn named(words: &str) -> Vec<String> {
        let word = |text: &str| {
            let is_part = |c: char| c == '-' || c.is_ascii_lowercase();
            text.split(|c| !is_part(c)).next().unwrap_or_default().to_owned()
        };
        let commands = words.split("keymill ").skip(1);
        let flags = words.split("--").skip(1);
        let commands = commands.map(|text| format!("keymill {}", word(text)));
        commands.chain(flags.map(|text| format!("--{}", word(text)))).collect()
    }

    #[test]
    fn every_command_and_flag_that_is_advised_exists() {
        let mut exist = BTreeSet::new();
        known(&super::super::tree::command(), &mut exist);
        let arguments = [
            Argument::Scheme,
            Argument::ActivationEpoch,
            Argument::Epochs,
            Argument::Parameter,
            Argument::Trim,
            Argument::Seed,
            Argument::PrfKey,
            Argument::Threads,
            Argument::NumValidators,
            Argument::LogNumActiveEpochs,
            Argument::StartIndex,
            Argument::Role,
            Argument::Roles,
            Argument::Distributed,
            Argument::ExportFormat,
            Argument::LeanvmRev,
            Argument::KeepDirs,
            Argument::KeysOnly,
            Argument::Jobs,
            Argument::Passphrase,
            Argument::Parts,
            Argument::PartEpochs,
            Argument::Index,
            Argument::Seal,
            Argument::Adopt,
            Argument::Copy,
        ];
        let of_paths = [
            Remedy::Repair,
            Remedy::Restore,
            Remedy::Keygen,
            Remedy::Join,
            Remedy::Migrate,
            Remedy::LedgerInit,
            Remedy::SealSecret,
            Remedy::RestoreElsewhere,
            Remedy::OtherEpoch,
            Remedy::ServeSet,
            Remedy::MoveLedgerOut,
            Remedy::MoveLedgerIn,
            |directory| Remedy::Untrim {
                directory,
                level: Level(3),
            },
        ];
        let others = [
            Remedy::Overwrite,
            Remedy::AnotherKey,
            Remedy::RestoreSecrets,
            Remedy::SetOfItsOwn,
            Remedy::Generate,
            Remedy::RaiseMemory,
            Remedy::RaiseBudget,
        ];
        let of_paths = of_paths.into_iter().map(|remedy| remedy("DIR".into()));
        let all = of_paths.chain(others).chain(arguments.map(Remedy::Change));
        for remedy in all {
            let (words, neutral) = (words(&remedy), remedy.to_string());
            let named_here = named(&words);
            assert!(!named_here.is_empty(), "{words}");
            assert!(named_here.iter().all(|name| exist.contains(name)), "{words}");
            assert!(named(&neutral).is_empty(), "{neutral}");
        }
    }
}
