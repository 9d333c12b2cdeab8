//! What is said of a set that was looked at.

use std::path::{Path, PathBuf};

use super::key_files::Fault;
use crate::failure::IoFailure;
use crate::interop::key_set::revision::LeanvmRevision;
use crate::remedy::Remedy;
use keymill_xmss::scheme::Scheme;

/// Something about a file of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetFinding {
    /// The file.
    pub path: PathBuf,
    /// What is to be said of it.
    pub what: String,
    /// What can be done about it, the best first; each of them alone.
    pub remedies: Vec<Remedy>,
}

/// Findings of each kind that a report lists. A set can have hundreds of thousands of files, with something to be said of each,
/// and nobody reads more.
pub(super) const LISTED_MAX: usize = 1_000;

/// Findings of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Findings {
    /// The first 1,000.
    pub listed: Vec<SetFinding>,
    /// How many there are beyond those.
    pub unlisted: u64,
}

impl Findings {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.listed.len() as u64 + self.unlisted
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    fn push(&mut self, finding: SetFinding) {
        if self.listed.len() < LISTED_MAX {
            self.listed.push(finding);
        } else {
            self.unlisted += 1;
        }
    }

    fn add(&mut self, other: Self) {
        self.unlisted += other.unlisted;
        other.listed.into_iter().for_each(|finding| self.push(finding));
    }
}

/// Keys of one scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemeKeys {
    /// Of what they are.
    pub scheme: &'static Scheme,
    /// How many there are.
    pub keys: u64,
}

/// What was found in a set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetReport {
    /// Validators that the manifest names.
    pub validators: u64,
    /// Keys whose files were looked at.
    pub keys_checked: u64,
    /// Those of them whose secret could not be had: whether they share one-time keys with another key is not known.
    pub keys_not_compared: u64,
    /// Of which schemes the keys are whose secrets could be read, that of the first key first. A key of leanVM shows it by its
    /// seed, which makes the public parameter under one scheme alone.
    pub schemes: Vec<SchemeKeys>,
    /// The scheme that the manifest claims; none if it names a version of leanVM that is not known, or none.
    pub claimed_scheme: Option<&'static Scheme>,
    /// The revision of leanVM that the manifest names.
    pub leanvm_rev: Option<LeanvmRevision>,
    /// What is wrong.
    pub faults: Findings,
    /// What is not wrong, but should be known.
    pub warnings: Findings,
    /// Files that could not be read, because the machine failed: nothing is known of them.
    pub unread: Findings,
}

impl SetReport {
    pub(super) fn fault(&mut self, path: &Path, what: impl Into<String>) {
        self.faults.push(finding(path, what));
    }

    /// As [`fault`](Self::fault), about which something can be done.
    pub(super) fn curable(&mut self, path: &Path, what: impl Into<String>, remedies: &[Remedy]) {
        self.faults.push(SetFinding {
            remedies: remedies.to_vec(),
            ..finding(path, what)
        });
    }

    pub(super) fn warning(&mut self, path: &Path, what: impl Into<String>) {
        self.warnings.push(finding(path, what));
    }

    /// A file is of no use. That is a fault of the set unless the machine failed.
    pub(super) fn failed(&mut self, fault: impl Into<Fault>) {
        match fault.into() {
            Fault::Wrong { path, what } => self.fault(&path, what),
            Fault::Io(failure) if failure.is_missing() => {
                self.fault(&failure.path, "it is missing, or a link that leads nowhere");
            }
            Fault::Io(failure) => {
                let what = format!("{} failed: {}", failure.call, failure.source);
                self.unread.push(finding(&failure.path, what));
            }
        }
    }

    /// As [`failed`](Self::failed), unless the file is among those that could not be read already.
    pub(super) fn failed_once(&mut self, failure: IoFailure) {
        if !self.unread.listed.iter().any(|finding| finding.path == failure.path) {
            self.failed(failure);
        }
    }

