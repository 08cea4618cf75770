//! Handshake messages of somebody who has the cluster's secret and no key that is listed.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tessera_tests::fuzz::handshake(bytes));
