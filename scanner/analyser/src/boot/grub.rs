//! GRUB 2: `grub.cfg`, its environment, and the entries of the Boot Loader Specification that it may show.

use super::script::{Script, Surroundings};
use super::{Configured, Doubt, bls, first_file, text};
use crate::fs::{FsPath, Tree};

/// Red Hat and SUSE name the directory so that GRUB Legacy can be there too.
const PATHS: &[&str] = &["/boot/grub2/grub.cfg", "/boot/grub/grub.cfg"];
const ENTRIES: &str = "/boot/loader/entries";

/// The kernel of the entry that is started.
pub(super) fn configured(tree: &Tree) -> Result<Configured, Doubt> {
    let Some((path, content)) = first_file(tree, PATHS)? else { return Ok(Configured::Not) };
    Script::run(&path, &content, &Disk { tree }).default()
}

/// The disk that a configuration is on.
#[derive(Debug)]
struct Disk<'a> {
    tree: &'a Tree,
}

impl Surroundings for Disk<'_> {
    fn file(&self, path: &str) -> Result<Option<Vec<u8>>, Doubt> {
        // A path begins at the filesystem that GRUB calls its root, which may be the one that is mounted on /boot.
        for place in [FsPath::new(path), FsPath::new(super::BOOT).join(path)] {
            if let Some(content) = text(self.tree, &place)? {
                return Ok(Some(content));
            }
        }
        Ok(None)
    }

    fn entries(&self) -> Result<Vec<bls::Entry>, Doubt> {
        let mut entries = bls::entries(self.tree, &FsPath::new(ENTRIES))?;
        entries.sort_by(bls::Entry::in_grub);
        Ok(entries)
    }
}
