//! Any bytes, and changes of true datagrams, to a node's sessions.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tessera_tests::fuzz::secure(bytes));
