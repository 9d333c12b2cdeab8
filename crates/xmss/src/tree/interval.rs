//! The interval of epochs that a key stores, from the interval that was asked for (docs/SCHEMES.md, "Stored interval").

use crate::scheme::{Scheme, Widening};
use crate::units::{EpochRange, Level};

/// The key that was asked for cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No epoch was asked for.
    #[error("the number of epochs is 0; a key needs at least 1 epoch")]
    NoEpochs,
    /// The interval leaves the lifetime.
    #[error(
        "the first epoch {activation} and the number of epochs {epochs} pass the lifetime of {scheme}, which has {lifetime} \
         epochs: together they may be at most {lifetime}"
    )]
    PastLifetime {
        /// First epoch asked for.
        activation: u64,
        /// Number of epochs asked for.
        epochs: u64,
        /// Scheme identifier.
        scheme: &'static str,
        /// Epochs of the whole lifetime.
        lifetime: u64,
    },
    /// The trim would leave out levels that every key stores.
    #[error(
        "a trim of {trim} is too high: keys of {scheme} store every level from {limit} on, so it may be at most {limit}"
    )]
    TrimTooHigh {
        /// The lowest level that was to be stored.
        trim: Level,
        /// The level of the batches' roots.
        limit: Level,
        /// Scheme identifier.
        scheme: &'static str,
    },
}

/// The epochs that a key stores for which `epochs` epochs from `activation` are asked: these, and what the family widens
/// them by.
///
/// # Errors
/// [`PlanError`] if there is no epoch or one past the lifetime.
pub fn stored_interval(scheme: &Scheme, activation: u64, epochs: u64) -> Result<EpochRange, PlanError> {
    if epochs == 0 {
        return Err(PlanError::NoEpochs);
    }
    let lifetime = scheme.lifetime();
    let end = activation
        .checked_add(epochs)
        .filter(|&end| end <= lifetime)
        .ok_or(PlanError::PastLifetime {
            activation,
            epochs,
            scheme: scheme.id(),
            lifetime,
        })?;
    let asked = EpochRange { start: activation, end };
    Ok(match scheme.family().widening() {
        Widening::Exact => asked,
        Widening::ToBottomTrees => to_bottom_trees(scheme, asked),
    })
}

/// Whole bottom trees, at least two of them, inside the lifetime.
fn to_bottom_trees(scheme: &Scheme, asked: EpochRange) -> EpochRange {
    let bottom_tree = 1 << (scheme.log_lifetime() / 2);
    let start = asked.start - asked.start % bottom_tree;
    let end = asked.end.next_multiple_of(bottom_tree).max(start + 2 * bottom_tree);
    let passes = end.saturating_sub(scheme.lifetime());
    EpochRange {
        start: start - passes,
        end: end - passes,
    }
}
