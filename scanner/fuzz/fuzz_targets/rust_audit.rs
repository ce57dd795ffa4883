//! Programs with a list of crates, and such lists by themselves. Any outcome but a panic is right.
#![no_main]

libfuzzer_sys::fuzz_target!(|content: &[u8]| agentless_analyser::fuzz::rust_audit(content));
