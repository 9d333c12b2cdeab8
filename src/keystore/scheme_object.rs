//! The object `scheme`: all that a key follows from, but for its secret.

use serde::{Deserialize, Serialize};

use super::facts::KeyFacts;
use super::{Fault, Origin, from_hex};
use crate::plan::Plan;
use crate::text::Foreign;
use keymill_xmss::scheme::{Parameter, Scheme, Secrets};

/// The only scheme of EIP-8310. Which keys of it keymill knows is in its parameter `hash`.
pub(super) const NAME: &str = "leanxmss";
const TARGET_SUM: &str = "target_sum";
/// Of schemes whose codewords have a checksum and no sum.
const CHECKSUM: &str = "winternitz";
/// Each epoch has a leaf of its own.
const SYNCHRONIZED: &str = "synchronized";
const SEED: &str = "seed";
const PRF_KEY: &str = "prf-key";
/// `StdRng` of rand 0.9 and 0.10, seeded with the seed.
const DRAWN_BY_RAND: &str = "rand-stdrng";
/// As the scheme itself says.
const DRAWN_BY_SCHEME: &str = "scheme";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct SchemeObject {
    name: String,
    params: Params,
}

/// The last six are ours: EIP-8310 asks for everything that the public key follows from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Params {
    hash: String,
    tree_height: u64,
    hypertree_layers: u64,
    encoding: String,
    winternitz_w: u64,
    dimension: u64,
    target_sum: Option<u64>,
    index_mode: String,
    activation_epoch: u64,
    lifetime_leaves: u64,
    active_epochs: u64,
    secret: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    draw: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fillers: Option<String>,
}

impl SchemeObject {
    pub(super) fn of(facts: &KeyFacts) -> Self {
        let (plan, scheme) = (&facts.plan, facts.plan.scheme());
        let target_sum = scheme.family().codewords().target_sum;
        let is_prf_key = facts.origin == Origin::PrfKey;
        Self {
            name: NAME.to_owned(),
            params: Params {
                hash: scheme.id().to_owned(),
                tree_height: scheme.log_lifetime().into(),
                hypertree_layers: 1,
                encoding: encoding(target_sum).to_owned(),
                winternitz_w: scheme.chain_length().into(),
                dimension: scheme.chains() as u64,
                target_sum: target_sum.map(u64::from),
                index_mode: SYNCHRONIZED.to_owned(),
                activation_epoch: plan.activation_epoch(),
                lifetime_leaves: scheme.lifetime(),
                active_epochs: plan.active_epochs(),
                secret: if is_prf_key { PRF_KEY } else { SEED }.to_owned(),
                draw: (!is_prf_key).then(|| draw(scheme).to_owned()),
                parameter: facts.parameter.as_ref().map(hex::encode),
                fillers: facts.fillers.as_ref().map(hex::encode),
            },
        }
    }

    /// The facts that it tells; `origin` and public key stand elsewhere in the file.
    pub(super) fn facts(&self, origin: Option<Origin>, public_key: Option<Vec<u8>>) -> Result<KeyFacts, Fault> {
        let params = &self.params;
        if self.name != NAME {
            return Err(unknown_name(&self.name));
        }
        let scheme = Scheme::by_id(&params.hash).map_err(|error| format!("'hash': {error}"))?;
        let hex_of = |name, digits: &Option<String>| digits.as_ref().map(|text| from_hex(name, text)).transpose();
        let parameter = hex_of("parameter", &params.parameter)?;
        let parameter = parameter.map(|bytes| Parameter::new(scheme, &bytes)).transpose();
        let facts = KeyFacts {
            plan: Plan::new(scheme, params.activation_epoch, params.active_epochs)
                .map_err(|error| error.to_string())?,
            origin: self.origin(origin)?,
            parameter: parameter.map_err(|error| format!("'parameter': {error}"))?,
            fillers: hex_of("fillers", &params.fillers)?,
            public_key,
        };
        facts.check()?;
        // Everything else follows from these, and has one value.
        match self.differing(&Self::of(&facts)) {
            Some((name, found, expected)) => Err(format!(
                "'{name}' is {}, and {expected} for {}",
                Foreign(&found),
                scheme.id()
            )),
            None => Ok(facts),
        }
    }

