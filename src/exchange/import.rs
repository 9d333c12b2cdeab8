//! From a secret key of another program to a key directory: what the key is to be, and whether it came to be that.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use zeroize::{Zeroize, Zeroizing};

use crate::error::{Error, Reason, Result};
use crate::failure::{IoFailure, attempt};
use crate::files::open_to_read;
use crate::interop::Role;
use crate::interop::secret_key::{SecretKeyError, SecretKeyFile, SecretKeyForm, form_of, reading_bytes_max};
use crate::keydir::{KeyDir, KeyState, Secret};
use crate::keygen::KeyRequest;
use crate::memory::Limits;
use crate::plan::{MemoryRequest, Reading};
use crate::remedy::Remedy;
use crate::resources::{Registration, ResourceKind, register};
use crate::text::bytes_without_mark;
use crate::units::{Level, NodeIndex};
use keymill_xmss::scheme::{Scheme, Secrets};

/// The error of a file that holds no sound secret key.
fn not_taken(path: &Path, error: SecretKeyError) -> Error {
    let refused = |what: String| Error::usage(what).within(cannot(path)).at(path);
    match error {
        SecretKeyError::Read(source) => {
            let (call, path_read) = ("read", path.to_owned());
            let failure = IoFailure {
                call,
                path: path_read,
                source,
            };
            Error::unreadable(failure).within(cannot(path))
        }
        SecretKeyError::Malformed { at, what } => {
            let in_line = line_of(path, at).map_or_else(String::new, |line| format!("in line {line}, "));
            refused(format!("{in_line}at byte {at}, {what}"))
        }
        SecretKeyError::Refused { what, remedy } => refused(what).mend(remedy),
    }
}

fn cannot(path: &Path) -> String {
    format!("'{}' cannot be imported", path.display())
}

/// The line in which a file is wrong, if it is a text of several. It is read once more for that, and is not a matter of life and
/// death: what cannot be read has no line.
fn line_of(path: &Path, at: u64) -> Option<u64> {
    let mut file = open_to_read(path).ok()?.take(at);
    let mut buffer = Zeroizing::new([0; 8 << 10]);
    let mut line = 1;
    let mut is_text = false;
    loop {
        let count = file.read(&mut *buffer).ok()?;
        let bytes = &buffer[..count];
        if line == 1 && !is_text {
            is_text = bytes_without_mark(bytes).trim_ascii_start().starts_with(b"{");
        }
        match count {
            0 => return Some(line).filter(|&line| is_text && line > 1),
            _ => line += bytes.iter().filter(|&&byte| byte == b'\n').count() as u64,
        }
    }
}

/// What the job takes at the least that makes the key beside what was read.
const JOB_BYTES: u64 = 4 << 20;
/// More than is needed to tell the form of a file.
const BEGINNING_BYTES: usize = 4 << 10;

/// What reading a file takes, and making the key in it.
fn reading(file: &File, form: Option<SecretKeyForm>, memory: MemoryRequest) -> Reading {
    let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file);
    // Of what comes through a pipe, nothing is known before.
    let file_bytes = metadata.as_ref().map_or(u64::MAX, std::fs::Metadata::len);
    let mut beginning = [0; BEGINNING_BYTES];
    let seen = metadata
        .and_then(|_| file.read_at(&mut beginning, 0).ok())
        .unwrap_or_default();
    let form = form.or_else(|| form_of(&beginning[..seen]).ok());
    beginning.zeroize();
    Reading {
        held_bytes: reading_bytes_max(form, file_bytes) + JOB_BYTES,
        thread_bytes: 0,
        threads: 1,
        memory,
    }
}

/// A secret key of another program whose own trees are sound, as far as that can be seen before its leaves are computed.
#[derive(Debug)]
pub struct Import {
    path: PathBuf,
    file: SecretKeyFile,
    scheme: &'static Scheme,
    _registration: Registration,
}

