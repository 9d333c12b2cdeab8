//! A CPU that lacks what was compiled in, played by qemu.

use std::process::Command;

use crate::skip::{self, skip};

/// An old CPU: no vector instructions beyond SSE2.
fn on_an_old_cpu() -> Option<std::process::Output> {
    let mut command = Command::new("qemu-x86_64");
    command.args(["-cpu", "qemu64", env!("CARGO_BIN_EXE_keymill"), "schemes"]);
    // The program takes it for a setting, and an unknown one.
    command.env_remove(skip::VARIABLE);
    command.output().ok()
}

#[test]
fn a_cpu_that_lacks_the_compiled_features_is_refused_by_name_and_never_crashes() {
    let Some(output) = on_an_old_cpu() else {
        skip("qemu-x86_64 is not installed (Debian: qemu-user)");
        return;
    };
    let messages = String::from_utf8(output.stderr).unwrap();
    if cfg!(target_feature = "ssse3") {
        assert_eq!(output.status.code(), Some(4), "{messages}");
        assert!(
            messages.contains("built for a CPU with ssse3, which this one lacks"),
            "{messages}"
        );
        assert!(output.stdout.is_empty());
    } else {
        assert_eq!(output.status.code(), Some(0), "{messages}");
        assert!(
            String::from_utf8(output.stdout)
                .unwrap()
                .contains("leansig-p2-l32-top-v64-w8")
        );
    }
}
