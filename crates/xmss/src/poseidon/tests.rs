//! What the kernel's interface hides: the first attempt of every recorded step, accepted or not.

use serde_json::Value;

use super::field::{Packed, WIDTH, read_elements, write_elements};
use super::lanes::{Lanes, lane_of};
use super::layout::{Layout, Poseidon1Devnet4, Poseidon2Classic};
use super::message::{MessageInput, hash_of, hash_one};
use super::prf::{BLANK_STATES, Input};
use super::table::FAMILIES;
use super::{Permutation, Poseidon};
use crate::hash::PrfKey;
use crate::poseidon::PARAMETER_BYTES;
use crate::poseidon::encoding::CodewordEncoder;
use crate::scheme::Scheme;
use crate::units::Epoch;

fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    hex::decode(value.as_str().unwrap()).unwrap().try_into().unwrap()
}

fn first_attempt<L: Layout>(
    (family, scheme): (&Poseidon, &'static Scheme),
    parameter: &[u8; PARAMETER_BYTES],
    rho: &[u8],
    step: &Value,
) -> Vec<u16> {
    let epoch = Epoch(step["epoch"].as_u64().unwrap() as u32);
    let input = MessageInput::new::<L>(
        &read_elements(parameter),
        scheme.rho_bytes() / 4,
        epoch,
        &bytes(&step["message"]),
    );
    let hash = hash_one::<L>(&input.with_rho(rho));
    let lanes: Vec<L::Lanes> = rho
        .chunks(4)
        .map(|e| L::Lanes::broadcast(read_elements::<1>(e)[0]))
        .collect();
    let hashes = input.hash_attempts::<L>(L::width_24(), &lanes);
    assert_eq!(hash_of(&hashes, WIDTH - 1), hash);
    let mut positions = vec![0; scheme.chains()];
    CodewordEncoder::new(family, scheme).encode(&hash, &mut positions);
    positions
}

#[test]
fn the_first_attempt_of_every_recorded_step_is_made_again() {
    let text = include_str!("../../../../tests/vectors/steps.json");
    let recorded: Value = serde_json::from_str(text).unwrap();
    let mut compared = 0;
    for entry in recorded.as_array().unwrap() {
        let scheme = Scheme::by_id(entry["scheme"].as_str().unwrap()).unwrap();
        let place = Scheme::all().iter().position(|known| known == scheme).unwrap();
        let prf_key = PrfKey::new(bytes(&entry["prf_key"]));
        let parameter = bytes(&entry["parameter"]);
        for step in entry["steps"].as_array().unwrap() {
            let epoch = Epoch(step["epoch"].as_u64().unwrap() as u32);
            let input = Input::rho(&prf_key, epoch, &bytes(&step["message"]));
            let mut states = BLANK_STATES;
            let mut instances = input.instances(&mut states);
            let lanes: [[Packed; 7]; super::field::PACKS] = instances.elements(|_| 0, |lane| lane as u64);
            let mut rho = vec![0; scheme.rho_bytes()];
            write_elements(&lane_of(&lanes[0], 0), &mut rho);
            assert_eq!(hex::encode(&rho), step["rho_attempt_0"].as_str().unwrap());
            let (family, both) = (&FAMILIES[place], (&FAMILIES[place], scheme));
            let positions = match family.permutation {
                Permutation::Poseidon2Classic7 | Permutation::Poseidon2Classic8 => {
                    first_attempt::<Poseidon2Classic>(both, &parameter, &rho, step)
                }
                Permutation::Poseidon1Devnet4 => first_attempt::<Poseidon1Devnet4>(both, &parameter, &rho, step),
            };
            let expected: Option<Vec<u16>> = serde_json::from_value(step["codeword_attempt_0"].clone()).unwrap();
            if let Some(expected) = expected {
                assert_eq!(positions, expected, "{} epoch {epoch}", scheme.id());
                compared += 1;
            }
        }
    }
    assert!(compared > 10, "only {compared} codewords were compared");
}
