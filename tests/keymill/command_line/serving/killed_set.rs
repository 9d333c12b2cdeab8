//! A service of a set that is killed under load: one ledger for keys of several schemes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use sha3::{Digest, Sha3_256};

use super::client::{Answer, Client, Service, fresh_key, message, request};
use super::killed::kills;
use crate::command_line::fixtures::{OTHER_TINY, TINY};
use crate::command_line::program::Place;
use keymill_reference::Numbers;

const CLIENTS: u64 = 6;
/// Keys that are used up within a round or two, and a large one that has new slots in every round.
const KEYS: [(&str, &str, u64); 4] = [
    ("set/one", TINY, 256),
    ("set/other", OTHER_TINY, 256),
    ("set/large", "leanvm-blake2s-l32-ts-v42-w8", 1 << 16),
    ("set/small", TINY, 256),
];
const LARGE: usize = 2;
/// How far behind the newest slot clients ask for slots that others have asked for.
const RECENT_SLOTS: u64 = 16;

/// A slot of one of the keys.
type Slot = (usize, u64);

/// What is asked for: a slot, and the number of its message.
type Asked = (Slot, u64);

/// What all clients together have asked for and got.
#[derive(Default)]
struct Heard {
    /// Every signature that reached a client, with the number of its message.
    received: Mutex<BTreeMap<Slot, (u64, String)>>,
    /// What was refused because the slot had signed the other message.
    refused: Mutex<BTreeSet<Asked>>,
    /// What got no answer, and is asked for again.
    unanswered: Mutex<Vec<Asked>>,
    /// The lowest slot of each key that nobody has asked for.
    next: [AtomicU64; KEYS.len()],
}

impl Heard {
    fn note(&self, asked: Asked, answer: &Value) {
        let (slot, number) = asked;
        if let Some(signature) = answer["signature"].as_str() {
            let mut received = self.received.lock().unwrap();
            let signed = (number, signature.to_owned());
            let known = received.insert(slot, signed.clone());
            assert!(known.is_none_or(|known| known == signed), "{slot:?} signed twice");
            return;
        }
        match answer["reason"].as_str() {
            Some("spent") => {
                self.refused.lock().unwrap().insert(asked);
            }
            // Nobody knows what became of it.
            Some("ending" | "stalled") => self.unanswered.lock().unwrap().push(asked),
            _ => panic!("{asked:?}: {answer}"),
        }
    }

    /// A slot that nobody has asked for, while the key has one; else the last.
    fn new_slot(&self, key: usize) -> Slot {
        let slot = self.next[key].fetch_add(1, Ordering::Relaxed);
        (key, slot.min(KEYS[key].2 - 1))
    }

    /// A slot that somebody has asked for lately.
    fn recent_slot(&self, key: usize, numbers: &mut Numbers) -> Slot {
        let newest = self.next[key].load(Ordering::Relaxed).min(KEYS[key].2);
        (key, newest.saturating_sub(1 + numbers.below(RECENT_SLOTS)))
    }

    /// What a client asks for next.
    fn choose(&self, numbers: &mut Numbers) -> Vec<Asked> {
        let (key, number) = (numbers.below(KEYS.len() as u64) as usize, numbers.below(2));
        match numbers.below(5) {
            0 => (0..KEYS.len()).map(|key| (self.new_slot(key), number)).collect(),
            1 => vec![(self.recent_slot(key, numbers), number)],
            2 | 3 => match self.unanswered.lock().unwrap().pop() {
                Some(again) => vec![again],
                None => vec![(self.recent_slot(key, numbers), number)],
            },
            _ => vec![(self.new_slot(key), number)],
        }
    }
}

fn ask(client: &Client, keys: &[String], asked: &[Asked]) -> Option<Vec<Value>> {
    let entry = |&((key, slot), number): &Asked| {
        let mut entry = request(slot, &message(number));
        entry["identifier"] = json!(format!("0x{}", keys[key]));
        entry
    };
    if let &[((key, slot), number)] = asked {
        return client
            .try_sign(&keys[key], slot, &message(number))
            .ok()
            .map(|answer| vec![answer.json()]);
    }
    let body = Value::from(asked.iter().map(entry).collect::<Vec<_>>()).to_string();
    let answer: Answer = client.ask("POST", "/api/v1/lean/sign", "", body.as_bytes()).ok()?;
    let answers = answer.json();
    // The whole list is refused, or each entry has its own outcome.
    Some(match answers.as_array() {
        None => vec![answers; asked.len()],
        Some(list) => {
            let outcome = |entry: &Value| {
                if entry["error"].is_object() {
                    entry["error"].clone()
                } else {
                    entry.clone()
                }
            };
            list.iter().map(outcome).collect()
        }
    })
}

