//! What an analyser says to the scanner. Any outcome but a panic is right.
#![no_main]

libfuzzer_sys::fuzz_target!(|encoded: &[u8]| drop(agentless_sandbox::fuzz::from_analyser(encoded)));
