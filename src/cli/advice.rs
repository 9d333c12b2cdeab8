//! What can be done about an error, as somebody types it: the library names no flag and no command.

use std::path::Path;

use keymill::{Argument, Remedy};

/// The end of a message that says what can be done; empty where nothing can.
pub fn advised<'a>(remedies: impl IntoIterator<Item = &'a Remedy>) -> String {
    keymill::advised(remedies, words)
}

/// One way out.
pub fn words(remedy: &Remedy) -> String {
    let path = remedy.path().unwrap_or(Path::new("")).display();
    match remedy {
        Remedy::Repair(_) => format!("run 'keymill repair {path}'"),
        Remedy::Restore(_) => format!("run 'keymill restore {path} --from FILE' with the text of its backup"),
        Remedy::Keygen(_) => format!("run 'keymill keygen {path}'"),
        Remedy::Migrate(_) => format!("run 'keymill migrate {path}'"),
        Remedy::LedgerInit(_) => format!(
            "name the first epoch that is surely unused with 'keymill ledger init {path} --first-epoch N' (where it has signed \
             elsewhere, after 'keymill ledger import')"
        ),
        Remedy::RestoreElsewhere(_) => format!(
            "run 'keymill restore' with the text of its backup in another directory and put the manifest that it makes there in \
             the place of '{path}'"
        ),
        Remedy::Untrim { level, .. } => format!(
            "to have them again, put a copy of manifest.toml from before the trim back and run 'keymill repair {path}', which \
             keeps the ledger; without such a copy, run 'keymill ledger export {path} --out FILE' and never sign with this \
             directory again; make the key in another directory with 'keymill keygen --trim {level}' and the same secret, scheme \
             and epochs; and there run 'keymill ledger import' and 'keymill ledger init'"
        ),
        Remedy::Overwrite => "overwrite it with --force".to_owned(),
        Remedy::AnotherKey => "make another key with 'keymill keygen'".to_owned(),
        Remedy::RestoreSecrets => "add --restore-secrets, only if they are lost and sign nowhere".to_owned(),
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
            format!("take another epoch ('keymill ledger show {path}' names the highest that is spent)")
        }
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
        Argument::KeepDirs => "keep-dirs",
        Argument::Jobs => "jobs",
        other => return other.to_string(),
    };
    format!("--{name}")
}
