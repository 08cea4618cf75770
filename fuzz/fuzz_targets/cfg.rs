//! Any bytes as a cfg.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tessera_tests::fuzz::cfg(bytes));
