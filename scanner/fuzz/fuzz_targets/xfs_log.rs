//! An XFS filesystem of which only the log is replayed, with checksums made right. Any outcome but a panic is right.
#![no_main]

#[path = "../seal/xfs.rs"]
mod seal;

libfuzzer_sys::fuzz_target!(|encoded: &[u8]| {
    let mut sealed = encoded.to_vec();
    seal::seal(&mut sealed);
    drop(agentless_analyser::fuzz::xfs_log(&sealed));
});
