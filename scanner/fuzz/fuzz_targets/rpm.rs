//! rpm's databases in each format, the files beside them, and single headers. Any outcome but a panic is right.
#![no_main]

libfuzzer_sys::fuzz_target!(|content: &[u8]| agentless_analyser::fuzz::rpm(content));