impl Import {
    /// Reads a secret key. `form` and `scheme` are recognised where they are left out; `role` says which key of a file of
    /// two is meant. The first leaves of both bottom trees are compared with those that the PRF key makes, a public parameter
    /// of leanVM with that which the seed makes, and all other nodes with the hashes of their children. A file for which there
    /// is too little memory is not read.
    ///
    /// # Errors
    /// [`Error`] says what is wrong with the file, and where.
    pub fn read(
        path: &Path,
        form: Option<SecretKeyForm>,
        role: Option<Role>,
        scheme: Option<&'static Scheme>,
        memory: MemoryRequest,
    ) -> Result<Self> {
        let mut opened = attempt("open", path, || File::open(path)).map_err(Error::unreadable)?;
        let planned = reading(&opened, form, memory).plan(&Limits::detect());
        planned.map_err(|error| error.within(format!("'{}' is not read", path.display())))?;
        let file = SecretKeyFile::read(&mut opened, form, role).map_err(|error| not_taken(path, error))?;
        let scheme = file
            .scheme(scheme)
            .map_err(|error| error.within(cannot(path)).at(path))?;
        let kernel = scheme.kernel(&file.head().parameter);
        if let Some((level, node)) = file.first_wrong_node(kernel.as_ref()) {
            let what = format!("node {node} of level {level} is not the hash of its children; the file is damaged");
            return Err(Error::usage(what).within(cannot(path)).at(path));
        }
        Ok(Self {
            path: path.to_owned(),
            scheme,
            _registration: register(ResourceKind::Cache, file.held_bytes()),
            file,
        })
    }

    /// The secret key.
    pub fn file(&self) -> &SecretKeyFile {
        &self.file
    }

    /// Its scheme.
    pub fn scheme(&self) -> &'static Scheme {
        self.scheme
    }

    /// The same key, to be made in a directory.
    pub fn request(&self, trim: Option<Level>) -> KeyRequest {
        let head = self.file.head();
        let stored = head.shape.stored();
        let secret = head.prf_key.expose();
        let (secret, parameter, fillers) = match self.scheme.family().secrets() {
            Secrets::SeedOrPrfKey => {
                let fillers = self.file.fillers();
                (Secret::PrfKey(*secret), Some(head.parameter), Some(fillers))
            }
            Secrets::SeedAlone => (Secret::Seed(*secret), None, None),
        };
        KeyRequest {
            scheme: Some(self.scheme),
            activation_epoch: Some(stored.start),
            epochs: Some(stored.count()),
            secret: Some(secret),
            parameter,
            fillers,
            root: Some(self.file.root().to_vec()),
            trim,
            restored: None,
        }
    }

    /// What is wrong with a directory whose key is not that of [`request`](Self::request).
    pub fn other_key(&self, directory: &Path) -> Error {
        let (file, directory_shown) = (self.path.display(), directory.display());
        Error::directory(format!("'{directory_shown}' holds another key than '{file}'"))
            .because(Reason::Contradiction)
            .at(directory)
            .mend([Remedy::OtherDirectory])
    }

    /// Compares every node of the file with the layer files that were made of it, all but those of levels that are trimmed.
    ///
    /// # Errors
    /// [`Error`] names the first node that is not the same, from the lowest level upward.
    pub fn compare(&self, directory: &Path) -> Result<()> {
        let key = KeyDir::open(directory)?;
        let layers = key.mapped_layers()?;
        let digest_bytes = self.scheme.digest_bytes();
        let mut slices: Vec<_> = self.file.slices().collect();
        slices.sort_by_key(|(slice, _)| (slice.level, slice.nodes.start));
        slices.retain(|(slice, _)| slice.level >= key.manifest().plan().trim());
        let mut made = Vec::new();
        for (slice, recorded) in slices {
            made.clear();
            layers.append(slice, &mut made);
            if made == recorded {
                continue;
            }
            let pairs = made.chunks(digest_bytes).zip(recorded.chunks(digest_bytes));
            let equal = pairs.take_while(|(made, recorded)| made == recorded).count();
            let (level, node) = (slice.level, NodeIndex(slice.nodes.start + equal as u64));
            let way_out = match key.manifest().state() {
                KeyState::Sealed => "The directory is as it was",
                _ => "Do not sign with the directory, which is not finished: delete it, and import a sound file",
            };
            let what = format!(
                "'{}' is not the key in '{}': node {node} of level {level} differs in the tree that its PRF key and parameter \
                 make; the file is damaged, or mixes two keys. {way_out}",
                self.path.display(),
                directory.display()
            );
            return Err(Error::directory(what).at(directory));
        }
        Ok(())
    }
}
