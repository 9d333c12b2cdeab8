//! The files that engines take: templates, in which the key has its places.

use std::path::Path;

use clap::ValueEnum;
use keymill::parts::Ticket;

use crate::cli::failure::Failure;
use crate::cli::shell::word;

/// What starts the parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// A script that submits an array of tasks, and the join behind it.
    Slurm,
    /// An Indexed Job, and the Job of the join.
    Kubernetes,
    /// A script for GNU parallel over ssh.
    Parallel,
}

impl Engine {
    fn template(self) -> &'static str {
        match self {
            Self::Slurm => include_str!("slurm.sh"),
            Self::Kubernetes => include_str!("kubernetes.yaml"),
            Self::Parallel => include_str!("parallel.sh"),
        }
    }

    /// The file for the key in this directory, which was divided.
    pub fn job_file(self, directory: &Path) -> Result<String, Failure> {
        let ticket = Ticket::of_key(directory)?;
        let directory = std::path::absolute(directory)
            .map_err(|error| Failure::machine(format!("the current directory cannot be told: {error}")))?;
        let sealed = directory.join("keystore.json");
        let secret = if sealed.exists() {
            sealed
        } else {
            directory.join("secret")
        };
        let parts = ticket.division().count(ticket.key().plan());
        let places = [
            ("@PARTS@", parts.to_string()),
            ("@LAST@", (parts - 1).to_string()),
            ("@KEY_ID@", ticket.key().key_id().to_string()),
            ("@TICKET@", word(&directory.join("ticket.toml"))),
            ("@SECRET@", word(&secret)),
            ("@KEY@", word(&directory)),
        ];
        Ok(places.iter().fold(self.template().to_owned(), |text, (place, value)| {
            text.replace(place, value)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_a_template_is_filled() {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("a key");
        let scheme = keymill::Scheme::by_id("leansig-p1-l8-abort-v4-w8").unwrap();
        let asked = keymill::KeygenJob::builder(&key).request(keymill::KeyRequest::new(scheme).epochs(256));
        keymill::parts::split(&asked, Some(keymill::parts::Division::Parts(1))).unwrap();
        for engine in Engine::value_variants() {
            let file = engine.job_file(&key).unwrap();
            // Addresses have one such sign, places two.
            let left = file
                .split('@')
                .skip(1)
                .find(|text| text.chars().all(|c| c.is_ascii_uppercase() || c == '_'));
            assert_eq!(left, None, "{engine:?}");
            assert!(file.contains("a key/secret'"), "{engine:?}: {file}");
        }
    }
}
