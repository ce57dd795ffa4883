//! bbolt databases, in which containerd keeps what it knows: keys and values, sorted, in buckets within buckets.
//!
//! A file is made of pages. Two meta pages at its start name, each for another transaction, the page of the root bucket; the
//! valid one of the later transaction counts. A bucket is a B+tree of branch and leaf pages, or a leaf within the value that
//! stands for it in its parent. Numbers are in the byte order of the machine that wrote them: little-endian on those that
//! AWS has. The names are those of `internal/common/page.go`, `meta.go` and `inode.go` in go.etcd.io/bbolt.
//!
//! Nothing is replayed and nothing is locked: a page that a later transaction would change is written elsewhere.

use std::cell::Cell;

use crate::fs::FsError;
use crate::limits::Limits;
use crate::volume::bytes::{Bytes, to_u64, to_usize};

/// `Magic` and `Version`.
const MAGIC: u32 = 0xed0c_daed;
const VERSION: u32 = 2;
/// `PageHeaderSize`: the page's number (8 bytes), flags (2), count of elements (2), and how many pages more it has (4).
const HEADER: usize = 16;
/// `BranchPageElementSize` and `LeafPageElementSize`.
const ELEMENT: usize = 16;
/// `BranchPageFlag`, `LeafPageFlag` and `MetaPageFlag`.
const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const META: u16 = 0x04;
/// `BucketLeafFlag`: the value is a bucket.
const BUCKET: u32 = 0x01;
/// `BucketHeaderSize`: the number of the bucket's root page (8 bytes; 0 for a bucket in the value itself) and a sequence (8).
const BUCKET_HEADER: usize = 16;
/// Where a meta page's fields are, and where they end: its checksum is that of the bytes before.
const META_CHECKSUM: usize = 56;
/// The least and the largest size of a page that is looked for, each twice the one before.
const PAGE_SIZES: std::ops::RangeInclusive<u32> = 10..=24;
/// The depth of a tree. Pages of 1 KiB with two elements each reach the largest file in fewer.
const MOST_DEPTH: u32 = 64;
/// The length of a key, `MaxKeySize`.
const MOST_KEY: usize = 32 << 10;

/// How many times its own size may be read of a file, and how many bytes of a small one.
const READ_AGAIN: u64 = 64;
const LEAST_READ: u64 = 4 << 20;

/// What reads the file: at an offset, as many bytes as there are.
type Read<'a> = dyn Fn(u64, &mut [u8]) -> Result<usize, FsError> + 'a;

/// What takes the keys of a bucket, and says whether it takes more.
type Visit<'a> = dyn FnMut(&[u8], Entry) -> Result<bool, FsError> + 'a;

/// A database.
pub struct Bolt<'a> {
    read: &'a Read<'a>,
    size: u64,
    page_size: u64,
    root: u64,
    /// Bytes of one page with those that belong to it.
    most_page_bytes: u64,
    /// Bytes that may still be read: those of a database in a circle would be read without end.
    left: Cell<u64>,
}

impl std::fmt::Debug for Bolt<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bolt")
            .field("page_size", &self.page_size)
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

/// A bucket of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket(Place);

/// Where the root of a bucket is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Page(u64),
    Inline(Vec<u8>),
}

/// What a key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A value.
    Value(Vec<u8>),
    /// A bucket.
    Bucket(Bucket),
}

/// The valid meta page.
struct Meta {
    page_size: u64,
    root: u64,
    transaction: u64,
}

impl<'a> Bolt<'a> {
    /// Opens a database of `size` bytes.
    ///
    /// # Errors
    ///
    /// [`FsError::Corrupt`] if neither of its meta pages is valid.
    pub fn open(read: &'a Read<'a>, size: u64, limits: &Limits) -> Result<Self, FsError> {
        let first = meta(read, 0)?;
        // The size of a page, which says where the second one is, is in the first; it may be the one that is damaged.
        let offsets = match &first {
            Some(first) => vec![first.page_size],
            None => PAGE_SIZES.map(|shift| 1 << shift).collect(),
        };
        let mut second = None;
        for offset in offsets {
            second = second.or(meta(read, offset)?.filter(|second| second.page_size == offset));
        }
        let newest = first.into_iter().chain(second).max_by_key(|meta| meta.transaction);
        let Some(Meta { page_size, root, .. }) = newest else {
            return Err(corrupt("neither of its meta pages is valid"));
        };
        // Who looks up some keys of each of many buckets reads the pages that lead to them for each.
        let left = size.saturating_mul(READ_AGAIN).saturating_add(LEAST_READ).min(limits.read_bytes);
        let left = Cell::new(left);
        Ok(Self { read, size, page_size, root, most_page_bytes: limits.file_bytes, left })
    }

