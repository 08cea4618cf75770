//! Any bytes as datagrams to a gateway and edges.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tessera_tests::fuzz::datagram(bytes));
