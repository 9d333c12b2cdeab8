#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keymill_fuzz::withstand(keymill::hostile::ENTRIES, "known_clients", bytes));
