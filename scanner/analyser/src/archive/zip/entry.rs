//! Entries of the central directory.

use crate::fs::FsPath;
use crate::volume::bytes::Bytes;

/// A file, directory or symbolic link in an archive, as the central directory describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub(super) path: FsPath,
    pub(super) size: u64,
    pub(super) compressed_size: u64,
    /// Of the local header, from the start of the source.
    pub(super) header: u64,
    pub(super) crc: u32,
    pub(super) method: u16,
    pub(super) is_encrypted: bool,
    pub(super) mode: Option<u16>,
    pub(super) is_dir: bool,
    pub(super) is_superseded: bool,
}

impl Entry {
    /// Its path in the archive: any bytes, without `.`, `..` and empty components.
    pub fn path(&self) -> &FsPath {
        &self.path
    }

    /// How many bytes it has, uncompressed, or the directory says it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// `st_mode`, type and permissions, where the archive was made on Unix.
    pub fn mode(&self) -> Option<u16> {
        self.mode
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.is_dir
    }

    /// Whether it is a symbolic link. Its content is the target.
    pub fn is_symlink(&self) -> bool {
        !self.is_dir && self.mode.is_some_and(|mode| mode & S_IFMT == S_IFLNK)
    }

    /// Whether a later entry has the same path. That one is what Java and Python read, and what is left after unpacking.
    pub fn is_superseded(&self) -> bool {
        self.is_superseded
    }

    pub(super) fn is_stored(&self) -> bool {
        self.method == STORED && !self.is_encrypted
    }
}

/// Compression method 0 (4.4.5).
pub(super) const STORED: u16 = 0;
/// Compression method 8.
pub(super) const DEFLATED: u16 = 8;

/// The format bits of `st_mode` (inode(7)).
const S_IFMT: u16 = 0o170_000;
const S_IFLNK: u16 = 0o120_000;
const S_IFDIR: u16 = 0o040_000;

/// A central file header (4.3.12) without what has a length of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header<'a>(pub(super) &'a [u8; HEADER]);

/// Its size.
pub(super) const HEADER: usize = 46;

impl Header<'_> {
    pub(super) fn name_length(self) -> usize {
        self.le16(28).into()
    }

    pub(super) fn extra_length(self) -> usize {
        self.le16(30).into()
    }

    pub(super) fn comment_length(self) -> usize {
        self.le16(32).into()
    }

    pub(super) fn is_header(self) -> bool {
        const SIGNATURE: u32 = 0x0201_4b50;

        self.le32(0) == SIGNATURE
    }

    /// The entry, if its name does not lead out of the archive. `base` is where the archive starts in its source.
    pub(super) fn entry(self, name: &[u8], extra: &[u8], base: u64) -> Option<Entry> {
        let path = path(name)?;
        let (size, compressed_size, offset) = self.sizes(extra);
        let mode = self.mode();
        let is_dir = name.ends_with(b"/") || mode.is_some_and(|mode| mode & S_IFMT == S_IFDIR);
        Some(Entry {
            path,
            size,
            compressed_size,
            header: base.saturating_add(offset),
            crc: self.le32(16),
            method: self.le16(10),
            // General purpose bit 0 (4.4.4).
            is_encrypted: self.le16(8) & 1 != 0,
            mode,
            is_dir,
            is_superseded: false,
        })
    }

    /// Uncompressed size, compressed size and offset of the local header. Those that have no room stand in the zip64 extra
    /// field, in this order (4.5.3).
    fn sizes(self, extra: &[u8]) -> (u64, u64, u64) {
        let mut zip64 = zip64(extra).unwrap_or_default().chunks_exact(8);
        let mut wide = |narrow: u32| match narrow {
            u32::MAX => {
                zip64.next().and_then(|bytes| Bytes(bytes).le64(0).ok()).unwrap_or_else(|| narrow.into())
            }
            narrow => narrow.into(),
        };
        (wide(self.le32(24)), wide(self.le32(20)), wide(self.le32(42)))
    }

    /// The upper half of the external attributes, if the archive was made on Unix, or on macOS (4.4.2, 4.4.15).
    fn mode(self) -> Option<u16> {
        let Self(bytes) = self;
        let mode = self.le16(40);
        matches!(bytes.get(5), Some(3 | 19)).then_some(mode).filter(|&mode| mode != 0)
    }

    fn le16(self, at: usize) -> u16 {
        Bytes(self.0).le16(at).unwrap_or_default()
    }

    fn le32(self, at: usize) -> u32 {
        Bytes(self.0).le32(at).unwrap_or_default()
    }
}

/// The path that a name stands for. An absolute one, and one with `..`, leads out of where the archive is unpacked.
fn path(name: &[u8]) -> Option<FsPath> {
    let leads_out = name.starts_with(b"/") || name.split(|&byte| byte == b'/').any(|part| part == b"..");
    (!leads_out && !name.contains(&0)).then(|| FsPath::new(name))
}

/// The zip64 extra field (4.5.1, 4.5.3).
fn zip64(extra: &[u8]) -> Option<&[u8]> {
    const ZIP64: u16 = 1;

    let mut rest = extra;
    loop {
        let field = Bytes(rest);
        let (id, length) = (field.le16(0).ok()?, field.le16(2).ok()?);
        let data = field.get(4, length.into()).ok()?;
        if id == ZIP64 {
            return Some(data);
        }
        rest = rest.get(data.len().saturating_add(4)..)?;
    }
}
