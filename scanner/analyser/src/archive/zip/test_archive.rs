//! Archives for tests, byte by byte: what a tool would not write can be written, too.

use miniz_oxide::deflate::compress_to_vec;

/// An archive while it is written.
#[derive(Debug, Default)]
pub(crate) struct Zip {
    pub(super) content: Vec<u8>,
    pub(super) directory: Vec<u8>,
    pub(super) count: u16,
}

/// An entry as it is written.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) name: Vec<u8>,
    pub(crate) data: Vec<u8>,
    pub(crate) method: u16,
    pub(crate) flags: u16,
    pub(crate) crc: u32,
    pub(crate) size: u32,
    pub(crate) mode: u16,
    pub(crate) extra: Vec<u8>,
}

impl Written {
    pub(crate) fn stored(name: &str, content: &[u8]) -> Self {
        Self {
            name: name.as_bytes().to_vec(),
            data: content.to_vec(),
            method: 0,
            flags: 0,
            crc: crc32fast::hash(content),
            size: content.len().try_into().unwrap(),
            mode: 0o100_644,
            extra: Vec::new(),
        }
    }

    pub(crate) fn deflated(name: &str, content: &[u8]) -> Self {
        Self { data: compress_to_vec(content, 6), method: 8, ..Self::stored(name, content) }
    }
}

impl Zip {
    pub(crate) fn of(entries: impl IntoIterator<Item = Written>) -> Vec<u8> {
        let mut zip = Self::default();
        for entry in entries {
            zip.add(&entry);
        }
        zip.finish(&[])
    }

    pub(crate) fn add(&mut self, entry: &Written) {
        let offset = self.content.len();
        self.content.extend(*b"PK\x03\x04\x14\0");
        self.fields(entry, true);
        self.content.extend(&entry.data);
        self.list(entry, offset);
    }

    /// Lists an entry whose local header is somewhere.
    pub(crate) fn list(&mut self, entry: &Written, offset: usize) {
        self.directory.extend(*b"PK\x01\x02\x14\x03\x14\0");
        self.fields(entry, false);
        self.directory.extend([0; 6]);
        self.directory.extend([0, 0]);
        self.directory.extend(entry.mode.to_le_bytes());
        self.directory.extend(u32::try_from(offset).unwrap().to_le_bytes());
        self.directory.extend(&entry.name);
        self.directory.extend(&entry.extra);
        self.count = self.count.wrapping_add(1);
    }

    /// What both headers have.
    fn fields(&mut self, entry: &Written, is_local: bool) {
        let extra = if is_local { &[][..] } else { &entry.extra };
        let to = if is_local { &mut self.content } else { &mut self.directory };
        to.extend(entry.flags.to_le_bytes());
        to.extend(entry.method.to_le_bytes());
        to.extend([0; 4]);
        to.extend(entry.crc.to_le_bytes());
        to.extend(u32::try_from(entry.data.len()).unwrap().to_le_bytes());
        to.extend(entry.size.to_le_bytes());
        to.extend(u16::try_from(entry.name.len()).unwrap().to_le_bytes());
        to.extend(u16::try_from(extra.len()).unwrap().to_le_bytes());
        if is_local {
            to.extend(&entry.name);
        }
    }

    pub(crate) fn finish(self, comment: &[u8]) -> Vec<u8> {
        let Self { mut content, directory, count } = self;
        let (start, size) = (content.len(), directory.len());
        content.extend(directory);
        content.extend(*b"PK\x05\x06\0\0\0\0");
        content.extend(count.to_le_bytes());
        content.extend(count.to_le_bytes());
        content.extend(u32::try_from(size).unwrap().to_le_bytes());
        content.extend(u32::try_from(start).unwrap().to_le_bytes());
        content.extend(u16::try_from(comment.len()).unwrap().to_le_bytes());
        content.extend(comment);
        content
    }
}
