//! Any bytes as a weights file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tessera_tests::fuzz::weights(bytes));
