//! Zips, unpacked in memory, and their files. Any outcome but a panic is right.
#![no_main]

libfuzzer_sys::fuzz_target!(|content: &[u8]| agentless_analyser::fuzz::zip_filesystem(content));
