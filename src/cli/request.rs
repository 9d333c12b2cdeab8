//! The flags that say what a key shall be, shared by keygen, plan and split.

use std::path::PathBuf;

use clap::Args;
use keymill::parts::Division;
use keymill::{JobOptions, KeyDefaults, KeyRequest, Level, MemoryRequest, Parameter, Scheme, Secret};

use super::failure::Failure;
use super::input::{parse_hex, secret_file};
use crate::config::{ProgressStyle, Settings, parse_count, parse_level, parse_memory, parse_scheme, parse_threads};

/// Flags of keygen and plan.
#[derive(Debug, Args)]
pub struct RequestArguments {
    #[command(flatten)]
    pub key: KeyArguments,
    #[command(flatten)]
    pub machine: MachineArguments,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Which key.
#[derive(Debug, Args)]
pub struct KeyArguments {
    /// Scheme of the key; `keymill schemes` lists them.
    #[arg(long, value_name = "ID", value_parser = parse_scheme)]
    pub scheme: Option<&'static Scheme>,
    /// First epoch that the key is for [default: 0].
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub activation_epoch: Option<u64>,
    /// Number of epochs, as 1000 or 2^20.
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub epochs: Option<u64>,
    /// Make the key from the seed in this file (32 bytes, or 64 hex digits) instead of a fresh one.
    #[arg(long, value_name = "FILE", conflicts_with = "prf_key_file")]
    pub seed_file: Option<PathBuf>,
    /// Make the key from the PRF key in this file (32 bytes, or 64 hex digits); needs --parameter.
    #[arg(long, value_name = "FILE", requires = "parameter")]
    pub prf_key_file: Option<PathBuf>,
    /// Public parameter for --prf-key-file: 20 bytes in hex.
    #[arg(long, value_name = "HEX", value_parser = parse_parameter, requires = "prf_key_file")]
    pub parameter: Option<Parameter>,
    /// Lowest level to store, 0 to 10: a path of the key then takes 2^L leaves, which are computed from the secret.
    #[arg(long, value_name = "L", value_parser = parse_level)]
    pub trim: Option<Level>,
}

/// Into which parts.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct DivisionArguments {
    /// Divide the key into so many parts, 1 to 10000, as equal as possible.
    #[arg(long, value_name = "N", value_parser = parse_count)]
    parts: Option<u64>,
    /// Divide the key into parts of so many epochs, a power of two.
    #[arg(long, value_name = "N", value_parser = parse_count)]
    part_epochs: Option<u64>,
}

impl DivisionArguments {
    /// What was asked for, if anything was.
    pub fn division(&self) -> Option<Division> {
        let parts = self.parts.map(Division::Parts);
        parts.or(self.part_epochs.map(Division::Epochs))
    }
}

/// How much of the machine a job may take.
#[derive(Debug, Args)]
pub struct MachineArguments {
    /// Worker threads; 0 means one per core.
    #[arg(long, value_name = "N", value_parser = parse_threads)]
    threads: Option<usize>,
    #[command(flatten)]
    memory: MemoryArgument,
}

/// How much memory a command may take.
#[derive(Debug, Args)]
pub struct MemoryArgument {
    /// Most memory, as 64M or 1G; auto is what cgroup, address space and machine allow, 0 is no limit.
    #[arg(long, value_name = "SIZE", value_parser = parse_memory)]
    memory: Option<MemoryRequest>,
}

impl MemoryArgument {
    /// What was asked for, or what the settings say.
    pub fn or(&self, settings: &Settings) -> Result<MemoryRequest, Failure> {
        Ok(settings.memory(self.memory)?)
    }
}

impl MachineArguments {
    /// The settings with these flags on top.
    pub fn settings(&self, settings: &Settings) -> Result<JobOptions, Failure> {
        Ok(settings.machine(self.threads, self.memory.memory)?)
    }

    /// Worker threads and memory, for a command that is not a job.
    #[cfg(feature = "serve")]
    pub fn threads_and_memory(&self, settings: &Settings) -> Result<(usize, MemoryRequest), Failure> {
        Ok((settings.threads(self.threads)?, self.memory.or(settings)?))
    }

    /// The same for a job that shows its progress.
    pub fn job(&self, settings: &Settings) -> Result<JobSettings, Failure> {
        Ok(JobSettings {
            machine: self.settings(settings)?,
            progress: settings.progress()?,
        })
    }
}

/// How a job runs: how much of the machine it may take, and how it shows itself.
#[derive(Clone, Copy, Debug)]
pub struct JobSettings {
    pub machine: JobOptions,
    pub progress: ProgressStyle,
}

fn parse_parameter(text: &str) -> Result<Parameter, String> {
    let bytes = parse_hex(text)?;
    if bytes.is_empty() || bytes.len() > Parameter::BYTES_MAX {
        return Err(format!(
            "{} bytes, but a public parameter is 20 bytes (40 hex digits) in most schemes, and at most {}",
            bytes.len(),
            Parameter::BYTES_MAX
        ));
    }
    Ok(Parameter::of(&bytes))
}

impl KeyArguments {
    /// The plan of a new key.
    pub fn plan(&self, settings: &Settings) -> Result<keymill::Plan, Failure> {
        let scheme = settings.scheme(self.scheme)?;
        let activation = self.activation_epoch.unwrap_or(0);
        let plan = keymill::Plan::or_default(scheme, activation, self.epochs, settings.epochs()?)?;
        Ok(plan.trimmed(settings.trim(self.trim)?)?)
    }

    /// The key that they ask for.
    pub fn request(&self) -> Result<KeyRequest, Failure> {
        let secret = match (&self.seed_file, &self.prf_key_file) {
            (Some(path), _) => Some(Secret::Seed(*secret_file("--seed-file", path)?)),
            (_, Some(path)) => Some(Secret::PrfKey(*secret_file("--prf-key-file", path)?)),
            (None, None) => None,
        };
        let mut request = KeyRequest::default();
        request.scheme = self.scheme;
        request.activation_epoch = self.activation_epoch;
        request.epochs = self.epochs;
        request.secret = secret;
        request.parameter = self.parameter;
        request.trim = self.trim;
        Ok(request)
    }

    /// What a new key is where they are silent.
    pub fn defaults(settings: &Settings) -> Result<KeyDefaults, Failure> {
        Ok(KeyDefaults::new(settings.scheme(None)?, settings.epochs()?).trim(settings.trim(None)?))
    }
}
