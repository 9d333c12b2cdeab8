//! Examples of every command, for its help and its manual page. The tests run each of them as it stands.

/// What it is for, and what is typed.
pub type Example = (&'static str, &'static str);

const SIGN: &str = "keymill sign key --epoch 100 --message $(sha256sum block | head -c 64) \\\n    --out 100.sig";

/// The examples of a command; `command` is its name as it is typed behind `keymill`, and empty for the program itself.
pub fn of(command: &str) -> &'static [Example] {
    match command {
        "" => &[
            (
                "Make a key, and look at it",
                "keymill keygen key --epochs 2^18\nkeymill status key",
            ),
            ("Say what a command does, with examples", "keymill help sign"),
        ],
        "keygen" => &[
            (
                "Make a key of 2^18 epochs, or go on with it after an interruption",
                "keymill keygen key --scheme leansig-p2-l32-top-v64-w8 --epochs 2^18",
            ),
            ("Go on with the key in a directory", "keymill keygen key"),
            (
                "Make the key of a given seed, and show what is done as JSON lines",
                "keymill keygen new-key --seed-file seed --progress json 2>progress.jsonl",
            ),
            (
                "Make a key that stores one byte in 16, in at most 64 MiB of memory",
                "keymill keygen small-key --trim 4 --memory 64M",
            ),
        ],
        "import" => &[
            (
                "Make the key of a secret key that leanSig wrote",
                "keymill import imported --from validator.ssz",
            ),
            (
                "Say which scheme it is of, where its trees are those of several",
                "keymill import imported --from validator.ssz --scheme leansig-p2-l32-top-v64-w8",
            ),
        ],
        "export" => &[
            (
                "Write the secret key as leanSig does",
                "keymill export key --format leansig-ssz --out secret-key.ssz",
            ),
            (
                "With epoch 200 among those that leanSig can sign at once",
                "keymill export key --format leansig-json --epoch 200 --out secret-key.json",
            ),
        ],
        "generate" => &[
            (
                "Make the keys of 4 validators for 2^18 epochs, or go on with them after an interruption",
                "keymill generate --num-validators 4 --log-num-active-epochs 18 --output-dir new-keys",
            ),
            (
                "The second half of a set, of one seed, two validators at a time, in SSZ alone",
                "keymill generate --num-validators 2 --start-index 2 --log-num-active-epochs 18 \\\n    \
                 --seed-file seed --jobs 2 --export-format ssz --output-dir second-half",
            ),
        ],
        "merge-sets" => &[(
            "Put two parts of a set together",
            "keymill merge-sets part-a part-b --out merged",
        )],
        "verify-set" => &[
            ("Check every file of a set", "keymill verify-set part-a"),
            ("The same for a program", "keymill verify-set part-a --json"),
        ],
        "plan" => &[
            (
                "Say what a key of 2^26 epochs takes",
                "keymill plan --epochs 2^26 --threads 2",
            ),
            (
                "The bytes on disk alone",
                "keymill plan --epochs 2^26 --json | grep -o '\"disk_bytes\":[0-9]*'",
            ),
        ],
        "status" => &[
            ("Say how far a key is", "keymill status key"),
            ("The same for a program", "keymill status key --json"),
        ],
        "public-key" => &[
            ("Print the public key in hex", "keymill public-key key"),
            (
                "Write its bytes into a file",
                "keymill public-key key --format ssz --out public-key.ssz",
            ),
        ],
        "path" => &[
            ("The path of an epoch, as JSON", "keymill path key --epoch 100"),
            (
                "The paths of 50 epochs, a line each, in hex",
                "keymill path key --epoch 100 --count 50 --format hex --out paths.hex",
            ),
        ],
        "sign" => &[
            ("Sign the hash of a file at epoch 100", SIGN),
            (
                "Print the signature of a message of 32 bytes",
                "keymill sign key --epoch 101 --message $MESSAGE",
            ),
        ],
        "ledger init" => &[(
            "Say that no epoch from 200 on has ever signed, here or elsewhere",
            "keymill ledger init key --first-epoch 200",
        )],
        "ledger show" => &[(
            "Say whether the key may sign, and what is spent",
            "keymill ledger show key",
        )],
        "ledger export" => &[(
            "Write down what is spent, before the key moves",
            "keymill ledger export key --out spent.json",
        )],
        "ledger import" => &[(
            "Add what another copy of the key has spent",
            "keymill ledger import key ledger.json",
        )],
        "verify" => &[
            (
                "Verify a signature of the key in public-key",
                "keymill verify --scheme leansig-p2-l32-top-v64-w8 --epoch 7 --message $MESSAGE \\\n    \
                 --public-key public-key --signature 7.sig",
            ),
            (
                "Go by the exit code alone",
                "keymill verify --scheme leansig-p2-l32-top-v64-w8 --epoch 7 --message $MESSAGE \\\n    \
                 --public-key public-key --signature 7.sig >/dev/null && echo good",
            ),
        ],
        "check" => &[
            ("Hold every node of a key against its children", "keymill check key"),
            ("Compute every leaf again too", "keymill check key --deep --json"),
        ],
        "repair" => &[(
            "Compute again what check finds damaged",
            "keymill repair key --threads 1",
        )],
        "backup" => &[
            (
                "Print what must be kept of a key, on paper",
                "keymill backup key >paper",
            ),
            (
                "Write it to a file of your own",
                "keymill backup key --out other-backup.txt",
            ),
        ],
        "restore" => &[
            (
                "Make a key again, or go on with that after an interruption",
                "keymill restore restored --from backup.txt",
            ),
            (
                "Read what is typed in, to its end",
                "cat backup.txt | keymill restore restored --from -",
            ),
        ],
        "report" => &[
            ("Draw how a key came to be", "keymill report key --out key.html"),
            ("The same as JSON", "keymill report key --json"),
        ],
        "trim" => &[(
            "Keep one byte in 16; each path then computes 16 leaves",
            "keymill trim key --level 4",
        )],
        "schemes" => &[
            ("List the schemes", "keymill schemes"),
            ("Those of leanSig alone", "keymill schemes | grep leansig"),
        ],
        "migrate" => &[
            ("Say what would be done", "keymill migrate key --dry-run"),
            ("Bring a key to the present format", "keymill migrate key"),
        ],
        "memory-report" => &[(
            "Find what was never given back",
            "keymill status key --trace-memory trace\nkeymill memory-report trace",
        )],
        _ => &[],
    }
}

/// Examples as they stand in the help.
pub fn as_text(examples: &[Example]) -> String {
    let mut text = "Examples:".to_owned();
    for (what, lines) in examples {
        text += &format!("\n  {what}:\n    {}", lines.replace('\n', "\n    "));
    }
    text
}
