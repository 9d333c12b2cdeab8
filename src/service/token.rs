//! The token that clients of a service show.

use std::fmt;

use sha3::{Digest, Sha3_256};

/// Shorter ones can be guessed.
const BYTES_MIN: usize = 16;
const BYTES_MAX: usize = 256;
/// What stands before a token.
const SCHEME: &[u8] = b"Bearer ";

/// The digest of a token. Digests are compared, so that the time of a comparison says nothing about the token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; 32]);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(secret)")
    }
}

impl Token {
    /// The token in a text, which may end with a line's end. None if it is shorter than 16 characters, longer than 256, or
    /// has characters that cannot stand in a header.
    pub fn parse(text: &str) -> Option<Self> {
        let token = text.strip_suffix('\n').unwrap_or(text);
        let is_good =
            (BYTES_MIN..=BYTES_MAX).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
        is_good.then(|| Self(Sha3_256::digest(token.as_bytes()).into()))
    }

    /// Whether the value of a header `Authorization` shows this token.
    pub(crate) fn is_shown_by(&self, authorization: &[u8]) -> bool {
        // The name of the scheme is the same in capitals and in small letters (RFC 9110, section 11.1).
        let Some((scheme, token)) = authorization.split_at_checked(SCHEME.len()) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(SCHEME) && <[u8; 32]>::from(Sha3_256::digest(token)) == self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Token;

    #[test]
    fn a_token_is_shown_whole_and_never_printed() {
        let token = Token::parse("0123456789abcdef\n").unwrap();
        for right in ["Bearer", "bearer", "BEARER"] {
            assert!(
                token.is_shown_by(format!("{right} 0123456789abcdef").as_bytes()),
                "{right}"
            );
        }
        for wrong in [
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef0",
            "0123456789abcdef",
            "Bearer  0123456789abcdef",
            "Basic 0123456789abcdef",
            "Bearer",
            "",
        ] {
            assert!(!token.is_shown_by(wrong.as_bytes()), "{wrong}");
        }
        assert_eq!(format!("{token:?}"), "Token(secret)");
    }

    #[test]
    fn a_token_that_is_short_or_cannot_stand_in_a_header_is_refused() {
        for wrong in [
            "",
            "\n",
            "0123456789abcde",
            "0123456789abcde f",
            "0123456789abcdef\r\n",
            &"a".repeat(257),
        ] {
            assert_eq!(Token::parse(wrong), None, "{wrong:?}");
        }
    }
}
