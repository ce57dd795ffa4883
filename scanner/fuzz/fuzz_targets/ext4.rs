//! ext2, ext3 and ext4 on a disk without partitions. Any outcome but a panic is right.
#![no_main]

libfuzzer_sys::fuzz_target!(|encoded: &[u8]| drop(agentless_analyser::fuzz::volume(encoded)));
