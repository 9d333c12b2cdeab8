//! What other users of the machine can see of this process: nothing of its memory, and nothing of the files that it makes.

#[cfg(target_os = "linux")]
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::process::{Resource, Rlimit, setrlimit};

/// Memory holds secrets: no core file may be written of it, and no other process of the same user may attach to it. For
/// all commands, and before anything is read.
pub fn keep_memory_private() {
    // Lowering a limit of one's own is never refused (setrlimit(2)); nor is this flag, where the kernel has it (prctl(2)).
    // Should they fail all the same, the files are still what they are, so the command may go on.
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = setrlimit(Resource::Core, none);
    #[cfg(target_os = "linux")]
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Every file and directory that is made from here on is for its owner alone, whatever the caller's umask is. RocksDB
/// leaves the mode of its files to it. For the commands that write key directories; before they start a thread. Gives the
/// mode that a file which anybody may read would have had.
pub fn keep_files_private() -> u32 {
    use rustix::fs::Mode;
    let others = Mode::RWXG | Mode::RWXO;
    let asked = rustix::process::umask(others);
    0o666 & !asked.bits()
}
