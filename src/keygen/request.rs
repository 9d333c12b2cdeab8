//! What a key is asked to be, when it is made and when it is resumed.

use std::path::Path;

use super::error::{contradiction, other_expected_root, other_fillers, other_root, other_secret, parameter_missing};
use crate::error::{Error, Reason, Result};
use crate::keydir::error::foreign;
use crate::keydir::{KeyState, MANIFEST, Manifest, Origin, SECRET, Secret, check_digest, commitment};
use crate::plan::Plan;
use crate::remedy::{Argument, Remedy};
use crate::text::counted;
use crate::units::Level;
use keymill_xmss::hash::PrfKey;
use keymill_xmss::scheme::{Parameter, Scheme, Secrets};

/// A key as asked for. What is left out is taken from `defaults` for a new key, and from the manifest of one that is
/// resumed; what is given must not contradict the manifest.
///
/// # Examples
/// ```
/// use keymill::{KeyRequest, Scheme, Secret};
/// let scheme = Scheme::by_id("leansig-p1-l32-abort-v46-w8")?;
/// let request = KeyRequest::new(scheme).epochs(1 << 18).secret(Secret::Seed([7; 32]));
/// assert_eq!(request.activation_epoch, None);
/// # Ok::<(), keymill::UnknownScheme>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct KeyRequest {
    /// The scheme.
    pub scheme: Option<&'static Scheme>,
    /// First epoch.
    pub activation_epoch: Option<u64>,
    /// Number of epochs.
    pub epochs: Option<u64>,
    /// The secret; without one a new key draws a fresh seed.
    pub secret: Option<Secret>,
    /// The public parameter, canonical bytes; needed beside a PRF key.
    pub parameter: Option<Parameter>,
    /// Filler digests in drawing order, of a key that another program drew; without them those of a PRF key are derived
    /// from it.
    pub fillers: Option<Vec<u8>>,
    /// The root that the key has to have, since it existed before: as another program computed it, or as a backup says. A
    /// directory that is begun with it keeps it until the key is sealed, and a key that comes to another one is not, whoever
    /// goes on with it.
    pub root: Option<Vec<u8>>,
    /// The lowest level that is stored.
    pub trim: Option<Level>,
    /// Where the secret came from, of a key that existed before and is made again. It may have signed elsewhere, so it gets
    /// no mark that vouches for the contrary, not even if its secret was drawn fresh.
    pub restored: Option<Origin>,
}

/// What a new key is where the request is silent.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct KeyDefaults {
    /// The scheme.
    pub scheme: &'static Scheme,
    /// Number of epochs, or as many as the lifetime has from the first epoch on.
    pub epochs: u64,
    /// The lowest level that is stored; 0 stores all of them.
    pub trim: Level,
}

impl KeyDefaults {
    /// This scheme and number of epochs, with every level stored.
    pub fn new(scheme: &'static Scheme, epochs: u64) -> Self {
        let trim = Level(0);
        Self { scheme, epochs, trim }
    }

    /// The same, stored from this level on.
    #[must_use]
    pub fn trim(self, trim: Level) -> Self {
        Self { trim, ..self }
    }
}

impl KeyRequest {
    /// A key of this scheme.
    pub fn new(scheme: &'static Scheme) -> Self {
        let scheme = Some(scheme);
        Self {
            scheme,
            ..Self::default()
        }
    }

    /// The same from this epoch on.
    #[must_use]
    pub fn activation_epoch(self, first: u64) -> Self {
        let activation_epoch = Some(first);
        Self {
            activation_epoch,
            ..self
        }
    }

    /// The same with so many epochs.
    #[must_use]
    pub fn epochs(self, epochs: u64) -> Self {
        let epochs = Some(epochs);
        Self { epochs, ..self }
    }

    /// The same from this secret.
    #[must_use]
    pub fn secret(self, secret: Secret) -> Self {
        let secret = Some(secret);
        Self { secret, ..self }
    }

    /// The same with this public parameter, which goes with a PRF key.
    #[must_use]
    pub fn parameter(self, parameter: Parameter) -> Self {
        let parameter = Some(parameter);
        Self { parameter, ..self }
    }

    /// The same, stored from this level on.
    #[must_use]
    pub fn trim(self, trim: Level) -> Self {
        let trim = Some(trim);
        Self { trim, ..self }
    }

