//! The header of an entry.

use super::pax::until_zero;
use crate::fs::FileType;

/// A header whose checksum is right.
#[derive(Debug)]
pub(super) struct Header<'a>(&'a [u8; 512]);

/// What an entry is (`typeflag`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Symlink,
    /// A hard link.
    Link,
    /// A device or a named pipe.
    Device(FileType),
    Pax,
    PaxGlobal,
    /// The name, or the target, of the next entry, as GNU tar writes long ones.
    LongName,
    LongLink,
    /// The name of the archive.
    Label,
    /// Of GNU tar: its parts have a table of their own.
    Sparse,
    Other(u8),
}

impl Kind {
    /// Whether bytes follow. The size in the header of a link is that of its target, with some tools.
    pub(super) fn has_content(self) -> bool {
        !matches!(self, Self::Directory | Self::Symlink | Self::Link | Self::Device(_))
    }
}

impl<'a> Header<'a> {
    /// None if the checksum says that it is no header: the sum of its bytes, with spaces in the checksum's place.
    pub(super) fn read(block: &'a [u8; 512]) -> Option<Self> {
        const CHECKSUM: std::ops::Range<usize> = 148..156;

        let sum = |value: &dyn Fn(u8) -> i64| {
            let bytes = block.iter().enumerate();
            bytes.map(|(at, &byte)| value(if CHECKSUM.contains(&at) { b' ' } else { byte })).sum::<i64>()
        };
        let header = Self(block);
        let expected = i64::try_from(number(header.field(CHECKSUM.start, 8))?).ok()?;
        // Some old tools add up signed bytes.
        let is_right = sum(&i64::from) == expected || sum(&|byte| byte.cast_signed().into()) == expected;
        is_right.then_some(header)
    }

    pub(super) fn kind(&self) -> Kind {
        match self.0.get(156).copied().unwrap_or_default() {
            0 | b'0' | b'7' => Kind::File,
            b'1' => Kind::Link,
            b'2' => Kind::Symlink,
            b'3' => Kind::Device(FileType::CharacterDevice),
            b'4' => Kind::Device(FileType::BlockDevice),
            b'5' => Kind::Directory,
            b'6' => Kind::Device(FileType::Fifo),
            b'x' => Kind::Pax,
            b'g' => Kind::PaxGlobal,
            b'L' => Kind::LongName,
            b'K' => Kind::LongLink,
            b'V' => Kind::Label,
            b'S' => Kind::Sparse,
            other => Kind::Other(other),
        }
    }

    /// With the prefix, which only POSIX has at its place.
    pub(super) fn name(&self) -> Vec<u8> {
        let name = until_zero(self.field(0, 100));
        let prefix = until_zero(self.field(345, 155));
        if prefix.is_empty() || self.field(257, 6) != b"ustar\0" {
            return name.to_vec();
        }
        [prefix, b"/", name].concat()
    }

    pub(super) fn target(&self) -> Vec<u8> {
        until_zero(self.field(157, 100)).to_vec()
    }

    pub(super) fn size(&self) -> Option<u64> {
        number(self.field(124, 12))
    }

    pub(super) fn mode(&self) -> u16 {
        let mode = number(self.field(100, 8)).unwrap_or_default() & 0o7777;
        u16::try_from(mode).unwrap_or_default()
    }

    /// User and group. Large ones have no place here, and nothing needs them.
    pub(super) fn owner(&self) -> (u32, u32) {
        (self.short(108), self.short(116))
    }

    pub(super) fn mtime(&self) -> i64 {
        number(self.field(136, 12)).and_then(|time| i64::try_from(time).ok()).unwrap_or_default()
    }

    /// Major and minor number of a device.
    pub(super) fn device(&self) -> (u32, u32) {
        (self.short(329), self.short(337))
    }

    fn short(&self, at: usize) -> u32 {
        number(self.field(at, 8)).and_then(|number| number.try_into().ok()).unwrap_or_default()
    }

    fn field(&self, at: usize, length: usize) -> &'a [u8] {
        self.0.get(at..at.saturating_add(length)).unwrap_or_default()
    }
}

/// Octal digits between spaces and zeros or, as GNU tar writes large ones, the bytes of the number behind a set bit.
fn number(field: &[u8]) -> Option<u64> {
    if let Some((&first, rest)) = field.split_first()
        && first & 0x80 != 0
    {
        let start = u64::from(first & 0x7f);
        return rest
            .iter()
            .try_fold(start, |number, &byte| number.checked_mul(256)?.checked_add(byte.into()));
    }
    let is_space = |byte: &u8| matches!(byte, b' ' | 0);
    let digits = field.iter().skip_while(|byte| is_space(byte)).take_while(|byte| !is_space(byte));
    digits.copied().try_fold(0_u64, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|&digit| digit < 8)?;
        number.checked_mul(8)?.checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        for (field, expected) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0", Some(0)),
            (b"0008\0", None),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\x01", Some((2 << 32) + 1)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
        ] {
            assert_eq!(number(field), expected, "{field:?}");
        }
    }
}
