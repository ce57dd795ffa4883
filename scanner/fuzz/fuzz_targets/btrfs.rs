//! Btrfs on a disk without partitions, with checksums made right. Any outcome but a panic is right.
#![no_main]

libfuzzer_sys::fuzz_target!(|encoded: &[u8]| drop(agentless_analyser::fuzz::btrfs(encoded)));