    /// The plan of a new key, of a request that is sound in all else too.
    pub(super) fn sound_plan(&self, defaults: Option<&KeyDefaults>) -> Result<Plan> {
        self.check_parameter()?;
        let missing = |argument| {
            let what = format!("a new key needs {argument}, which the request does not name");
            Error::usage(what).mend([Remedy::Give(argument)])
        };
        let scheme = self.scheme.or(defaults.map(|defaults| defaults.scheme));
        let scheme = scheme.ok_or_else(|| missing(Argument::Scheme))?;
        let epochs = self.epochs.or(defaults.map(|defaults| defaults.epochs));
        let epochs = epochs.ok_or_else(|| missing(Argument::Epochs))?;
        let activation = self.activation_epoch.unwrap_or(0);
        let plan = Plan::or_default(scheme, activation, self.epochs, epochs)?;
        let trim = self.trim.or(defaults.map(|defaults| defaults.trim));
        let plan = plan.trimmed(trim.unwrap_or(Level(0)))?;
        self.check_secret_form(plan.scheme())?;
        self.check_fillers(&plan)?;
        self.check_root_form(plan.scheme())?;
        Ok(plan)
    }

    /// Whether the key existed before, and may have signed wherever that was.
    pub(super) fn has_a_past(&self) -> bool {
        self.restored.is_some() || self.root.is_some()
    }

    /// Refuses a PRF key without its parameter, and a parameter without a PRF key.
    fn check_parameter(&self) -> Result<()> {
        match (&self.secret, self.parameter) {
            (Some(Secret::PrfKey(_)), None) => Err(parameter_missing()),
            (Some(Secret::Seed(_)) | None, Some(_)) => Err(Error::usage(
                "a public parameter goes with a PRF key only: a seed draws its own",
            )
            .mend([Remedy::LeaveOut(Argument::Parameter), Remedy::Give(Argument::PrfKey)])),
            _ => Ok(()),
        }
    }

    /// Refuses a parameter that is not one of this scheme, and a PRF key where a key is made of a seed alone.
    fn check_secret_form(&self, scheme: &Scheme) -> Result<()> {
        match (scheme.family().secrets(), &self.secret) {
            (Secrets::SeedAlone, Some(Secret::PrfKey(_))) => {
                let what = format!("a key of {} is made of a seed alone, not of a PRF key", scheme.id());
                return Err(Error::usage(what).mend([Remedy::LeaveOut(Argument::PrfKey), Remedy::Give(Argument::Seed)]));
            }
            (Secrets::SeedAlone | Secrets::SeedOrPrfKey, _) => {}
        }
        if let Some(parameter) = &self.parameter {
            let unsound = |error| {
                Error::usage(format!("the public parameter is not sound: {error}"))
                    .mend([Remedy::Change(Argument::Parameter)])
            };
            Parameter::new(scheme, parameter).map_err(unsound)?;
        }
        Ok(())
    }

    /// Refuses fillers that a key of this plan cannot have.
    fn check_fillers(&self, plan: &Plan) -> Result<()> {
        let Some(fillers) = &self.fillers else {
            return Ok(());
        };
        if !matches!(self.secret, Some(Secret::PrfKey(_))) {
            return Err(Error::usage("fillers go with a PRF key only: a seed draws its own"));
        }
        let expected_bytes = plan.filler_count() * plan.scheme().digest_bytes();
        if fillers.len() != expected_bytes {
            return Err(Error::usage(format!(
                "there are {} bytes of fillers, but the tree over these epochs has {expected_bytes}",
                fillers.len()
            )));
        }
        let sound = plan.scheme().check_canonical(fillers);
        sound.map_err(|error| Error::usage(format!("in its fillers, {error}")))
    }

    /// Refuses a root that no key of this scheme can have.
    fn check_root_form(&self, scheme: &Scheme) -> Result<()> {
        let root = self.root.as_deref().map(|root| check_digest(scheme, root));
        let unsound = |what| {
            Error::usage(format!(
                "the root that the key is to have is not a digest of its scheme: {what}"
            ))
        };
        root.transpose().map(drop).map_err(unsound)
    }

