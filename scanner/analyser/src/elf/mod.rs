//! Programs in the Executable and Linkable Format, as far as it takes to find a section or a variable in one.
//!
//! Source of the layout: System V Application Binary Interface, "Object Files" (4.1, 64-bit form as in gABI DRAFT 2013),
//! also elf(5). Nothing but the headers is read, and then what is asked for: of a program of 100 MB a few blocks.

mod header;

use crate::fs::FsError;
use crate::read_at::ReadAt;
use crate::volume::bytes::to_usize;

use header::{Form, Header};

/// Why something in a program could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ElfError {
    /// The filesystem below.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The file is cut off, or one of its numbers leads out of it.
    #[error("{what} is not in the file: it is cut off or damaged")]
    Outside {
        /// What should be there.
        what: &'static str,
    },
    /// The headers contradict the specification.
    #[error("{0}")]
    Damaged(&'static str),
}

/// A program.
#[derive(Debug)]
pub(crate) struct Elf<'a, S> {
    source: &'a S,
    header: Header,
    segments: Vec<Segment>,
}

/// A part of a program that is loaded into memory (`PT_LOAD`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) offset: u64,
    pub(crate) address: u64,
    /// Bytes in the file; what follows in memory is zero.
    pub(crate) bytes: u64,
    /// Bytes in memory.
    memory: u64,
    pub(crate) is_writable_data: bool,
}

/// A named part of a program.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    name: Vec<u8>,
    pub(crate) offset: u64,
    pub(crate) address: u64,
    pub(crate) bytes: u64,
}

/// The bytes of all the names of sections. Real tables have some hundred.
const NAMES_BYTES: u64 = 1 << 20;

/// `p_type`: loaded into memory.
const PT_LOAD: u32 = 1;
/// `p_flags`: executable, and writable.
const PF_X: u32 = 1;
const PF_W: u32 = 2;
/// `sh_type`: takes no bytes of the file, such as in files of nothing but debug information.
const SHT_NOBITS: u32 = 8;

impl<'a, S: ReadAt> Elf<'a, S> {
    /// Reads the headers. `None` if it is something else than a program or library: no ELF at all, an object that is still
    /// to be linked, a core dump.
    pub(crate) fn open(source: &'a S) -> Result<Option<Self>, ElfError> {
        let mut start = [0; header::LARGEST];
        let count = source.read_at(0, &mut start)?;
        let Some(header) = Header::read(start.get(..count).unwrap_or_default())? else { return Ok(None) };
        let mut elf = Self { source, header, segments: Vec::new() };
        elf.segments = elf.read_segments()?;
        Ok(Some(elf))
    }

    /// How its numbers are written.
    pub(crate) fn form(&self) -> Form {
        self.header.form
    }

    /// Whether it is unpacked when it starts, as UPX has it: there are no sections, and it takes more than twice as much memory as
    /// the file has bytes.
    pub(crate) fn is_packed(&self) -> bool {
        let memory = self.segments.iter().fold(0_u64, |sum, segment| sum.saturating_add(segment.memory));
        self.header.sections.1 == 0 && memory > self.source.size().saturating_mul(2)
    }

    /// What is loaded into memory.
    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    fn read_segments(&self) -> Result<Vec<Segment>, ElfError> {
        let form = self.header.form;
        let (at, count, size) = self.header.segments;
        let least = if form.is_64 { 56 } else { 32 };
        let table = self.table("its program header table", at, count, size, least)?;
        let mut segments = Vec::new();
        for entry in table.chunks_exact(usize::from(size).max(1)) {
            // The flags stand elsewhere in the 64-bit form, where they align what follows.
            let (flags, offset, address, bytes, memory) =
                if form.is_64 { (4, 8, 16, 32, 40) } else { (24, 4, 8, 16, 20) };
            if form.u32(entry, 0) == Some(PT_LOAD)
                && let (Some(flags), Some(offset), Some(address), Some(bytes), Some(memory)) = (
                    form.u32(entry, flags),
                    form.word(entry, offset),
                    form.word(entry, address),
                    form.word(entry, bytes),
                    form.word(entry, memory),
                )
            {
                let is_writable_data = flags & (PF_X | PF_W) == PF_W;
                segments.push(Segment { offset, address, bytes, memory, is_writable_data });
            }
        }
        Ok(segments)
    }

