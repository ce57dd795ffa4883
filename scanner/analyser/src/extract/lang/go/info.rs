//! Where the build information is in a program, and the two texts that it consists of.
//!
//! Source of the layout: the documentation of Go's package `debug/buildinfo`, and what the linkers of Go 1.13 to 1.25 write.

use crate::elf::{Elf, ElfError, Section};
use crate::limits::Limits;
use crate::read_at::ReadAt;
use crate::volume::bytes::{to_u64, to_usize};

/// What a search for build information ends with.
#[derive(Debug)]
pub(super) enum Search {
    /// Nothing says that Go built this program.
    NotGo,
    /// Go did, but there is no build information.
    Without,
    /// The program is packed, so that nothing is known of it.
    Packed,
    /// It is there.
    Found(BuildInfo),
}

/// What Go wrote into a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BuildInfo {
    /// The version of Go, such as `go1.22.1`.
    pub(super) go: String,
    /// The lines that describe modules and settings; empty if Go knew of none.
    pub(super) modules: String,
}

/// What it begins with.
const MAGIC: &[u8] = b"\xff Go buildinf:";
/// It stands at a multiple of this many bytes in memory.
const ALIGNMENT: u64 = 16;
/// Bytes of its header: the magic, the size of an address, flags; then two addresses, of up to 8 bytes each.
const HEADER: usize = 32;
/// Flags: numbers are big-endian; the texts follow the header, as they do since Go 1.18.
const IS_BIG: u8 = 1;
const IS_INLINE: u8 = 2;
/// How many bytes of writable data are searched in a program without names of sections. Go's own linker puts the
/// information at their start; that of another language may put some tables before it.
const SEARCHED: u64 = 4 << 20;
/// How many bytes are searched at once.
const PIECE: u64 = 64 << 10;

/// Looks for the build information of a program.
pub(super) fn find<S: ReadAt>(elf: &Elf<'_, S>, limits: &Limits) -> Result<Search, ElfError> {
    // A damaged or missing table of sections does not keep a program from running.
    let sections = match elf.sections() {
        Err(ElfError::Fs(error)) => return Err(error.into()),
        sections => sections.unwrap_or_default(),
    };
    if let Some(section) = sections.iter().find(|section| section.is(".go.buildinfo")) {
        let place = search(elf, section.offset, section.address, section.bytes.min(SEARCHED))?;
        let place = place.ok_or(ElfError::Damaged("its section .go.buildinfo has no build information"))?;
        return read(elf, place, limits).map(Search::Found);
    }
    let is_of_go = |section: &Section| {
        [".note.go.buildid", ".gopclntab", ".data.rel.ro.gopclntab"].iter().any(|name| section.is(name))
    };
    let is_go = sections.iter().any(is_of_go);
    if !is_go && !sections.is_empty() {
        return Ok(Search::NotGo);
    }
    if elf.is_packed() {
        return Ok(Search::Packed);
    }
    let mut left = SEARCHED;
    for segment in elf.segments().iter().filter(|segment| segment.is_writable_data) {
        let bytes = segment.bytes.min(left);
        left = left.saturating_sub(bytes);
        if let Some(place) = search(elf, segment.offset, segment.address, bytes)? {
            return read(elf, place, limits).map(Search::Found);
        }
    }
    Ok(if is_go { Search::Without } else { Search::NotGo })
}

/// The place in the file of the build information that is among these bytes.
fn search<S: ReadAt>(
    elf: &Elf<'_, S>,
    offset: u64,
    address: u64,
    bytes: u64,
) -> Result<Option<u64>, ElfError> {
    let what = "what is searched for build information";
    // Up to the first multiple in memory.
    let mut done = address.wrapping_neg().checked_rem(ALIGNMENT).unwrap_or(0);
    while let Some(left) = bytes.checked_sub(done).filter(|&left| left > 0) {
        let at = offset.checked_add(done).ok_or(ElfError::Outside { what })?;
        let piece = elf.bytes(what, at, left.min(PIECE))?;
        let found = piece.chunks(to_usize(ALIGNMENT)).position(|chunk| chunk.starts_with(MAGIC));
        if let Some(index) = found {
            return Ok(to_u64(index).checked_mul(ALIGNMENT).and_then(|within| at.checked_add(within)));
        }
        done = done.saturating_add(PIECE);
    }
    Ok(None)
}

