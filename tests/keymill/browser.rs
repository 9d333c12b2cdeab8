//! Chromium, where it is installed.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::skip::skip;

/// How long a browser may take.
const BROWSER_SECONDS: u64 = 60;

/// A browser that can be started. A name may also be that of a stub, which only says what would have to be installed.
fn browser() -> Option<&'static str> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let works = |name: &&str| {
        let version = Command::new(name).arg("--version").stdin(Stdio::null()).output();
        version.is_ok_and(|output| output.status.success())
    };
    names.into_iter().find(works)
}

/// A page as a browser has it when its script has run; files of the browser go into `directory`. None if there is no browser.
pub fn drawn(page: &Path, directory: &Path) -> Option<String> {
    let Some(browser) = browser() else {
        skip("there is no Chromium that works");
        return None;
    };
    let (document, log) = (directory.join("document.html"), directory.join("browser.log"));
    let mut command = Command::new(browser);
    command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]);
    command.arg(format!("--user-data-dir={}", directory.join("profile").display()));
    command.arg("--dump-dom").arg(page);
    // Into files: a pipe that is not read meanwhile would be full.
    command.stdout(File::create(&document).unwrap());
    command.stderr(File::create(&log).unwrap());
    let mut running = command.stdin(Stdio::null()).spawn().unwrap();
    let log = || std::fs::read_to_string(&log).unwrap();
    let until = Instant::now() + Duration::from_secs(BROWSER_SECONDS);
    let status = loop {
        if let Some(status) = running.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > until {
            running.kill().unwrap();
            running.wait().unwrap();
            panic!("{browser} took more than {BROWSER_SECONDS} s\n{}", log());
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(status.success(), "{}", log());
    Some(std::fs::read_to_string(document).unwrap())
}
