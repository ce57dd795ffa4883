//! Physical volumes of LVM2 and members of md arrays: two disks, and what they are together. Any outcome but a panic is
//! right.
#![no_main]

libfuzzer_sys::fuzz_target!(|encoded: &[u8]| drop(agentless_analyser::fuzz::members(encoded)));
