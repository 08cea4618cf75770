//! The two roles as state machines without I/O: `handle` one input, then drain `poll`.
#![forbid(unsafe_code)]