fn read<S: ReadAt>(elf: &Elf<'_, S>, place: u64, limits: &Limits) -> Result<BuildInfo, ElfError> {
    let header = elf.bytes("its build information", place, to_u64(HEADER))?;
    let tail = header.get(MAGIC.len()..).unwrap_or_default();
    let [address_bytes, flags, addresses @ ..] = tail else {
        return Err(ElfError::Damaged("its build information is cut off"));
    };
    let mut texts = if flags & IS_INLINE != 0 {
        Texts::Inline(place.saturating_add(to_u64(HEADER)))
    } else {
        let form = elf.form();
        if *address_bytes != form.word_bytes() || (flags & IS_BIG != 0) != form.is_big {
            return Err(ElfError::Damaged(
                "its build information is not of the program's own byte order and size",
            ));
        }
        let second = usize::from(*address_bytes);
        let (Some(go), Some(modules)) = (form.word(addresses, 0), form.word(addresses, second)) else {
            return Err(ElfError::Damaged("its build information is cut off"));
        };
        Texts::Elsewhere([go, modules].into_iter())
    };
    let go = texts.next(elf, limits)?;
    let modules = texts.next(elf, limits)?;
    Ok(BuildInfo { go: text(&go), modules: text(without_marks(&modules)) })
}

/// The texts that are still to be read.
#[derive(Debug)]
enum Texts {
    /// Each is its length, as a varint, and its bytes.
    Inline(u64),
    /// At each address are the address and the length of a text.
    Elsewhere(std::array::IntoIter<u64, 2>),
}

impl Texts {
    fn next<S: ReadAt>(&mut self, elf: &Elf<'_, S>, limits: &Limits) -> Result<Vec<u8>, ElfError> {
        /// The texts of the largest programs have some 100 KB.
        const WHAT: &str = "the text of its build information";

        let check = |length: u64| {
            let limit = limits.small_file_bytes;
            let what = "the size of build information (`small_file_bytes`)";
            if length > limit { Err(crate::fs::FsError::Limit { what, limit }) } else { Ok(length) }
        };
        match self {
            Self::Inline(place) => {
                let (length, bytes) = varint(elf, *place)?;
                let start = place.saturating_add(bytes);
                *place = start.saturating_add(length);
                elf.bytes(WHAT, start, check(length)?)
            }
            Self::Elsewhere(addresses) => {
                // No text at all is no address.
                let Some(address) = addresses.next().filter(|&address| address != 0) else {
                    return Ok(Vec::new());
                };
                let form = elf.form();
                let word = form.word_bytes();
                let header = elf.memory(WHAT, address, u64::from(word).saturating_mul(2))?;
                match (form.word(&header, 0), form.word(&header, usize::from(word))) {
                    (Some(_), Some(0)) => Ok(Vec::new()),
                    (Some(address), Some(length)) => elf.memory(WHAT, address, check(length)?),
                    _ => Err(ElfError::Outside { what: WHAT }),
                }
            }
        }
    }
}

/// A number in groups of seven bits, the lowest first, and in how many bytes it is written.
fn varint<S: ReadAt>(elf: &Elf<'_, S>, place: u64) -> Result<(u64, u64), ElfError> {
    let mut value = 0_u64;
    // Nine groups hold more than any length.
    for index in 0..9_u32 {
        let at = place.saturating_add(u64::from(index));
        let byte =
            elf.bytes("the length of its build information", at, 1)?.first().copied().unwrap_or_default();
        let group = u64::from(byte & 0x7f).checked_shl(index.saturating_mul(7)).unwrap_or_default();
        value |= group;
        if byte & 0x80 == 0 {
            return Ok((value, u64::from(index).saturating_add(1)));
        }
    }
    Err(ElfError::Damaged("the length of its build information is no number"))
}

/// The modules stand between two marks of 16 bytes, by which they can be found in memory too. Their last line is ended.
fn without_marks(modules: &[u8]) -> &[u8] {
    const MARK: usize = 16;
    let end = modules.len().checked_sub(MARK);
    let inner = end.and_then(|end| modules.get(MARK..end)).unwrap_or_default();
    if inner.ends_with(b"\n") { inner } else { &[] }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "numbers of the tests' own")]
mod tests {
    use super::*;
    use crate::elf::tests::Writer;

    const MODULES: &str = "path\texample.com/a\nmod\texample.com/a\tv1.0.0\th1:x=\n";

    fn marked(modules: &str) -> Vec<u8> {
        [&[0x30; 16], modules.as_bytes(), &[0xf9; 16]].concat()
    }

