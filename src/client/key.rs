//! A key of a service: what is said of it, its signatures and its paths.

use serde::Deserialize;

use super::address::Address;
use super::error::{not_a_service, withheld};
use super::exchange::{Endpoint, Request};
use crate::error::Result;
use crate::signing::{AuthenticationPath, outside_key};
use crate::text::Foreign;
use crate::units::{Epoch, EpochRange};
use keymill_xmss::hash::Kernel;
use keymill_xmss::scheme::{MESSAGE_BYTES, Scheme};
use keymill_xmss::{PublicKey, Rejection, Signature, Verifier};

/// A key that a service holds. Any number of threads can use it side by side, and processes that are forked.
pub(crate) struct RemoteKey {
    endpoint: Endpoint,
    public_key: PublicKey,
    duty: &'static str,
    stored: EpochRange,
    verifier: Verifier,
    kernel: Box<dyn Kernel>,
}

/// What a service says of a key. Numbers are texts.
#[derive(Deserialize)]
struct KeyAnswer {
    scheme: String,
    first_slot: String,
    last_slot: String,
}

#[derive(Deserialize)]
struct PathsAnswer {
    paths: Vec<PathAnswer>,
}

#[derive(Deserialize)]
struct PathAnswer {
    slot: String,
    leaf: String,
    siblings: Vec<String>,
}

impl RemoteKey {
    /// Asks the service for the scheme of the key and for its epochs.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if no service answers, or if it does not hold the key.
    pub(crate) fn open(address: &Address) -> Result<Self> {
        let endpoint = Endpoint::of(address)?;
        let target = format!("/api/v1/lean/keys/0x{}", hex::encode(&address.public_key));
        let body = endpoint.ask(&get(&target))?;
        let said: KeyAnswer = read(&endpoint, &body)?;
        let wrong = |why: &str| not_a_service(endpoint.socket(), why);
        let scheme = Scheme::by_id(&said.scheme).map_err(|error| wrong(&error.to_string()))?;
        let public_key = PublicKey::from_ssz(scheme, &address.public_key).map_err(|error| wrong(&error.to_string()))?;
        let stored = stored_of(&said, scheme).ok_or_else(|| wrong("the key has no such slots"))?;
        Ok(Self {
            kernel: scheme.kernel(public_key.parameter()),
            verifier: Verifier::new(&public_key),
            endpoint,
            public_key,
            duty: address.duty,
            stored,
        })
    }

    /// The public key, with its scheme.
    pub(crate) fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The epochs of the key, as the service says.
    pub(crate) fn stored(&self) -> EpochRange {
        self.stored
    }

    fn epoch(&self, number: u64) -> Result<Epoch> {
        let epoch = u32::try_from(number).map(Epoch).ok();
        let epoch = epoch.filter(|&epoch| self.stored.contains(epoch));
        epoch.ok_or_else(|| outside_key(number, self.stored))
    }

    /// A signature, which has been verified.
    ///
    /// # Errors
    /// [`Reason::Spent`](crate::Reason::Spent) if the epoch has signed another message. Any other [`Error`](crate::Error) if the
    /// service refuses, if it does not answer in time, or if what it answers does not verify.
    pub(crate) fn sign(&self, epoch: u64, message: &[u8; MESSAGE_BYTES]) -> Result<Signature> {
        let epoch = self.epoch(epoch)?;
        let target = format!("/api/v1/lean/sign/{}", self.digits());
        let body = serde_json::json!({
            "type": self.duty,
            "slot": epoch.to_string(),
            "signing_root": format!("0x{}", hex::encode(message)),
        });
        let bytes = self.endpoint.ask(&Request {
            target: &target,
            body: Some(&body.to_string()),
            accept: "application/octet-stream",
        })?;
        let signature = Signature::from_ssz(self.public_key.scheme(), &bytes).map_err(Rejection::from);
        let verified = signature.and_then(|signature| {
            self.verifier.verify(epoch, message, &signature)?;
            Ok(signature)
        });
        verified.map_err(|why| withheld("signature", epoch, self.endpoint.socket(), &why.to_string()))
    }

    /// The path of an epoch, which leads to the root of the public key.
    ///
    /// # Errors
    /// [`Error`](crate::Error) if the service refuses, if it does not answer in time, or if its path leads elsewhere.
    pub(crate) fn path(&self, epoch: u64) -> Result<AuthenticationPath> {
        let epoch = self.epoch(epoch)?;
        let target = format!("/api/v1/lean/paths/{}/{epoch}", self.digits());
        let body = self.endpoint.ask(&get(&target))?;
        let answer: PathsAnswer = read(&self.endpoint, &body)?;
        self.path_in(epoch, &answer)
            .ok_or_else(|| withheld("path", epoch, self.endpoint.socket(), "it leads to another root"))
    }

    fn path_in(&self, epoch: Epoch, answer: &PathsAnswer) -> Option<AuthenticationPath> {
        let [path] = &answer.paths[..] else {
            return None;
        };
        let scheme = self.public_key.scheme();
        let digest = |text: &String| {
            let digest = hex::decode(text.strip_prefix("0x")?).ok()?;
            let is_one = digest.len() == scheme.digest_bytes() && scheme.check_canonical(&digest).is_ok();
            is_one.then_some(digest)
        };
        let is_whole = path.slot == epoch.to_string() && path.siblings.len() == usize::from(scheme.log_lifetime());
        if !is_whole {
            return None;
        }
        let siblings: Option<Vec<_>> = path.siblings.iter().map(digest).collect();
        let (leaf, siblings) = (digest(&path.leaf)?, siblings?.concat());
        let mut node = leaf.clone();
        self.kernel.fold_path(epoch, &siblings, &mut node);
        (node == self.public_key.root()).then_some(AuthenticationPath { epoch, leaf, siblings })
    }

    fn digits(&self) -> String {
        format!("0x{}", hex::encode(self.public_key.to_ssz()))
    }
}

fn get(target: &str) -> Request<'_> {
    Request {
        target,
        body: None,
        accept: "application/json",
    }
}

fn read<'b, T: Deserialize<'b>>(endpoint: &Endpoint, body: &'b [u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| not_a_service(endpoint.socket(), &Foreign(error).to_string()))
}

fn stored_of(said: &KeyAnswer, scheme: &Scheme) -> Option<EpochRange> {
    let number = |text: &str| text.parse::<u64>().ok().filter(|&number| number < scheme.lifetime());
    let (start, last) = (number(&said.first_slot)?, number(&said.last_slot)?);
    (start <= last).then_some(EpochRange { start, end: last + 1 })
}
