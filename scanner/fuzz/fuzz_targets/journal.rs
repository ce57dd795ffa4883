//! A journal of ext4 that is all of a volume. Any outcome but a panic is right.
#![no_main]

libfuzzer_sys::fuzz_target!(|encoded: &[u8]| drop(agentless_analyser::fuzz::journal(encoded)));
