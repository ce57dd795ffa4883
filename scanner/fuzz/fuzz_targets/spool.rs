//! A file of the spool. Any outcome but a panic is right.
#![no_main]

libfuzzer_sys::fuzz_target!(|file: &[u8]| agentless_service::fuzz::spool(file));