    /// Its sections that take bytes of the file; none if their table was taken away.
    pub(crate) fn sections(&self) -> Result<Vec<Section>, ElfError> {
        let form = self.header.form;
        let (at, count, size) = self.header.sections;
        let least = if form.is_64 { 64 } else { 40 };
        let table = self.table("its section header table", at, count, size, least)?;
        // Name, type, and where it is.
        let fields = |entry: &[u8]| {
            let (address, offset, bytes) = if form.is_64 { (16, 24, 32) } else { (12, 16, 20) };
            let section = Section {
                name: Vec::new(),
                offset: form.word(entry, offset)?,
                address: form.word(entry, address)?,
                bytes: form.word(entry, bytes)?,
            };
            Some((form.u32(entry, 0)?, form.u32(entry, 4)?, section))
        };
        let entries = || table.chunks_exact(usize::from(size).max(1)).filter_map(fields);
        let Some((_, _, names)) = entries().nth(usize::from(self.header.names)) else {
            return if count == 0 {
                Ok(Vec::new())
            } else {
                Err(ElfError::Damaged("its sections have no names"))
            };
        };
        if names.bytes > NAMES_BYTES {
            return Err(ElfError::Damaged("the names of its sections have more than a megabyte"));
        }
        let names = self.bytes("the table of its sections' names", names.offset, names.bytes)?;
        let sections =
            entries().filter(|&(_, kind, _)| kind != SHT_NOBITS).filter_map(|(name, _, section)| {
                let rest = names.get(to_usize(name)..)?;
                // Longer ones are none that anybody asks for; to copy them all would be the square of the table.
                let name = rest.iter().take(64).take_while(|&&byte| byte != 0).copied().collect();
                Some(Section { name, ..section })
            });
        Ok(sections.collect())
    }

    /// The bytes at an address in memory, which must all be in one segment of the file.
    pub(crate) fn memory(&self, what: &'static str, address: u64, bytes: u64) -> Result<Vec<u8>, ElfError> {
        let place = self.segments.iter().find_map(|segment| {
            let within = address.checked_sub(segment.address)?;
            let end = within.checked_add(bytes)?;
            (end <= segment.bytes).then(|| segment.offset.checked_add(within)).flatten()
        });
        self.bytes(what, place.ok_or(ElfError::Outside { what })?, bytes)
    }

    /// The bytes at a place in the file. The caller has looked at how many they are.
    pub(crate) fn bytes(&self, what: &'static str, offset: u64, bytes: u64) -> Result<Vec<u8>, ElfError> {
        let outside = || ElfError::Outside { what };
        let end = offset.checked_add(bytes).filter(|&end| end <= self.source.size());
        end.ok_or_else(outside)?;
        let mut content = vec![0; to_usize(bytes)];
        let count = self.source.read_at(offset, &mut content)?;
        if count < content.len() { Err(outside()) } else { Ok(content) }
    }

    /// A table of `count` entries of `size` bytes each, at most 65,535 of either by the width of the fields. `least` is the
    /// size of an entry in the specification.
    fn table(
        &self,
        what: &'static str,
        at: u64,
        count: u16,
        size: u16,
        least: u16,
    ) -> Result<Vec<u8>, ElfError> {
        if at == 0 || count == 0 {
            return Ok(Vec::new());
        }
        if size != least {
            return Err(ElfError::Damaged(
                "the entries of its headers are not of the size in the specification",
            ));
        }
        self.bytes(what, at, u64::from(count).saturating_mul(u64::from(size)))
    }
}

impl Section {
    /// Whether it is the one of this name.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name == name.as_bytes()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::process::Command;

    use super::*;
    use crate::volume::bytes::to_u64;

    /// A program in bytes: its headers, one writable segment, and sections of the file.
    #[derive(Debug)]
    pub(crate) struct Writer {
        pub(crate) is_64: bool,
        pub(crate) is_big: bool,
        /// Names and content; in one segment, one after the other, each at a multiple of 16.
        pub(crate) sections: Vec<(&'static str, Vec<u8>)>,
        /// Whether the table of sections is written.
        pub(crate) has_sections: bool,
        /// Bytes of memory beyond those of the file.
        pub(crate) more_memory: u64,
    }

    impl Writer {
        /// Where the segment is in memory; it begins at this modulo 4096 in the file.
        pub(crate) const ADDRESS: u64 = 0x40_0000;
        const START: u64 = 4096;

        fn number(&self, value: u64, bytes: usize) -> Vec<u8> {
            let little = value.to_le_bytes()[..bytes].to_vec();
            if self.is_big { little.into_iter().rev().collect() } else { little }
        }

        pub(crate) fn word(&self, value: u64) -> Vec<u8> {
            self.number(value, if self.is_64 { 8 } else { 4 })
        }

