//! The text of a volume group, without the checksum that stands before it on a disk. Any outcome but a panic is right.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| drop(agentless_analyser::fuzz::lvm_text(text)));