    /// The secret of a new key; none if a fresh one is to be drawn. `left` is the one that an interrupted creation left in the
    /// directory.
    pub(super) fn secret_to_begin(
        &self,
        left: Option<(Secret, Origin)>,
        directory: &Path,
    ) -> Result<Option<(Secret, Origin)>> {
        match (&self.secret, left) {
            (Some(secret), Some((left, _))) if !secret.is_same_as(&left) => Err(foreign(&directory.join(SECRET))),
            (Some(secret), _) => Ok(Some((secret.clone(), origin_of(secret)))),
            (None, Some((Secret::PrfKey(_), _))) => Err(parameter_missing()),
            (None, left) => Ok(left),
        }
    }

    /// The manifest of a new key.
    pub(super) fn begin(&self, plan: Plan, secret: &Secret, origin: Origin) -> Manifest {
        let parameter = self.parameter.unwrap_or_default();
        let drawn = secret.draw(&plan, &parameter);
        let commitment = commitment(&drawn.prf_key);
        let fillers = self.fillers.clone().unwrap_or(drawn.fillers);
        Manifest::begin(plan, drawn.parameter, commitment, origin, fillers).expecting(self.root.clone())
    }

    /// Refuses a request that contradicts the manifest of the key that is to be resumed.
    pub(super) fn agrees_with(&self, manifest: &Manifest, directory: &Path) -> Result<()> {
        let plan = manifest.plan();
        if let Some(trim) = self.trim {
            plan.clone().trimmed(trim)?;
        }
        let contradictions = [
            contradicting(Argument::Scheme, self.scheme.map(Scheme::id), &plan.scheme().id()),
            contradicting(
                Argument::ActivationEpoch,
                self.activation_epoch,
                &plan.activation_epoch(),
            ),
            contradicting(Argument::Epochs, self.epochs, &plan.active_epochs()),
            contradicting(
                Argument::Parameter,
                self.parameter.map(hex::encode),
                &hex::encode(manifest.parameter()),
            ),
            contradicting(Argument::Trim, self.trim, &plan.trim()),
        ];
        if let Some((argument, values)) = contradictions.into_iter().flatten().next() {
            let reason = match argument {
                Argument::Scheme | Argument::Trim => Reason::Contradiction,
                _ => Reason::OtherKey,
            };
            let values = values.map(|value| {
                if argument == Argument::Epochs {
                    value.parse().map_or(value, |epochs| counted(epochs, "epoch"))
                } else {
                    format!("{argument} {value}")
                }
            });
            let manifest = directory.join(MANIFEST);
            return Err(contradiction("key", manifest, values, Remedy::LeaveOut(argument)).because(reason));
        }
        if let Some(fillers) = &self.fillers
            && fillers != manifest.fillers().digests()
        {
            return Err(other_fillers(directory.join(MANIFEST)));
        }
        self.check_secret_form(plan.scheme())?;
        self.check_root_form(plan.scheme())?;
        if let Some(root) = manifest.root() {
            check_root(self.root.as_deref(), root, manifest.state(), directory)?;
        }
        self.agrees_with_secret(manifest, directory)?;
        match (&self.root, manifest.expected_root()) {
            (Some(asked), Some(expected)) if asked != expected => Err(other_expected_root(directory, asked, expected)),
            _ => Ok(()),
        }
    }

    fn agrees_with_secret(&self, manifest: &Manifest, directory: &Path) -> Result<()> {
        let Some(secret) = &self.secret else {
            return Ok(());
        };
        let (argument, prf_key) = match secret {
            Secret::Seed(seed) => (Argument::Seed, manifest.scheme().draw(seed, &[]).prf_key),
            Secret::PrfKey(bytes) => (Argument::PrfKey, PrfKey::new(*bytes)),
        };
        if commitment(&prf_key) == *manifest.secret_commitment() {
            return Ok(());
        }
        Err(other_secret(argument, directory.join(MANIFEST)))
    }
}

/// Refuses a root that is not the one asked for.
pub(super) fn check_root(asked: Option<&[u8]>, root: &[u8], state: KeyState, directory: &Path) -> Result<()> {
    match asked {
        Some(asked) if asked != root => Err(other_root(directory, state, asked, root)),
        _ => Ok(()),
    }
}

fn origin_of(secret: &Secret) -> Origin {
    match secret {
        Secret::Seed(_) => Origin::Seed,
        Secret::PrfKey(_) => Origin::PrfKey,
    }
}

fn contradicting<T: PartialEq + ToString>(
    argument: Argument,
    asked: Option<T>,
    found: &T,
) -> Option<(Argument, [String; 2])> {
    let asked = asked.filter(|asked| asked != found)?;
    Some((argument, [asked.to_string(), found.to_string()]))
}
