#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keymill_fuzz::withstand(
    keymill_fuzz::program::ENTRIES,
    "command_line",
    bytes
));
