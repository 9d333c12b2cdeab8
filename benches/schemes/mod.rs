//! Which schemes a bench is for.

use keymill::{Scheme, UnknownScheme};

/// Whether a scheme hashes by compressions of BLAKE2s, and not by permutations.
pub fn is_blake2s(scheme: &Scheme) -> bool {
    scheme.family().hash_function() == "BLAKE2s"
}

/// The schemes of the command line, all for `all`, and for nothing those that the project quotes.
pub fn asked_schemes() -> Result<Vec<&'static Scheme>, UnknownScheme> {
    let asked: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let quoted = [
        "leanvm-blake2s-l32-ts-v42-w8",
        "leansig-p1-l32-abort-v46-w8",
        "leansig-p2-l32-top-v64-w8",
        "hashsig-p2-l18-wots-v22-w256",
    ];
    let names = if asked.is_empty() {
        quoted.map(str::to_owned).to_vec()
    } else {
        asked
    };
    if names == ["all"] {
        return Ok(Scheme::all().iter().collect());
    }
    names.iter().map(|name| Scheme::by_id(name)).collect()
}
