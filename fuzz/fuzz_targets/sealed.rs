//! Any bytes, sealed by an invited node.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tessera_tests::fuzz::sealed(bytes));
