//! Forms that other programs write and read.

#[cfg(any(feature = "keygen", all(fuzzing, feature = "records")))]
#[cfg_attr(
    not(feature = "keygen"),
    expect(dead_code, reason = "the texts are fuzzed without the sets that have them")
)]
pub(crate) mod key_set;
pub mod leansig_json;
pub mod ledger_json;
pub mod secret_key;
pub mod ssz;
