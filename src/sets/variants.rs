//! Of which scheme the keys of a set are, as each shows by itself. The name of a scheme of leanVM is that of all its versions,
//! no size tells them apart, and a set of the wrong one passes every other look at it.

use super::manifest::{NamedKey, SetKind};
use super::names::SECRET_SSZ;
use super::report::{SchemeKeys, SetReport};
use super::survey::Survey;
use keymill_xmss::scheme::Scheme;

/// The schemes of keys, by the places of these.
#[derive(Default)]
pub(super) struct SeenSchemes(Vec<(usize, &'static Scheme)>);

impl SeenSchemes {
    pub(super) fn add(&mut self, place: usize, scheme: &'static Scheme) {
        self.0.push((place, scheme));
    }

    /// How many keys there are of each, the scheme of the first key first.
    fn counted(&mut self) -> Vec<SchemeKeys> {
        self.0.sort_unstable_by_key(|(place, _)| *place);
        let mut counted: Vec<SchemeKeys> = Vec::new();
        for (_, scheme) in &self.0 {
            match counted.iter_mut().find(|of| of.scheme == *scheme) {
                Some(of) => of.keys += 1,
                None => counted.push(SchemeKeys { scheme, keys: 1 }),
            }
        }
        counted
    }

    /// Says of which schemes the keys are, and finds those that are not of the one that they have to be of.
    pub(super) fn report(
        mut self,
        expected: &Expected<'_>,
        keys: &[NamedKey<'_>],
        survey: &Survey,
        report: &mut SetReport,
    ) {
        report.schemes = self.counted();
        for what in expected.faults(&report.schemes) {
            report.fault(&survey.paths.manifest(), what);
        }
        let Some(&(first, of_first)) = self.0.first() else {
            return;
        };
        if report.schemes.len() == 1 {
            return;
        }
        // Without being asked, all are compared with the first one.
        let wanted = expected.asked.unwrap_or(of_first);
        for (place, scheme) in self.0 {
            let (Some(first), Some(key)) = (keys.get(first), keys.get(place)) else {
                continue;
            };
            if scheme != wanted {
                let (is, wanted) = (scheme.id(), wanted.id());
                let what = if expected.asked.is_some() {
                    format!("it is a key of {is}, and has to be one of {wanted}")
                } else {
                    let first = first.name.file(SECRET_SSZ);
                    format!("it is a key of {is}, and '{first}' one of {wanted}: the keys of a set are of one scheme")
                };
                report.fault(&survey.paths.file(key.name, SECRET_SSZ), what);
            }
        }
    }
}

/// What the keys of a set have to be.
pub(super) struct Expected<'a> {
    pub(super) kind: &'a SetKind,
    /// What somebody says of them who knows the network.
    pub(super) asked: Option<&'static Scheme>,
}

impl Expected<'_> {
    /// What is wrong with keys of these schemes.
    pub(super) fn faults(&self, found: &[SchemeKeys]) -> Vec<String> {
        let all: u64 = found.iter().map(|of| of.keys).sum();
        let claimed = self.kind.claimed_scheme().filter(|_| self.kind.is_of_leanvm());
        let mut faults = Vec::new();
        for of in found {
            let keys = if of.keys == all {
                "the keys are".to_owned()
            } else {
                format!("{} of the {all} keys are", of.keys)
            };
            let keys = format!("{keys} of {}", of.scheme.id());
            if let Some(claimed) = claimed.filter(|claimed| *claimed != of.scheme) {
                let revision = self.kind.leanvm_rev.map_or_else(String::new, |it| it.in_words());
                faults.push(format!("the manifest claims {} ({revision}), {keys}", claimed.id()));
            }
            if let Some(asked) = self.asked.filter(|asked| *asked != of.scheme) {
                faults.push(format!("the set has to be of {}, {keys}", asked.id()));
            }
        }
        faults
    }
}
