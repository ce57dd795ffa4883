//! The bodies of the fuzz targets, each under the name of its own: whatever bytes they are given, they end soon and without a
//! panic.

pub use crate::analyse::survey::encoded_machine as machine;
pub use crate::boot::fuzz_boot as boot_loaders;
pub use crate::database::bolt::fuzz_bolt as bolt;
pub use crate::extract::agent::fuzz_agent as agent;
pub use crate::extract::lang::fuzz_dotnet as dotnet;
pub use crate::extract::lang::fuzz_gemspec as gemspec;
pub use crate::extract::lang::fuzz_go as go_buildinfo;
pub use crate::extract::lang::fuzz_java as java;
pub use crate::extract::lang::fuzz_manifest as java_manifest;
pub use crate::extract::lang::fuzz_python_metadata as python_metadata;
pub use crate::extract::lang::fuzz_rust as rust_audit;
pub use crate::extract::lock::fuzz_lock as lock;
pub use crate::extract::os::fuzz_apk as apk;
pub use crate::extract::os::fuzz_dpkg as dpkg;
pub use crate::extract::os::fuzz_release as release;
pub use crate::extract::os::fuzz_rpm as rpm;
pub use crate::fs::fstab::fuzz_fstab as fstab;
pub use crate::fs::survey::encoded_btrfs as btrfs;
pub use crate::fs::survey::encoded_disk as partition_table;
pub use crate::fs::survey::encoded_journal as journal;
pub use crate::fs::survey::encoded_log as xfs_log;
pub use crate::fs::survey::encoded_volume as volume;
pub use crate::fs::unpacked::fuzz_tar as tar;
pub use crate::fs::unpacked::fuzz_zip as zip_filesystem;
pub use crate::volume::survey::encoded_members as members;
pub use crate::volume::survey::volume_group as lvm_text;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    type Target = fn(&[u8]);

    const TARGETS: [(&str, Target); 3] =
        [("boot_loaders", boot_loaders), ("go_buildinfo", go_buildinfo), ("rust_audit", rust_audit)];

    /// The seeds of a target.
    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
        std::fs::read_dir(corpus).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }

    proptest! {
        /// A short form of the targets, for every run of the tests.
        #[test]
        fn changed_seeds_do_no_harm(
            seed in any::<prop::sample::Index>(),
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..16),
            length in any::<prop::sample::Index>(),
        ) {
            for (target, run) in TARGETS {
                let mut content = seed.get(&seeds(target)).clone();
                for (place, value) in &edits {
                    *place.get_mut(&mut content) = *value;
                }
                run(&content);
                run(&content[..length.index(content.len())]);
            }
        }
    }
}
