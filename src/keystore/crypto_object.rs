//! The object `crypto`: how the key follows from the passphrase, and what is encrypted with it.

use serde::{Deserialize, Serialize};

use super::cipher::Encrypted;
use super::kdf::{KEY_BYTES, Kdf};
use super::{Fault, from_hex, from_hex_of};
use crate::text::Foreign;

const ARGON2ID: &str = "argon2id";
const AES_256_GCM: &str = "aes-256-gcm";

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct CryptoObject {
    kdf: Module<KdfParams>,
    checksum: Module<NoParams>,
    cipher: Module<CipherParams>,
}

/// A module in the sense of ERC-2335.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Module<P> {
    function: String,
    params: P,
    message: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct KdfParams {
    dklen: u64,
    m: u32,
    t: u32,
    p: u32,
    salt: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct NoParams {}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct CipherParams {
    iv: String,
}

/// The functions of a file, whatever they take: what is not known is refused by its name before its parameters are looked at.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Functions {
    kdf: Function,
    checksum: Function,
    cipher: Function,
}

#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Function {
    function: String,
}

impl Functions {
    pub(super) fn check(&self) -> Result<(), Fault> {
        let functions = [
            ("key derivation", &self.kdf, ARGON2ID),
            ("checksum", &self.checksum, AES_256_GCM),
            ("cipher", &self.cipher, AES_256_GCM),
        ];
        let unknown = functions.iter().find(|(_, found, known)| found.function != *known);
        unknown.map_or(Ok(()), |(what, found, known)| {
            Err(format!(
                "its {what} is '{}', and keymill reads '{known}' alone",
                Foreign(&found.function)
            ))
        })
    }
}

impl CryptoObject {
    pub(super) fn of(kdf: &Kdf, encrypted: &Encrypted) -> Self {
        Self {
            kdf: Module {
                function: ARGON2ID.to_owned(),
                params: KdfParams {
                    dklen: KEY_BYTES as u64,
                    m: kdf.memory_kib,
                    t: kdf.passes,
                    p: kdf.lanes,
                    salt: hex::encode(&kdf.salt),
                },
                message: String::new(),
            },
            checksum: Module {
                function: AES_256_GCM.to_owned(),
                params: NoParams {},
                message: hex::encode(encrypted.tag),
            },
            cipher: Module {
                function: AES_256_GCM.to_owned(),
                params: CipherParams {
                    iv: hex::encode(encrypted.nonce),
                },
                message: hex::encode(encrypted.message),
            },
        }
    }

    pub(super) fn parts(&self) -> Result<(Kdf, Encrypted), Fault> {
        let params = &self.kdf.params;
        if params.dklen != KEY_BYTES as u64 {
            return Err(format!("'dklen' is {}, and a key has {KEY_BYTES} bytes", params.dklen));
        }
        if !self.kdf.message.is_empty() {
            return Err("its key derivation has a 'message', which has to be empty".to_owned());
        }
        let kdf = Kdf {
            memory_kib: params.m,
            passes: params.t,
            lanes: params.p,
            salt: from_hex("salt", &params.salt)?,
        };
        kdf.check()?;
        let encrypted = Encrypted {
            nonce: from_hex_of("iv", &self.cipher.params.iv)?,
            message: from_hex_of("cipher.message", &self.cipher.message)?,
            tag: from_hex_of("checksum.message", &self.checksum.message)?,
        };
        Ok((kdf, encrypted))
    }
}
