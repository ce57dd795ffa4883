//! Tar archives: ustar and pax of POSIX.1-2017 (`pax`, "ustar Interchange Format" and "pax Extended Header"), and the long
//! names of GNU tar. Those of container images have whiteouts: "Image Layer Filesystem Changeset" of the OCI Image Format.

mod header;
mod pax;

use std::sync::Arc;

use self::header::{Header, Kind};
use self::pax::Records;
use super::inflated::{self, Inflated};
use super::names::{Content, Names, Node, ROOT};
use crate::fs::{DeviceNumbers, FileType, FsError, FsPath};
use crate::limits::{Budget, Limits};
use crate::volume::Volume;
use crate::volume::bytes::{to_u64, to_usize};

/// The bytes of a tar, compressed or not.
#[derive(Debug)]
pub(super) enum Tar {
    Plain(Arc<dyn Volume>),
    Gzip(Inflated),
}

/// Header and content are rounded up to this.
const BLOCK: usize = 512;

impl Tar {
    /// Tells from the first bytes how it is compressed.
    pub(super) fn open(volume: Arc<dyn Volume>) -> Result<Self, FsError> {
        /// Other formats by their first bytes.
        const OTHERS: [(&[u8], &str); 3] =
            [(&[0x28, 0xb5, 0x2f, 0xfd], "zstd"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz")];

        let mut head = vec![0; to_usize(volume.size().min(8))];
        volume.read_at(0, &mut head)?;
        if let Some((_, name)) = OTHERS.iter().find(|(magic, _)| head.starts_with(magic)) {
            return Err(FsError::Unsupported { feature: format!("a tar compressed with {name}") });
        }
        let is_gzip = head.starts_with(&inflated::MAGIC);
        Ok(if is_gzip { Self::Gzip(Inflated::gzip(volume)) } else { Self::Plain(volume) })
    }

    /// Reads at `offset`, and returns how many bytes it gave: fewer than asked only at the end.
    pub(super) fn read_at(&self, offset: u64, dst: &mut [u8], budget: &Budget) -> Result<usize, FsError> {
        match self {
            Self::Gzip(inflated) => inflated.read_at(offset, dst, budget),
            Self::Plain(volume) => {
                let most = to_usize(volume.size().saturating_sub(offset)).min(dst.len());
                let dst = dst.get_mut(..most).unwrap_or_default();
                budget.bytes(to_u64(most))?;
                if !dst.is_empty() {
                    volume.read_at(offset, dst)?;
                }
                Ok(most)
            }
        }
    }

    fn read_exact(&self, offset: u64, length: usize, budget: &Budget) -> Result<Vec<u8>, FsError> {
        let mut bytes = vec![0; length];
        let count = self.read_at(offset, &mut bytes, budget)?;
        if count == length { Ok(bytes) } else { Err(damaged("it is cut short")) }
    }

    /// Unpacks the names of what is in it. What cannot be unpacked is told to `refuse`; an error means that the rest cannot
    /// be read.
    pub(super) fn list(
        &self,
        archive: u32,
        names: &mut Names,
        (limits, budget): (&Limits, &Budget),
        refuse: &mut dyn FnMut(&[u8], &FsError),
    ) -> Result<(), FsError> {
        let (mut at, mut global, mut next) = (0_u64, Records::default(), Records::default());
        let mut count = 0_u64;
        loop {
            budget.step()?;
            let mut block = [0; BLOCK];
            let read = self.read_at(at, &mut block, budget)?;
            // Some tools leave out the zeros behind the last file.
            if read == 0 || block.iter().all(|&byte| byte == 0) {
                return Ok(());
            }
            let header =
                Header::read(&block).ok_or_else(|| damaged(format!("the header at byte {at} is none")))?;
            count = count.saturating_add(1);
            if count > limits.archive_entries {
                let what = "the number of entries of an archive (`archive_entries`)";
                return Err(FsError::Limit { what, limit: limits.archive_entries });
            }
            at = at.saturating_add(to_u64(BLOCK));
            let kind = header.kind();
            let is_record = matches!(kind, Kind::Pax | Kind::PaxGlobal | Kind::LongName | Kind::LongLink);
            let size = header.size().ok_or_else(|| damaged("a size is no number"))?;
            let size = if is_record { size } else { next.size.or(global.size).unwrap_or(size) };
            let size = if kind.has_content() { size } else { 0 };
            let after = at.checked_add(size).and_then(|end| end.checked_next_multiple_of(to_u64(BLOCK)));
            let after = after.ok_or_else(|| damaged("a size is too large"))?;
            if is_record {
                if size > limits.small_file_bytes {
                    let what = "the size of an extended header (`small_file_bytes`)";
                    return Err(FsError::Limit { what, limit: limits.small_file_bytes });
                }
                let bytes = self.read_exact(at, to_usize(size), budget)?;
                match kind {
                    Kind::LongName => next.path = Some(pax::until_zero(&bytes).to_vec()),
                    Kind::LongLink => next.target = Some(pax::until_zero(&bytes).to_vec()),
                    Kind::PaxGlobal => {
                        global.read(&bytes).ok_or_else(|| damaged("an extended header is damaged"))?;
                    }
                    _ => next.read(&bytes).ok_or_else(|| damaged("an extended header is damaged"))?,
                }
            } else {
                let records = std::mem::take(&mut next).or(&global);
                let path = records.path.clone().unwrap_or_else(|| header.name());
                let entry = Entry { header: &header, records: &records, path: &path, at, size };
                if let Err(error) = entry.unpack(archive, names, limits) {
                    if matches!(error, FsError::Limit { .. }) {
                        return Err(error);
                    }
                    refuse(&path, &error);
                }
            }
            at = after;
        }
    }
}

/// One entry with what its extended headers say.
struct Entry<'a> {
    header: &'a Header<'a>,
    records: &'a Records,
    path: &'a [u8],
    /// Where its content is.
    at: u64,
    size: u64,
}

impl Entry<'_> {
    fn unpack(&self, archive: u32, names: &mut Names, limits: &Limits) -> Result<(), FsError> {
        /// Names of whiteouts, and of what aufs, from which they are, keeps for itself.
        const WHITEOUT: &[u8] = b".wh.";
        const OPAQUE: &[u8] = b".wh..wh..opq";
        const OWN: &[u8] = b".wh..wh.";

        let path = checked(self.path, limits)?;
        let name = path.file_name().unwrap_or_default();
        if name == OPAQUE {
            return names.hide_below(ROOT, &path.parent().unwrap_or_default(), archive);
        }
        if path.components().any(|name| name.starts_with(OWN)) {
            return Ok(());
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            let hidden = path.parent().unwrap_or_default().join(hidden);
            return names.hide(ROOT, &hidden, archive);
        }
        if self.records.is_sparse {
            return Err(FsError::Unsupported { feature: "a sparse file in a tar".to_owned() });
        }
        let target = || self.records.target.clone().unwrap_or_else(|| self.header.target());
        let mode = self.header.mode();
        let node = match self.header.kind() {
            // Before POSIX, a directory was a file whose name ends so.
            Kind::File if self.path.ends_with(b"/") => {
                Node::new(archive, FileType::Directory, mode, Content::Nothing)
            }
            Kind::File => {
                Node::new(archive, FileType::Regular, mode, Content::At(self.at)).with_size(self.size)
            }
            Kind::Directory => Node::new(archive, FileType::Directory, mode, Content::Nothing),
            Kind::Symlink => {
                let target = target();
                if target.len() > limits.path_bytes {
                    return Err(FsError::Invalid { problem: "a symbolic link with a long target" });
                }
                Node::new(archive, FileType::Symlink, 0o777, Content::Target(target))
            }
            Kind::Link => return names.link(ROOT, &path, &checked(&target(), limits)?, archive),
            Kind::Device(file_type) => {
                let mut node = Node::new(archive, file_type, mode, Content::Nothing);
                let (major, minor) = self.header.device();
                let is_device = file_type != FileType::Fifo;
                node.stat.device = is_device.then_some(DeviceNumbers { major, minor });
                node
            }
            Kind::Sparse => {
                return Err(FsError::Unsupported { feature: "a sparse file in a tar".to_owned() });
            }
            Kind::Other(byte) => {
                let kind = char::from(byte).escape_default();
                return Err(FsError::Unsupported { feature: format!("an entry of type {kind} in a tar") });
            }
            // These are no entries.
            Kind::Pax | Kind::PaxGlobal | Kind::LongName | Kind::LongLink | Kind::Label => return Ok(()),
        };
        let (uid, gid) = self.header.owner();
        let mut node = node;
        (node.stat.uid, node.stat.gid, node.stat.mtime) = (uid, gid, self.header.mtime());
        names.put(ROOT, &path, node)
    }
}

/// A path that does not lead out of the archive. Engines take an absolute one for one from the root that they unpack to.
fn checked(path: &[u8], limits: &Limits) -> Result<FsPath, FsError> {
    if path.split(|&byte| byte == b'/').any(|name| name == b"..") {
        return Err(FsError::Invalid { problem: "its name leads out of the archive" });
    }
    if path.is_empty() || path.contains(&0) || path.len() > limits.path_bytes {
        return Err(FsError::Invalid { problem: "its name is none" });
    }
    Ok(FsPath::new(path))
}

fn damaged(problem: impl Into<String>) -> FsError {
    FsError::corrupt("the tar", problem)
}
