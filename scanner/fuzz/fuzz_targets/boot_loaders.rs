//! The configurations of boot loaders: each input is read as that of every one. Any outcome but a panic is right.
#![no_main]

libfuzzer_sys::fuzz_target!(|content: &[u8]| agentless_analyser::fuzz::boot_loaders(content));