    /// The bucket that all others are in.
    pub fn root(&self) -> Bucket {
        Bucket(Place::Page(self.root))
    }

    /// The bucket that these names lead to, if there is one.
    pub fn bucket(&self, from: &Bucket, names: &[&[u8]]) -> Result<Option<Bucket>, FsError> {
        let mut here = from.clone();
        for name in names {
            match self.get(&here, name)? {
                Some(Entry::Bucket(found)) => here = found,
                _ => return Ok(None),
            }
        }
        Ok(Some(here))
    }

    /// What a key stands for in a bucket.
    pub fn get(&self, bucket: &Bucket, key: &[u8]) -> Result<Option<Entry>, FsError> {
        let mut page = self.page_of(bucket)?;
        for _ in 0..MOST_DEPTH {
            let Page { kind, count, .. } = page;
            // The last element whose key is not above the one that is looked for.
            let (mut low, mut high) = (0, count);
            while low < high {
                let middle = low.midpoint(high);
                let (found, _) = page.element(middle)?;
                if found <= key { low = middle.saturating_add(1) } else { high = middle }
            }
            match kind {
                Kind::Branch => {
                    // Keys below the first one are in its page too.
                    let (_, below) = page.element(low.saturating_sub(1))?;
                    page = match below {
                        Content::Page(number) => self.page(number)?,
                        Content::Leaf(..) => return Ok(None),
                    };
                }
                Kind::Leaf => {
                    let Some(index) = low.checked_sub(1) else { return Ok(None) };
                    let (found, content) = page.element(index)?;
                    return if found == key { content.entry() } else { Ok(None) };
                }
            }
        }
        Err(corrupt("its pages form a circle"))
    }

    /// The value of a key in a bucket, if it is one.
    pub fn value(&self, bucket: &Bucket, key: &[u8]) -> Result<Option<Vec<u8>>, FsError> {
        Ok(match self.get(bucket, key)? {
            Some(Entry::Value(value)) => Some(value),
            _ => None,
        })
    }

    /// Calls `visit` with each key of a bucket, in order, until it says that it has enough.
    pub fn each(&self, bucket: &Bucket, visit: &mut Visit<'_>) -> Result<(), FsError> {
        self.each_of(&self.page_of(bucket)?, 0, visit).map(drop)
    }