        pub(crate) fn write(&self) -> Vec<u8> {
            let (mut content, mut places) = (Vec::new(), Vec::new());
            for (_, bytes) in &self.sections {
                content.resize(content.len().next_multiple_of(16), 0);
                places.push((to_u64(content.len()), to_u64(bytes.len())));
                content.extend(bytes);
            }
            let segment = to_u64(content.len());
            let mut names = vec![0];
            let mut table: Vec<Vec<u8>> = vec![vec![0; if self.is_64 { 64 } else { 40 }]];
            let mut add = |name: &str, names: &mut Vec<u8>, kind: u64, at: u64, bytes: u64| {
                let name_at = to_u64(names.len());
                names.extend(name.bytes().chain([0]));
                table.push(
                    [
                        self.number(name_at, 4),
                        self.number(kind, 4),
                        self.word(3),
                        self.word(Self::ADDRESS + at),
                        self.word(Self::START + at),
                        self.word(bytes),
                        self.number(0, 8),
                        self.word(16),
                        self.word(0),
                    ]
                    .concat(),
                );
            };
            for ((name, _), (at, bytes)) in self.sections.iter().zip(places) {
                add(name, &mut names, 1, at, bytes);
            }
            let names_bytes = to_u64(names.len() + ".shstrtab".len() + 1);
            add(".shstrtab", &mut names, 3, segment, names_bytes);
            content.extend(names);
            let table_at = Self::START + to_u64(content.len());
            let header_bytes = if self.is_64 { 64 } else { 52 };
            let sections = if self.has_sections { to_u64(table.len()) } else { 0 };
            let ident = [&b"\x7fELF"[..], &[1 + u8::from(self.is_64), 1 + u8::from(self.is_big), 1], &[0; 9]];
            let (flags, segment_fields) = (
                self.number(6, 4),
                [Self::START, Self::ADDRESS, Self::ADDRESS, segment, segment + self.more_memory]
                    .map(|field| self.word(field)),
            );
            let program_header = if self.is_64 {
                [self.number(1, 4), flags, segment_fields.concat(), self.word(4096)].concat()
            } else {
                [self.number(1, 4), segment_fields.concat(), flags, self.word(4096)].concat()
            };
            let mut file = [
                ident.concat(),
                self.number(2, 2),
                self.number(62, 2),
                self.number(1, 4),
                self.word(0),
                self.word(header_bytes),
                self.word(if self.has_sections { table_at } else { 0 }),
                self.number(0, 4),
                self.number(header_bytes, 2),
                self.number(to_u64(program_header.len()), 2),
                self.number(1, 2),
                self.number(if self.is_64 { 64 } else { 40 }, 2),
                self.number(sections, 2),
                self.number(sections.saturating_sub(1), 2),
                program_header,
            ]
            .concat();
            file.resize(to_usize(Self::START), 0);
            file.extend(content);
            file.extend(table.concat());
            file
        }
    }

    #[test]
    fn sections_and_memory_are_found_in_every_form() {
        for (is_64, is_big) in [(true, false), (true, true), (false, false), (false, true)] {
            let sections = vec![(".a", b"first".to_vec()), (".b", b"second".to_vec())];
            let file = Writer { is_64, is_big, sections, has_sections: true, more_memory: 0 }.write();
            let source = file.as_slice();
            let elf = Elf::open(&source).unwrap().unwrap();
            let sections = elf.sections().unwrap();
            let section = sections.iter().find(|section| section.is(".b")).unwrap();
            assert_eq!(elf.bytes("b", section.offset, section.bytes).unwrap(), b"second");
            assert_eq!(elf.memory("b", section.address, 3).unwrap(), b"sec");
            let error = elf.memory("b", section.address, 7).unwrap_err();
            assert_eq!(error.to_string(), "b is not in the file: it is cut off or damaged");
            assert!(elf.segments().iter().all(|segment| segment.is_writable_data));
        }
    }

    #[test]
    fn a_real_program_has_the_sections_that_readelf_shows() {
        let program = std::env::current_exe().unwrap();
        let file = std::fs::read(&program).unwrap();
        let source = file.as_slice();
        let shown =
            Command::new("readelf").args(["--section-headers", "--wide"]).arg(&program).output().unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        let expected: Vec<_> = shown
            .lines()
            .filter_map(|line| Some(line.split_once(']')?.1.split_whitespace().collect::<Vec<_>>()))
            .filter(|fields| {
                fields.first().is_some_and(|name| name.starts_with('.')) && fields.get(1) != Some(&"NOBITS")
            })
            .filter_map(|fields| {
                let number = |index: usize| u64::from_str_radix(fields.get(index)?, 16).ok();
                Some((fields[0].to_owned(), number(2)?, number(3)?, number(4)?))
            })
            .collect();
        let found: Vec<_> = Elf::open(&source)
            .unwrap()
            .unwrap()
            .sections()
            .unwrap()
            .into_iter()
            .filter(|section| !section.name.is_empty())
            .map(|section| {
                (String::from_utf8(section.name).unwrap(), section.address, section.offset, section.bytes)
            })
            .collect();
        assert!(found.len() > 10, "{found:?}");
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_cut_off_is_an_error_and_what_is_no_program_is_none() {
        let file = Writer {
            is_64: true,
            is_big: false,
            sections: vec![(".a", vec![1])],
            has_sections: true,
            more_memory: 0,
        }
        .write();
        for source in [&b""[..], b"#!/bin/sh\n", b"\x7fEL"] {
            assert!(Elf::open(&source).unwrap().is_none());
        }
        let cut = &file[..file.len() - 1];
        assert!(Elf::open(&cut).unwrap().unwrap().sections().is_err());
        let cut = &file[..70];
        assert!(Elf::open(&cut).is_err());
        let cut = &file[..20];
        assert!(Elf::open(&cut).is_err());
    }
}
