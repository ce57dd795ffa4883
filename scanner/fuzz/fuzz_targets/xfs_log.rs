//! An XFS filesystem of which only the log is replayed. Any outcome but a panic is right.
#![no_main]

libfuzzer_sys::fuzz_target!(|encoded: &[u8]| drop(agentless_scanner_fuzz::fs::survey::encoded_log(encoded)));