    fn each_of(&self, page: &Page, depth: u32, visit: &mut Visit<'_>) -> Result<bool, FsError> {
        if depth >= MOST_DEPTH {
            return Err(corrupt("its pages form a circle"));
        }
        for index in 0..page.count {
            let (key, content) = page.element(index)?;
            let goes_on = match (content.entry()?, content) {
                (Some(entry), _) => visit(key, entry)?,
                (None, Content::Page(number)) => {
                    self.each_of(&self.page(number)?, depth.saturating_add(1), visit)?
                }
                (None, Content::Leaf(..)) => true,
            };
            if !goes_on {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn page_of(&self, bucket: &Bucket) -> Result<Page, FsError> {
        match &bucket.0 {
            Place::Page(number) => self.page(*number),
            Place::Inline(bytes) => Page::new(bytes.clone()),
        }
    }

    /// A page, with those that belong to it.
    fn page(&self, number: u64) -> Result<Page, FsError> {
        let start = number.checked_mul(self.page_size).filter(|start| *start < self.size);
        let start =
            start.ok_or_else(|| corrupt(format!("it names page {number}, which it does not have")))?;
        let mut header = [0; HEADER];
        self.fill(start, &mut header)?;
        let more = u64::from(Bytes(&header).le32(12)?);
        let bytes = more.checked_add(1).and_then(|pages| pages.checked_mul(self.page_size));
        let bytes = bytes.filter(|bytes| start.checked_add(*bytes).is_some_and(|end| end <= self.size));
        let bytes = bytes.ok_or_else(|| corrupt(format!("page {number} ends behind the end of the file")))?;
        if bytes > self.most_page_bytes {
            return Err(FsError::Limit {
                what: "the size of a page (`file_bytes`)",
                limit: self.most_page_bytes,
            });
        }
        let mut page = vec![0; to_usize(bytes)];
        self.fill(start, &mut page)?;
        Page::new(page)
    }

    fn fill(&self, offset: u64, dst: &mut [u8]) -> Result<(), FsError> {
        let left = self.left.get().checked_sub(to_u64(dst.len()));
        self.left.set(left.unwrap_or(0));
        left.ok_or_else(|| corrupt("its pages name each other again and again"))?;
        if (self.read)(offset, dst)? < dst.len() {
            return Err(corrupt("it ends within a page"));
        }
        Ok(())
    }
}

/// A page, or a bucket within a value.
struct Page {
    kind: Kind,
    count: usize,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Kind {
    Branch,
    Leaf,
}

/// What an element has beside its key.
enum Content<'a> {
    /// Of a branch, the page below.
    Page(u64),
    /// Of a leaf, its flags and its value.
    Leaf(u32, &'a [u8]),
}

impl Page {
    fn new(bytes: Vec<u8>) -> Result<Self, FsError> {
        let header = Bytes(&bytes);
        let (flags, count) = (header.le16(8)?, usize::from(header.le16(10)?));
        let kind = match flags {
            BRANCH if count > 0 => Kind::Branch,
            LEAF => Kind::Leaf,
            _ => return Err(corrupt("a page is neither a branch nor a leaf")),
        };
        Ok(Self { kind, count, bytes })
    }

    fn element(&self, index: usize) -> Result<(&[u8], Content<'_>), FsError> {
        let bytes = Bytes(&self.bytes);
        let start = index.saturating_mul(ELEMENT).saturating_add(HEADER);
        let element = Bytes(bytes.get(start, ELEMENT)?);
        // Positions count from the element.
        let text = |position: u32, length: usize| bytes.get(start.saturating_add(to_usize(position)), length);
        match self.kind {
            Kind::Branch => {
                let key = text(element.le32(0)?, to_usize(element.le32(4)?))?;
                Ok((key, Content::Page(element.le64(8)?)))
            }
            Kind::Leaf => {
                let (position, length) = (element.le32(4)?, to_usize(element.le32(8)?));
                if length > MOST_KEY {
                    return Err(corrupt("a key is longer than a key may be"));
                }
                let both = text(position, length.saturating_add(to_usize(element.le32(12)?)))?;
                let (key, value) = both.split_at_checked(length).unwrap_or_default();
                Ok((key, Content::Leaf(element.le32(0)?, value)))
            }
        }
    }
}

impl Content<'_> {
    fn entry(&self) -> Result<Option<Entry>, FsError> {
        let Self::Leaf(flags, value) = *self else { return Ok(None) };
        if flags & BUCKET == 0 {
            return Ok(Some(Entry::Value(value.to_vec())));
        }
        let place = match Bytes(value).le64(0)? {
            0 => Place::Inline(value.get(BUCKET_HEADER..).unwrap_or_default().to_vec()),
            number => Place::Page(number),
        };
        Ok(Some(Entry::Bucket(Bucket(place))))
    }
}

/// The meta page at an offset, if it is valid.
fn meta(read: &Read<'_>, offset: u64) -> Result<Option<Meta>, FsError> {
    let mut page = [0; HEADER + META_CHECKSUM + 8];
    if read(offset, &mut page)? < page.len() {
        return Ok(None);
    }
    let flags = Bytes(&page).le16(8)?;
    let fields = page.get(HEADER..).unwrap_or_default();
    let meta = Bytes(fields);
    let page_size = meta.le32(8)?;
    let is_size = page_size.is_power_of_two() && PAGE_SIZES.contains(&page_size.trailing_zeros());
    let checksum = fnv(meta.get(0, META_CHECKSUM)?);
    let is_valid = flags & META != 0
        && meta.le32(0)? == MAGIC
        && meta.le32(4)? == VERSION
        && meta.le64(META_CHECKSUM)? == checksum
        && is_size;
    if !is_valid {
        return Ok(None);
    }
    Ok(Some(Meta { page_size: u64::from(page_size), root: meta.le64(16)?, transaction: meta.le64(48)? }))
}

/// FNV-1a of 64 bits: the offset basis and the prime of draft-eastlake-fnv.
fn fnv(bytes: &[u8]) -> u64 {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

fn corrupt(problem: impl Into<String>) -> FsError {
    FsError::corrupt("the bbolt database", problem)
}

/// Goes through everything in a database: the body of a fuzz target.
pub fn fuzz_bolt(content: &[u8]) {
    let read = |offset: u64, dst: &mut [u8]| {
        let rest = content.get(to_usize(offset)..).unwrap_or_default();
        let count = rest.len().min(dst.len());
        for (to, from) in dst.iter_mut().zip(rest) {
            *to = *from;
        }
        Ok(count)
    };
    let Ok(bolt) = Bolt::open(&read, to_u64(content.len()), &Limits::default()) else { return };
    let mut waiting = vec![bolt.root()];
    while let Some(bucket) = waiting.pop() {
        let _ = bolt.each(&bucket, &mut |key, entry| {
            let _ = bolt.get(&bucket, key)?;
            if let Entry::Bucket(bucket) = entry {
                waiting.push(bucket);
            }
            Ok(true)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 1024;

    /// Keys with what they stand for: flags and value.
    type Items = Vec<(Vec<u8>, u32, Vec<u8>)>;

    fn value(key: impl Into<Vec<u8>>, value: &[u8]) -> (Vec<u8>, u32, Vec<u8>) {
        (key.into(), 0, value.to_vec())
    }

    /// A bucket with its root on this page.
    fn bucket(key: &str, page: u64) -> (Vec<u8>, u32, Vec<u8>) {
        (key.into(), BUCKET, [page.to_le_bytes(), [0; 8]].concat())
    }

    fn header(number: u64, flags: u16, count: usize, more: u32) -> Vec<u8> {
        let count = u16::try_from(count).unwrap();
        [&number.to_le_bytes()[..], &flags.to_le_bytes(), &count.to_le_bytes(), &more.to_le_bytes()].concat()
    }

    /// The elements of a page with their keys and values behind them.
    fn elements(items: &[(Vec<u8>, Vec<u8>)], element: impl Fn(usize, u32, u32, u32) -> Vec<u8>) -> Vec<u8> {
        let mut data = Vec::new();
        let mut written = Vec::new();
        for (index, (key, value)) in items.iter().enumerate() {
            let position = (items.len() - index) * ELEMENT + data.len();
            let [position, key_length, value_length] =
                [position, key.len(), value.len()].map(|length| u32::try_from(length).unwrap());
            written.extend(element(index, position, key_length, value_length));
            data.extend([&key[..], value].concat());
        }
        [written, data].concat()
    }

    fn leaf(number: u64, items: &Items) -> Vec<u8> {
        let texts: Vec<_> = items.iter().map(|(key, _, value)| (key.clone(), value.clone())).collect();
        let body = elements(&texts, |index, position, key, value| {
            [items[index].1, position, key, value].map(u32::to_le_bytes).concat()
        });
        let more = (HEADER + body.len() - 1) / SIZE;
        let mut page = [header(number, LEAF, items.len(), u32::try_from(more).unwrap()), body].concat();
        page.resize((more + 1) * SIZE, 0);
        page
    }

    fn branch(number: u64, items: &[(&str, u64)]) -> Vec<u8> {
        let keys: Vec<_> = items.iter().map(|(key, _)| (key.as_bytes().to_vec(), Vec::new())).collect();
        let body = elements(&keys, |index, position, key, _| {
            [&position.to_le_bytes()[..], &key.to_le_bytes(), &items[index].1.to_le_bytes()].concat()
        });
        let mut page = [header(number, BRANCH, items.len(), 0), body].concat();
        page.resize(SIZE, 0);
        page
    }

    fn meta_page(number: u64, root: u64, transaction: u64) -> Vec<u8> {
        let mut meta = [MAGIC, VERSION, 1024, 0].map(u32::to_le_bytes).concat();
        meta.extend([root, 0, 2, 99, transaction].map(u64::to_le_bytes).concat());
        meta.extend(fnv(&meta).to_le_bytes());
        let mut page = [header(number, META, 0, 0), meta].concat();
        page.resize(SIZE, 0);
        page
    }

    /// A database whose root bucket has a bucket `tree` of two leaves, the second of them of several pages, and a bucket
    /// `inline` in its value. An older transaction had nothing.
    fn database() -> Vec<u8> {
        let inner = leaf(0, &vec![value("k", b"v")]);
        let inline = [&[0; BUCKET_HEADER], &inner[..HEADER + ELEMENT + 2]].concat();
        let root = leaf(3, &vec![("inline".into(), BUCKET, inline), bucket("tree", 4)]);
        let small: Items = (0..9).map(|number| value(format!("a{number}"), &[number])).collect();
        let large = vec![value("m", b"first"), value("n", &[7; 3000]), value("o", b"last")];
        [
            meta_page(0, 3, 8),
            meta_page(1, 2, 7),
            leaf(2, &Items::new()),
            root,
            branch(4, &[("a0", 5), ("m", 6)]),
            leaf(5, &small),
            leaf(6, &large),
        ]
        .concat()
    }

    /// Everything in a database: the path of each key, and its value.
    fn all(content: &[u8]) -> Result<Vec<(String, Vec<u8>)>, FsError> {
        let read = |offset: u64, dst: &mut [u8]| {
            let rest = content.get(to_usize(offset)..).unwrap_or_default();
            let count = rest.len().min(dst.len());
            dst[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        };
        let bolt = Bolt::open(&read, to_u64(content.len()), &Limits::default())?;
        let mut found = Vec::new();
        let mut waiting = vec![(String::new(), bolt.root())];
        while let Some((path, here)) = waiting.pop() {
            bolt.each(&here, &mut |key, entry| {
                assert_eq!(bolt.get(&here, key)?.as_ref(), Some(&entry));
                let path = format!("{path}/{}", String::from_utf8_lossy(key));
                match entry {
                    Entry::Value(value) => found.push((path, value)),
                    Entry::Bucket(bucket) => waiting.push((path, bucket)),
                }
                Ok(true)
            })?;
            for absent in [&b""[..], b"a00", b"z"] {
                assert_eq!(bolt.get(&here, absent)?, None);
            }
        }
        found.sort();
        Ok(found)
    }

    #[test]
    fn every_kind_of_page_is_read() {
        let found = all(&database()).unwrap();
        let paths: Vec<_> = found.iter().map(|(path, _)| &path[..]).collect();
        let mut expected = vec!["/inline/k"];
        expected.extend(["/tree/a0", "/tree/a1", "/tree/a2", "/tree/a3", "/tree/a4", "/tree/a5", "/tree/a6"]);
        expected.extend(["/tree/a7", "/tree/a8", "/tree/m", "/tree/n", "/tree/o"]);
        assert_eq!(paths, expected);
        assert_eq!((&found[0].1[..], found[11].1.len(), &found[12].1[..]), (&b"v"[..], 3000, &b"last"[..]));
    }

    #[test]
    fn the_later_of_the_valid_meta_pages_counts() {
        let mut content = database();
        content[HEADER + 20] ^= 1;
        assert_eq!(all(&content).unwrap(), []);
        content[SIZE + HEADER + 20] ^= 1;
        let error = all(&content).unwrap_err().to_string();
        assert_eq!(error, "the bbolt database is damaged: neither of its meta pages is valid");
        assert!(all(b"").is_err());
    }

    #[test]
    fn circles_end() {
        let mut content = database();
        content[4 * SIZE..5 * SIZE].copy_from_slice(&branch(4, &[("a0", 4), ("m", 4)]));
        let error = all(&content).unwrap_err().to_string();
        assert!(error.starts_with("the bbolt database is damaged: its pages "), "{error}");
        let mut content = database();
        let root = leaf(3, &vec![bucket("a", 3), bucket("b", 3)]);
        content[3 * SIZE..4 * SIZE].copy_from_slice(&root);
        let error = all(&content).unwrap_err().to_string();
        assert_eq!(error, "the bbolt database is damaged: its pages name each other again and again");
    }

    #[test]
    fn no_damage_is_a_panic() {
        let whole = database();
        for end in (0..whole.len()).step_by(67) {
            fuzz_bolt(&whole[..end]);
        }
        // Headers and elements, which are at the starts of pages.
        for page in (2 * SIZE..whole.len()).step_by(SIZE) {
            for position in page..page + 3 * ELEMENT {
                let mut content = whole.clone();
                content[position] ^= 0x81;
                fuzz_bolt(&content);
            }
        }
    }
}
