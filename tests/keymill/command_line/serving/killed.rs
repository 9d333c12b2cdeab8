//! A service that is killed under load.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use super::client::{Service, fresh_key, message, spent};
use crate::command_line::fixtures::{OTHER_TINY, TINY};
use crate::command_line::program::Place;
use keymill_reference::Numbers;

const CLIENTS: u64 = 6;

/// Kills of one test, or as many as `KEYMILL_TEST_KILLS` says.
pub fn kills() -> u64 {
    let asked = std::env::var("KEYMILL_TEST_KILLS").ok();
    asked.map_or(6, |asked| asked.parse().unwrap())
}

/// Every signature that reached a client, by public key and slot, with the number of its message.
type Received = BTreeMap<(String, u64), (u64, String)>;

/// A client asks for random slots of both keys, each for one of two messages, until the service is gone.
fn ask(service: &Service, keys: &[String; 2], seed: u64, is_over: &AtomicBool, received: &Mutex<Received>) {
    let (client, mut numbers) = (service.client(), Numbers(seed));
    while !is_over.load(Ordering::Relaxed) {
        let key = &keys[numbers.below(2) as usize];
        let (slot, number) = (numbers.below(256), numbers.below(2));
        let Ok(answer) = client.try_sign(key, slot, &message(number)) else {
            continue;
        };
        match answer.status {
            200 => {
                let signature = answer.json()["signature"].as_str().unwrap().to_owned();
                let mut received = received.lock().unwrap();
                let known = received.insert((key.clone(), slot), (number, signature.clone()));
                assert!(
                    known.is_none_or(|known| known == (number, signature)),
                    "seed {seed}: slot {slot} signed twice"
                );
            }
            412 => {}
            // It ends.
            503 => {}
            _ => panic!("seed {seed}: {answer:?}"),
        }
    }
}

#[test]
fn every_signature_that_a_client_has_is_in_the_ledger_whenever_the_service_is_killed() {
    let place = Place::in_memory();
    let keys = [("one", TINY), ("two", OTHER_TINY)].map(|(name, scheme)| fresh_key(&place, name, scheme, "256"));
    let received = Mutex::new(Received::new());
    for round in 0..kills() {
        let mut service = Service::start(&place, "one two");
        let is_over = AtomicBool::new(false);
        let mut numbers = Numbers(1000 + round);
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (service, received, is_over) = (&service, &received, &is_over);
                let (seed, keys) = (round * CLIENTS + client, &keys);
                scope.spawn(move || ask(service, keys, seed, is_over, received));
            }
            std::thread::sleep(Duration::from_millis(20 + numbers.below(200)));
            let process = rustix::process::Pid::from_raw(service.running.id() as i32).unwrap();
            rustix::process::kill_process(process, Signal::KILL).unwrap();
            is_over.store(true, Ordering::Relaxed);
        });
        service.running.signal(Signal::KILL);
        service.running.end();
    }
    let received = received.into_inner().unwrap();
    assert!(received.len() > 20, "{} signatures", received.len());
    // The ledger may know of more: an epoch that was spent when the service was killed, and whose signature nobody has.
    let known: u64 = ["one", "two"].map(|name| spent(&place, name.as_ref())).iter().sum();
    assert!(known >= received.len() as u64, "{known} of {}", received.len());
    let service = Service::start(&place, "one two");
    let client = service.client();
    for ((key, slot), (number, signature)) in &received {
        assert_eq!(
            format!("0x{}", client.signature(key, *slot, &message(*number))),
            *signature,
            "slot {slot}"
        );
        let other = client.sign(key, *slot, &message(1 - number));
        assert_eq!((other.status, other.reason().as_str()), (412, "spent"), "slot {slot}");
    }
}
