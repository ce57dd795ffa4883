//! What the scanner says to an analyser. Any outcome but a panic is right.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drop(agentless_sandbox::fuzz::to_analyser(bytes)));
