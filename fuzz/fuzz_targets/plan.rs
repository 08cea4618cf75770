//! Any bytes as a plan.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tessera_tests::fuzz::plan(bytes));
