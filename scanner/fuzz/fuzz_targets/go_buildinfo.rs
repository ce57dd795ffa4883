//! Programs with the build information of Go, from their ELF header on. Any outcome but a panic is right.
#![no_main]

libfuzzer_sys::fuzz_target!(|content: &[u8]| agentless_analyser::fuzz::go_buildinfo(content));
