#!/usr/bin/env python3
"""Writes the keystores beside it, from docs/FORMAT.md alone, with argon2-cffi and cryptography; nothing here is keymill's code.

    python3 make.py

The keys are known answers of other libraries (../keys.jsonl, ../leanvm/s2.jsonl). Salts, nonces and names are fixed, so that the
same files come out.
"""

import json
import re
import unicodedata
from hashlib import sha256
from pathlib import Path

from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HERE = Path(__file__).resolve().parent

LEANSIG = {
    "hash": "leansig-p1-l8-abort-v4-w8",
    "tree_height": 8,
    "hypertree_layers": 1,
    "encoding": "target_sum",
    "winternitz_w": 8,
    "dimension": 4,
    "target_sum": 6,
    "index_mode": "synchronized",
    "activation_epoch": 0,
    "lifetime_leaves": 256,
    "active_epochs": 256,
}
LEANVM = LEANSIG | {
    "hash": "leanvm-blake2s-l32-ts-v42-w8",
    "tree_height": 32,
    "dimension": 42,
    "target_sum": 195,
    "lifetime_leaves": 2**32,
}
# The order in which the values are bound, each in a line.
BOUND = [
    "hash", "tree_height", "hypertree_layers", "encoding", "winternitz_w", "dimension", "target_sum", "index_mode",
    "activation_epoch", "lifetime_leaves", "active_epochs", "secret", "draw", "parameter", "fillers",
]  # fmt: skip


def lines(path):
    return [json.loads(line) for line in (HERE.parent / path).read_text().splitlines()]


def passphrase_bytes(text):
    decomposed = unicodedata.normalize("NFKD", text)
    return re.sub("[\x00-\x1f\x7f-\x9f]", "", decomposed).encode()


def associated_data(params, origin, pubkey):
    values = {"name": "leanxmss"} | {name: params.get(name, "none") for name in BOUND}
    values |= {"origin": origin, "pubkey": pubkey or "none"}
    return ("keymill/1 keystore\n" + "".join(f"{name} {value}\n" for name, value in values.items())).encode()


def keystore(name, params, origin, secret, pubkey, passphrase, costs=(19456, 2, 1)):
    salt, nonce, names = (sha256(f"{name} {what}".encode()).digest() for what in ["salt", "nonce", "uuid"])
    salt, nonce, uuid = salt[:16], nonce[:12], names[:16].hex()
    m, t, p = costs
    key = hash_secret_raw(passphrase_bytes(passphrase), salt, t, m, p, 32, Type.ID)
    sealed = AESGCM(key).encrypt(nonce, secret, associated_data(params, origin, pubkey))
    return {
        "crypto": {
            "kdf": {
                "function": "argon2id",
                "params": {"dklen": 32, "m": m, "t": t, "p": p, "salt": salt.hex()},
                "message": "",
            },
            "checksum": {"function": "aes-256-gcm", "params": {}, "message": sealed[32:].hex()},
            "cipher": {"function": "aes-256-gcm", "params": {"iv": nonce.hex()}, "message": sealed[:32].hex()},
        },
        "description": f"a known answer: {name}",
        "pubkey": pubkey,
        "path": "",
        "uuid": f"{uuid[:8]}-{uuid[8:12]}-4{uuid[13:16]}-8{uuid[17:20]}-{uuid[20:]}",
        "version": 5,
        "scheme": {"name": "leanxmss", "params": params},
        "origin": origin,
    }


def main():
    leansig = next(key for key in lines("keys.jsonl") if key["scheme"] == LEANSIG["hash"])
    assert (leansig["stored_start"], leansig["stored_end"]) == (0, 256)
    leanvm = next(key for key in lines("leanvm/s2.jsonl") if "seed" in key)
    first, last = leanvm["first_epoch"], leanvm["last_epoch"]
    interval = {"activation_epoch": first, "active_epochs": last - first + 1}
    of_prf_key = {"secret": "prf-key", "parameter": leansig["parameter"]}
    cases = [
        ("leansig-seed", LEANSIG | {"secret": "seed", "draw": "rand-stdrng"}, "fresh", leansig["rng_seed"],
         leansig["public_key_ssz"], "correct horse battery staple", (19456, 2, 1)),
        ("leansig-prf-key", LEANSIG | of_prf_key, "prf-key", leansig["prf_key"], leansig["public_key_ssz"],
         "𝔱𝔢𝔰𝔱𝔭𝔞𝔰𝔰𝔴𝔬𝔯𝔡🔑", (8192, 3, 4)),
        ("leanvm-seed", LEANVM | interval | {"secret": "seed", "draw": "scheme"}, "seed", leanvm["seed"],
         leanvm["public_key"], "Caf\u00e9\ud55c\uae00", (1024, 1, 1)),
    ]  # fmt: skip
    answers = []
    for name, params, origin, secret, pubkey, passphrase, costs in cases:
        made = keystore(name, params, origin, bytes.fromhex(secret), pubkey, passphrase, costs)
        (HERE / f"{name}.json").write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")
        kind = params["secret"]
        answers.append({"file": f"{name}.json", "passphrase": passphrase, "kind": kind, "secret": secret})
    (HERE / "answers.json").write_text(json.dumps(answers, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
