//! The words with which the manifest of a key set says what its keys are.

use keymill_xmss::Scheme;
use keymill_xmss::scheme::KeyForms;

/// What hash-sig-cli, or for leanVM ethlambda, calls a scheme, and says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SchemeWords {
    pub(crate) key_scheme: &'static str,
    pub(crate) hash_function: &'static str,
    pub(crate) encoding: &'static str,
}

/// hash-sig-cli 0.4 makes keys of this scheme, for which the leanSig that it is built with has a name of its own. It writes
/// Poseidon2 although these keys are hashed with Poseidon1, and consumers know that word.
const OF_HASH_SIG_CLI: (&str, SchemeWords) = (
    "leansig-p1-l32-abort-v46-w8",
    SchemeWords {
        key_scheme: "SchemeAbortingTargetSumLifetime32Dim46Base8",
        hash_function: "Poseidon2",
        encoding: "TargetSum",
    },
);

/// leanVM's XMSS is called by its sizes, which all of its versions have.
const OF_LEANVM: &str = "XmssTargetSumLifetime32Dim42Base8";

/// The words for a scheme.
pub(crate) fn words(scheme: &Scheme) -> SchemeWords {
    if scheme.id() == OF_HASH_SIG_CLI.0 {
        return OF_HASH_SIG_CLI.1;
    }
    SchemeWords {
        key_scheme: match scheme.family().key_forms() {
            KeyForms::Leanvm => OF_LEANVM,
            KeyForms::Leansig | KeyForms::Unknown => scheme.upstream_name(),
        },
        hash_function: scheme.family().hash_function(),
        encoding: scheme.family().codewords().manifest_word,
    }
}

/// The scheme that goes by this word, the first one where several do.
pub(crate) fn scheme_of(key_scheme: &str) -> Option<&'static Scheme> {
    Scheme::all()
        .iter()
        .find(|scheme| words(scheme).key_scheme == key_scheme)
}

/// Whether these are the words for leanVM's XMSS over KoalaBear, which had the sizes of what came after it.
pub(crate) fn are_of_koala_bear(key_scheme: &str, hash_function: &str) -> bool {
    key_scheme == OF_LEANVM && hash_function == "Poseidon2"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the two releases of hash-sig-cli write that make keys of these schemes.
    #[test]
    fn schemes_that_hash_sig_cli_makes_go_by_its_words() {
        for (id, key_scheme) in [
            (
                "leansig-p1-l32-abort-v46-w8",
                "SchemeAbortingTargetSumLifetime32Dim46Base8",
            ),
            ("leansig-p2-l32-top-v64-w8", "SIGTopLevelTargetSumLifetime32Dim64Base8"),
        ] {
            let expected = SchemeWords {
                key_scheme,
                hash_function: "Poseidon2",
                encoding: "TargetSum",
            };
            assert_eq!(words(Scheme::by_id(id).unwrap()), expected);
        }
    }

    #[test]
    fn every_scheme_has_a_word_of_its_own_but_for_the_versions_of_leanvm_which_have_one() {
        let (of_leanvm, others): (Vec<_>, Vec<_>) = Scheme::all()
            .iter()
            .partition(|scheme| scheme.family().key_forms() == KeyForms::Leanvm);
        for scheme in others {
            assert_eq!(scheme_of(words(scheme).key_scheme), Some(scheme), "{}", scheme.id());
        }
        assert_eq!(of_leanvm.len(), 3);
        for scheme in of_leanvm {
            let expected = SchemeWords {
                key_scheme: "XmssTargetSumLifetime32Dim42Base8",
                hash_function: "BLAKE2s",
                encoding: "TargetSum",
            };
            assert_eq!(words(scheme), expected);
            let first = scheme_of(expected.key_scheme).unwrap();
            assert_eq!(first.id(), "leanvm-blake2s-l32-ts-v42-w8");
        }
    }
}
