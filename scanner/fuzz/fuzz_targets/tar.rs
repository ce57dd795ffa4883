//! Layers of container images, compressed or not, and their files. Any outcome but a panic is right.
#![no_main]

libfuzzer_sys::fuzz_target!(|content: &[u8]| agentless_analyser::fuzz::tar(content));
