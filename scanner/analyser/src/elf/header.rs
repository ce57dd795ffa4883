//! The header of a program, and how its numbers are written.

use crate::volume::bytes::Bytes;

use super::ElfError;

/// Bytes of the larger of the two forms of the header, `Elf64_Ehdr`.
pub(super) const LARGEST: usize = 64;

/// How numbers are written in a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// Whether addresses and offsets have 64 bits, and 32 otherwise.
    pub(crate) is_64: bool,
    /// Whether the most significant byte comes first.
    pub(crate) is_big: bool,
}

impl Form {
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = Bytes(bytes);
        if self.is_big { bytes.be16(at).ok() } else { bytes.le16(at).ok() }
    }

    pub(super) fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = Bytes(bytes);
        if self.is_big { bytes.be32(at).ok() } else { bytes.le32(at).ok() }
    }

    /// An address, an offset or a size.
    pub(crate) fn word(self, bytes: &[u8], at: usize) -> Option<u64> {
        match self {
            Self { is_64: false, .. } => self.u32(bytes, at).map(u64::from),
            Self { is_big: true, .. } => Bytes(bytes).be64(at).ok(),
            Self { is_big: false, .. } => Bytes(bytes).le64(at).ok(),
        }
    }

    /// How many bytes an address has.
    pub(crate) fn word_bytes(self) -> u8 {
        if self.is_64 { 8 } else { 4 }
    }
}

/// What the header says of the other headers. Each is where its table is, how many entries it has, and the size of one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) form: Form,
    pub(super) segments: (u64, u16, u16),
    pub(super) sections: (u64, u16, u16),
    /// The index of the section that holds the names of sections.
    pub(super) names: u16,
}

impl Header {
    /// Reads the first bytes of a file.
    pub(super) fn read(start: &[u8]) -> Result<Option<Self>, ElfError> {
        /// `e_type`: a program, and one that is loaded at any address, or a library.
        const ET_EXEC: u16 = 2;
        const ET_DYN: u16 = 3;

        let Some(rest) = start.strip_prefix(b"\x7fELF") else { return Ok(None) };
        // `EI_CLASS` and `EI_DATA`.
        let form = match rest {
            [class @ (1 | 2), data @ (1 | 2), ..] => Form { is_64: *class == 2, is_big: *data == 2 },
            [_, _, ..] => {
                return Err(ElfError::Damaged("its class or its byte order is none of those there are"));
            }
            _ => return Ok(None),
        };
        let cut = ElfError::Outside { what: "its header" };
        match form.u16(start, 16) {
            Some(ET_EXEC | ET_DYN) => {}
            Some(_) => return Ok(None),
            None => return Err(cut),
        }
        Self::fields(form, start).ok_or(cut).map(Some)
    }

    fn fields(form: Form, start: &[u8]) -> Option<Self> {
        // Up to the entry point the two forms are the same; three addresses follow, and then six numbers of 16 bits.
        let (segments, sections, numbers) = if form.is_64 { (32, 40, 54) } else { (28, 32, 42) };
        let short = |index: usize| form.u16(start, index.checked_mul(2)?.checked_add(numbers)?);
        Some(Self {
            form,
            segments: (form.word(start, segments)?, short(1)?, short(0)?),
            sections: (form.word(start, sections)?, short(3)?, short(2)?),
            names: short(4)?,
        })
    }
}