/// A client asks until the service is gone: for new slots, for those of others, and again for what got no answer.
fn load(client: &Client, keys: &[String], seed: u64, is_over: &AtomicBool, heard: &Heard) {
    let mut numbers = Numbers(seed);
    while !is_over.load(Ordering::Relaxed) {
        let asked = heard.choose(&mut numbers);
        let Some(answers) = ask(client, keys, &asked) else {
            // It is gone.
            return heard.unanswered.lock().unwrap().extend(asked);
        };
        for (&asked, answer) in asked.iter().zip(&answers) {
            heard.note(asked, answer);
        }
    }
}

/// The digest of the message that each spent slot has signed, as the program exports it that is not the service.
fn ledgers(place: &Place) -> BTreeMap<Slot, String> {
    let mut found = BTreeMap::new();
    for (key, (name, ..)) in KEYS.iter().enumerate() {
        let text = place.run(&format!("ledger export {name}")).exits(0).json();
        for entry in text["data"][0]["signed_epochs"].as_array().unwrap() {
            let slot = entry["epoch"].as_str().unwrap().parse().unwrap();
            let digest = entry["message_digest"].as_str().unwrap().to_owned();
            let known = found.insert((key, slot), digest);
            assert!(known.is_none(), "{name} has two entries of slot {slot}");
        }
    }
    found
}

fn digest(number: u64) -> String {
    let message = hex::decode(message(number)).unwrap();
    hex::encode(Sha3_256::digest(message))
}

fn is_known(ledgers: &BTreeMap<Slot, String>, heard: &Heard, case: &str) {
    for (slot, (number, _)) in heard.received.lock().unwrap().iter() {
        assert_eq!(ledgers.get(slot), Some(&digest(*number)), "{case}: {slot:?}");
    }
    for (slot, number) in heard.refused.lock().unwrap().iter() {
        assert_eq!(ledgers.get(slot), Some(&digest(1 - number)), "{case}: {slot:?}");
    }
}

#[test]
fn every_signature_of_a_set_that_a_client_has_is_in_its_ledger_whenever_the_service_is_killed() {
    let place = Place::in_memory();
    std::fs::create_dir(place.path("set")).unwrap();
    let keys = KEYS.map(|(name, scheme, slots)| {
        let public_key = fresh_key(&place, name, scheme, &slots.to_string());
        place.run(&format!("ledger move {name} --into set")).exits(0);
        public_key
    });
    let heard = Heard::default();
    let mut before = BTreeMap::new();
    for round in 0..kills() {
        let case = format!("round {round}");
        let service = Service::start(&place, "set");
        let health = service.client().get("/healthcheck").json();
        let is_sound = |key: &Value| key["state"] == "ready" || key["state"] == "used_up";
        assert!(
            health["keys"].as_array().unwrap().iter().all(is_sound),
            "{case}: {health}"
        );
        // However early the kill comes, it goes on after the one before.
        let first = (heard.new_slot(LARGE), 0);
        let signed = ask(&service.client(), &keys, &[first]).unwrap();
        assert!(signed[0]["signature"].is_string(), "{case}: {signed:?}");
        heard.note(first, &signed[0]);
        let is_over = AtomicBool::new(false);
        let mut numbers = Numbers(7000 + round);
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (keys, heard, is_over) = (&keys, &heard, &is_over);
                let (client, seed) = (service.client(), 100 * round + client);
                scope.spawn(move || load(&client, keys, seed, is_over, heard));
            }
            std::thread::sleep(Duration::from_millis(10 + numbers.below(150)));
            let process = rustix::process::Pid::from_raw(service.running.id() as i32).unwrap();
            rustix::process::kill_process(process, Signal::KILL).unwrap();
            is_over.store(true, Ordering::Relaxed);
        });
        service.running.end();
        let now = ledgers(&place);
        is_known(&now, &heard, &case);
        let is_kept = before.iter().all(|(slot, digest)| now.get(slot) == Some(digest));
        assert!(is_kept, "{case}: the ledger forgot or changed an entry");
        assert!(now.len() > before.len(), "{case}: nothing was signed");
        before = now;
    }
    let service = Service::start(&place, "set");
    let client = service.client();
    let received = heard.received.into_inner().unwrap();
    let (refused, open) = (
        heard.refused.into_inner().unwrap(),
        heard.unanswered.into_inner().unwrap(),
    );
    assert!(received.len() > 50 && !refused.is_empty() && !open.is_empty());
    for (&(key, slot), (number, signature)) in &received {
        let again = client.signature(&keys[key], slot, &message(*number));
        assert_eq!(format!("0x{again}"), *signature, "{key} {slot}");
        let other = client.sign(&keys[key], slot, &message(1 - number));
        assert_eq!((other.status, other.reason().as_str()), (412, "spent"), "{key} {slot}");
    }
    // What nobody has an answer to is spent on its message, on the other one, or not at all; now one of the two is answered.
    for &((key, slot), number) in &open {
        let one = client.sign(&keys[key], slot, &message(number));
        let other = client.sign(&keys[key], slot, &message(1 - number));
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412], "{key} {slot}");
    }
    println!(
        "{} kills: {} signatures received, {} refusals, {} entries, {} requests without an answer at the end",
        kills(),
        received.len(),
        refused.len(),
        before.len(),
        open.len()
    );
}
