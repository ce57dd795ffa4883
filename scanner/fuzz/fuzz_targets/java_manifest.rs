//! What a Java archive says of itself: its manifest, `pom.properties`, and its name. Any outcome but a panic is right.
#![no_main]

libfuzzer_sys::fuzz_target!(|content: &[u8]| agentless_analyser::fuzz::java_manifest(content));