    /// Adds what was found of keys behind those before.
    pub(super) fn add(&mut self, other: Self) {
        self.keys_checked += other.keys_checked;
        self.keys_not_compared += other.keys_not_compared;
        self.schemes.extend(other.schemes);
        self.faults.add(other.faults);
        self.warnings.add(other.warnings);
        self.unread.add(other.unread);
    }
}

/// Findings of keys that are looked at side by side, each with the place of its key.
#[derive(Default)]
struct Ordered {
    findings: Vec<(usize, SetFinding)>,
    unlisted: u64,
}

impl Ordered {
    fn add(&mut self, place: usize, found: Findings) {
        self.unlisted += found.unlisted;
        self.findings
            .extend(found.listed.into_iter().map(|finding| (place, finding)));
        if self.findings.len() > 2 * LISTED_MAX {
            self.shorten();
        }
    }

    /// Drops what will not be listed, whatever comes.
    fn shorten(&mut self) {
        // Those of one key stay in their order.
        self.findings.sort_by_key(|(place, _)| *place);
        self.unlisted += self.findings.len().saturating_sub(LISTED_MAX) as u64;
        self.findings.truncate(LISTED_MAX);
    }

    fn finish(mut self) -> Findings {
        self.shorten();
        Findings {
            listed: self.findings.into_iter().map(|(_, finding)| finding).collect(),
            unlisted: self.unlisted,
        }
    }
}

/// What is found of the keys of a set, whichever is finished first. The report is the same whatever that order was.
#[derive(Default)]
pub(super) struct Collected {
    faults: Ordered,
    warnings: Ordered,
    unread: Ordered,
}

impl Collected {
    /// Adds what was found of the key in this place.
    pub(super) fn add(&mut self, place: usize, found: SetReport) {
        self.faults.add(place, found.faults);
        self.warnings.add(place, found.warnings);
        self.unread.add(place, found.unread);
    }

    pub(super) fn finish(self) -> SetReport {
        SetReport {
            faults: self.faults.finish(),
            warnings: self.warnings.finish(),
            unread: self.unread.finish(),
            ..SetReport::default()
        }
    }
}

fn finding(path: &Path, what: impl Into<String>) -> SetFinding {
    let (path, what) = (path.to_owned(), what.into());
    let remedies = Vec::new();
    SetFinding { path, what, remedies }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of key `place`: so many faults, and a warning.
    fn of_key(place: usize, faults: usize) -> SetReport {
        let mut report = SetReport::default();
        for number in 0..faults {
            report.fault(Path::new("file"), format!("{place}.{number}"));
        }
        report.warning(Path::new("file"), format!("{place}"));
        report
    }

    #[test]
    fn the_first_findings_are_listed_in_the_order_of_the_keys_and_all_are_counted() {
        let keys = 3 * LISTED_MAX;
        let collected = |places: &mut dyn Iterator<Item = usize>| {
            let mut collected = Collected::default();
            places.for_each(|place| collected.add(place, of_key(place, 2)));
            assert!(collected.faults.findings.len() <= 2 * LISTED_MAX);
            collected.finish()
        };
        let in_order = collected(&mut (0..keys));
        let what: Vec<_> = in_order.faults.listed.iter().map(|finding| &finding.what[..]).collect();
        assert_eq!((what.len(), &what[..3]), (LISTED_MAX, &["0.0", "0.1", "1.0"][..]));
        assert_eq!(in_order.faults.count(), 2 * keys as u64);
        assert_eq!((in_order.warnings.count(), in_order.unread.count()), (keys as u64, 0));
        assert_eq!(collected(&mut (0..keys).rev()), in_order);
        // Every key once, far from its place.
        assert_eq!(collected(&mut (0..keys).map(|place| place * 7 % keys)), in_order);
    }

    #[test]
    fn what_is_found_of_the_set_itself_stands_before_what_is_found_of_its_keys() {
        let mut report = of_key(0, LISTED_MAX);
        report.add(of_key(1, 2));
        assert_eq!((report.faults.listed.len(), report.faults.unlisted), (LISTED_MAX, 2));
        assert_eq!(
            report.faults.listed.last().unwrap().what,
            format!("0.{}", LISTED_MAX - 1)
        );
        assert!(!report.faults.is_empty());
    }
}
