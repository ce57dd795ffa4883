//! The disks of a machine, from their partition tables to the packages on its systems. Any outcome but a panic is right.
#![no_main]

libfuzzer_sys::fuzz_target!(|encoded: &[u8]| drop(agentless_analyser::fuzz::machine(encoded)));
