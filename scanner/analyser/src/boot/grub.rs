//! GRUB 2: `grub.cfg`, its environment, and the entries of the Boot Loader Specification that it may show.

use super::script::{Script, Surroundings};
use super::{Configured, bls, first_file};
use crate::fs::{FileType, FsError, FsPath, Tree};

/// Red Hat and SUSE name the directory so that GRUB Legacy can be there too.
const PATHS: &[&str] = &["/boot/grub2/grub.cfg", "/boot/grub/grub.cfg"];
const ENTRIES: &str = "/boot/loader/entries";

/// The kernel of the entry that is started.
pub(super) fn configured(tree: &Tree) -> Result<Configured, FsError> {
    let Some((path, content)) = first_file(tree, PATHS)? else { return Ok(Configured::Not) };
    let directory = path.parent().unwrap_or_default().to_string();
    Ok(Script::run(&directory, &content, &Disk { tree }).default())
}

/// The disk that a configuration is on.
#[derive(Debug)]
struct Disk<'a> {
    tree: &'a Tree,
}

impl Surroundings for Disk<'_> {
    fn file(&self, path: &str) -> Option<Vec<u8>> {
        // A path begins at the filesystem that GRUB calls its root, which may be the one that is mounted on /boot.
        let places = [FsPath::new(path), FsPath::new(super::BOOT).join(path)];
        places.into_iter().find_map(|place| {
            let (node, stat) = self.tree.lookup(&place).ok().flatten()?;
            let is_file = stat.file_type == FileType::Regular;
            is_file.then(|| self.tree.open_node(node, &stat).ok()?.read_small().ok()).flatten()
        })
    }

    fn entries(&self) -> Vec<bls::Entry> {
        let mut entries = bls::entries(self.tree, &FsPath::new(ENTRIES)).unwrap_or_else(|error| {
            tracing::debug!(error = crate::chain(&error), "the entries of the boot loader cannot be read");
            Vec::new()
        });
        entries.sort_by(bls::Entry::in_grub);
        entries
    }
}