    fn with_length(bytes: &[u8]) -> Vec<u8> {
        let (mut length, mut written) = (bytes.len(), Vec::new());
        while length > 0x7f {
            written.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        written.push(u8::try_from(length).unwrap());
        [&written, bytes].concat()
    }

    /// As Go 1.18 and later write it.
    fn inline(go: &str, modules: &str) -> Vec<u8> {
        let header = [MAGIC, &[8, 2], &[0; 16]].concat();
        [header, with_length(go.as_bytes()), with_length(&marked(modules))].concat()
    }

    /// A program as earlier ones write it: the section, and elsewhere in memory two headers of texts and the texts.
    fn pointers(is_64: bool, is_big: bool, go: &str, modules: &str) -> Writer {
        let mut writer = Writer { is_64, is_big, sections: Vec::new(), has_sections: true, more_memory: 0 };
        let word = to_u64(writer.word(0).len());
        let modules = marked(modules);
        let headers = Writer::ADDRESS + 32;
        let texts = headers + 4 * word;
        let mut section = [
            MAGIC,
            &[u8::try_from(word).unwrap(), u8::from(is_big)],
            &writer.word(headers),
            &writer.word(headers + 2 * word),
        ]
        .concat();
        let data = [
            writer.word(texts),
            writer.word(to_u64(go.len())),
            writer.word(texts + to_u64(go.len())),
            writer.word(to_u64(modules.len())),
            go.as_bytes().to_vec(),
            modules,
        ]
        .concat();
        section.resize(32, 0);
        writer.sections = vec![(".go.buildinfo", section), (".data", data)];
        writer
    }

    fn found(file: &[u8]) -> Search {
        find(&Elf::open(&file).unwrap().unwrap(), &Limits::default()).unwrap()
    }

    #[track_caller]
    fn assert_info(file: &[u8], go: &str) {
        let Search::Found(info) = found(file) else { panic!("{:?}", found(file)) };
        assert_eq!(info, BuildInfo { go: go.to_owned(), modules: MODULES.to_owned() });
    }

    #[test]
    fn both_forms_are_read_in_every_byte_order_and_size() {
        for (is_64, is_big) in [(true, false), (true, true), (false, false), (false, true)] {
            assert_info(&pointers(is_64, is_big, "go1.15.2", MODULES).write(), "go1.15.2");
            let sections = vec![(".go.buildinfo", inline("go1.22.1", MODULES))];
            assert_info(
                &Writer { is_64, is_big, sections, has_sections: true, more_memory: 0 }.write(),
                "go1.22.1",
            );
        }
    }

    #[test]
    fn it_is_found_without_names_of_sections() {
        for before in [0, 16, 100_000, 3 << 20] {
            let sections = vec![(".data", vec![1; before]), (".x", inline("go1.20", MODULES))];
            let mut writer =
                Writer { is_64: true, is_big: false, sections, has_sections: false, more_memory: 0 };
            assert_info(&writer.write(), "go1.20");
            // A program with sections of another compiler is not searched.
            writer.has_sections = true;
            assert!(matches!(found(&writer.write()), Search::NotGo));
            // One of Go's is, in case that its sections were joined.
            writer.sections.push((".gopclntab", vec![0]));
            assert_info(&writer.write(), "go1.20");
        }
    }

    #[test]
    fn a_program_of_go_without_the_information_is_said_to_be_one() {
        let sections = vec![(".note.go.buildid", vec![0; 100]), (".data", vec![0; 100])];
        let file =
            Writer { is_64: true, is_big: false, sections, has_sections: true, more_memory: 0 }.write();
        assert!(matches!(found(&file), Search::Without));
    }

    #[test]
    fn of_a_large_program_little_is_read() {
        #[derive(Debug)]
        struct Counting<'a> {
            content: &'a [u8],
            bytes: std::cell::Cell<usize>,
        }

        impl ReadAt for Counting<'_> {
            fn size(&self) -> u64 {
                self.content.size()
            }

            fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<usize, crate::fs::FsError> {
                let count = self.content.read_at(offset, dst)?;
                self.bytes.set(self.bytes.get() + count);
                Ok(count)
            }
        }

        let sections = vec![(".text", vec![0; 50 << 20]), (".go.buildinfo", inline("go1.22.1", MODULES))];
        let file =
            Writer { is_64: true, is_big: false, sections, has_sections: true, more_memory: 0 }.write();
        let source = Counting { content: &file, bytes: std::cell::Cell::new(0) };
        let found = find(&Elf::open(&source).unwrap().unwrap(), &Limits::default()).unwrap();
        assert!(matches!(found, Search::Found(_)));
        assert!(source.bytes.get() < 1000, "{}", source.bytes.get());
    }

    #[test]
    fn a_packed_program_is_said_to_be_one() {
        let sections = vec![(".data", vec![0; 100])];
        let mut writer =
            Writer { is_64: true, is_big: false, sections, has_sections: false, more_memory: 1 << 20 };
        assert!(matches!(found(&writer.write()), Search::Packed));
        writer.has_sections = true;
        assert!(matches!(found(&writer.write()), Search::NotGo));
    }

    #[test]
    fn damaged_information_is_an_error() {
        let good = inline("go1.22.1", MODULES);
        for (damaged, expected) in [
            (vec![0; 64], "no build information"),
            ([&good[..32], &[0xff; 9]].concat(), "is no number"),
            ([&good[..32], &[0xff, 0xff, 0xff, 0x7f]].concat(), "small_file_bytes"),
            ([&good[..32], &[0xff, 0x7f]].concat(), "is not in the file"),
        ] {
            let sections = vec![(".go.buildinfo", damaged)];
            let file =
                Writer { is_64: true, is_big: false, sections, has_sections: true, more_memory: 0 }.write();
            let file = file.as_slice();
            let error = find(&Elf::open(&file).unwrap().unwrap(), &Limits::default()).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