    fn origin(&self, told: Option<Origin>) -> Result<Origin, Fault> {
        let is_prf_key = match self.params.secret.as_str() {
            PRF_KEY => true,
            SEED => false,
            other => {
                return Err(format!(
                    "'secret' is '{}', and neither '{SEED}' nor '{PRF_KEY}'",
                    Foreign(other)
                ));
            }
        };
        // What another program wrote was given, as far as is known here.
        let given = if is_prf_key { Origin::PrfKey } else { Origin::Seed };
        match told {
            Some(origin) if (origin == Origin::PrfKey) != is_prf_key => Err(format!(
                "'origin' is '{origin}', and the secret is a '{}'",
                self.params.secret
            )),
            told => Ok(told.unwrap_or(given)),
        }
    }

    /// The first value that is another one than it has to be: its name, what it is, and what it has to be.
    fn differing(&self, expected: &Self) -> Option<(&'static str, String, String)> {
        let pairs = self.values().into_iter().zip(expected.values());
        let mut differing = pairs.filter(|((_, found), (_, expected))| found != expected);
        differing
            .next()
            .map(|((name, found), (_, expected))| (name, found, expected))
    }

    /// Every value by its name, in one order.
    fn values(&self) -> [(&'static str, String); 16] {
        let Params {
            hash,
            tree_height,
            hypertree_layers,
            encoding,
            winternitz_w,
            dimension,
            target_sum,
            index_mode,
            activation_epoch,
            lifetime_leaves,
            active_epochs,
            secret,
            draw,
            parameter,
            fillers,
        } = &self.params;
        let or_none = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
        [
            ("name", self.name.clone()),
            ("hash", hash.clone()),
            ("tree_height", tree_height.to_string()),
            ("hypertree_layers", hypertree_layers.to_string()),
            ("encoding", encoding.clone()),
            ("winternitz_w", winternitz_w.to_string()),
            ("dimension", dimension.to_string()),
            ("target_sum", or_none(target_sum.as_ref().map(u64::to_string))),
            ("index_mode", index_mode.clone()),
            ("activation_epoch", activation_epoch.to_string()),
            ("lifetime_leaves", lifetime_leaves.to_string()),
            ("active_epochs", active_epochs.to_string()),
            ("secret", secret.clone()),
            ("draw", or_none(draw.clone())),
            ("parameter", or_none(parameter.clone())),
            ("fillers", or_none(fillers.clone())),
        ]
    }

    /// What the encryption is bound to: every value here, the origin and the public key, a line each.
    pub(super) fn associated_data(facts: &KeyFacts) -> String {
        let of_scheme = Self::of(facts).values();
        let public_key = facts.public_key.as_ref().map_or("none".to_owned(), hex::encode);
        let others = [("origin", facts.origin.to_string()), ("pubkey", public_key)];
        let lines = of_scheme.into_iter().chain(others);
        let lines: String = lines.map(|(name, value)| format!("{name} {value}\n")).collect();
        format!("keymill/1 keystore\n{lines}")
    }
}

pub(super) fn unknown_name(name: &str) -> Fault {
    format!("its scheme is '{}', and keymill knows '{NAME}' alone", Foreign(name))
}

fn encoding(target_sum: Option<u16>) -> &'static str {
    if target_sum.is_some() { TARGET_SUM } else { CHECKSUM }
}

/// How parameter, PRF key and fillers follow from a seed.
fn draw(scheme: &Scheme) -> &'static str {
    match scheme.family().secrets() {
        Secrets::SeedOrPrfKey => DRAWN_BY_RAND,
        Secrets::SeedAlone => DRAWN_BY_SCHEME,
    }
}
