//! The first field: what is mounted.

use std::fmt;

use crate::fs::FsPath;

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Spec {
    /// The filesystem with this UUID, in lower case.
    Uuid(String),
    /// The filesystem with this label.
    Label(Text),
    /// The partition with this identity, in lower case: a UUID in GPT, the disk's identity and a number in MBR.
    PartUuid(String),
    /// The partition with this name, which only GPT has.
    PartLabel(Text),
    /// The device with this name in `/dev/disk/by-id`.
    Id(Text),
    /// The device with this path below `/dev`, such as `/nvme1n1p1`, `/mapper/vg-lv` or `/vg/lv`.
    Device(FsPath),
    /// A directory, or a file with an image.
    Path(FsPath),
    /// Something else: another machine's directory, or the name of what needs no device.
    Other(Text),
}

/// A name: any bytes but NUL.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Text(Vec<u8>);

impl Spec {
    /// From the field without its escapes.
    pub(super) fn parse(field: &[u8]) -> Self {
        if let Some(path) = field.strip_prefix(b"/dev/") {
            return Self::device(path);
        }
        if field.starts_with(b"/") {
            return Self::Path(FsPath::new(field));
        }
        let Some(at) = field.iter().position(|&byte| byte == b'=') else { return Self::other(field) };
        let (tag, value) = (field.get(..at).unwrap_or_default(), field.get(at.saturating_add(1)..));
        let value = unquote(value.unwrap_or_default());
        match tag {
            b"UUID" => Self::Uuid(lower_case(value)),
            b"LABEL" => Self::Label(value.into()),
            b"PARTUUID" => Self::PartUuid(lower_case(value)),
            b"PARTLABEL" => Self::PartLabel(value.into()),
            b"ID" => Self::Id(value.into()),
            _ => Self::other(field),
        }
    }

    /// The volume group and the logical volume that a device is, if its path has the form of one: `/dev/vg/lv`, or
    /// `/dev/mapper/vg-lv`, where a dash within either is doubled.
    pub fn logical_volume(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let Self::Device(path) = self else { return None };
        let mut names = path.components();
        let (first, second, None) = (names.next()?, names.next()?, names.next()) else { return None };
        match first {
            b"mapper" => split_at_dash(second),
            b"disk" | b"md" | b"loop" | b"zvol" | b"pts" | b"shm" => None,
            _ => Some((first.to_vec(), second.to_vec())),
        }
    }

    /// A path below `/dev`. udev's links are what they link to: that is what their names are for.
    fn device(path: &[u8]) -> Self {
        let path = FsPath::new(path);
        let names: Vec<_> = path.components().collect();
        match names.as_slice() {
            [b"disk", b"by-uuid", name] => Self::Uuid(lower_case(&decode(name))),
            [b"disk", b"by-label", name] => Self::Label(decode(name).into()),
            [b"disk", b"by-partuuid", name] => Self::PartUuid(lower_case(&decode(name))),
            [b"disk", b"by-partlabel", name] => Self::PartLabel(decode(name).into()),
            [b"disk", b"by-id", name] => Self::Id(decode(name).into()),
            _ => Self::Device(path),
        }
    }

    fn other(field: &[u8]) -> Self {
        Self::Other(field.into())
    }
}

impl Text {
    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// Both the tags and udev's links may be written in either case for hexadecimal digits.
fn lower_case(value: &[u8]) -> String {
    String::from_utf8_lossy(value).to_ascii_lowercase()
}

/// A tag's value may stand in quotes.
fn unquote(value: &[u8]) -> &[u8] {
    let inside = |quote: &[u8]| value.strip_prefix(quote)?.strip_suffix(quote);
    inside(b"\"").or_else(|| inside(b"'")).unwrap_or(value)
}

/// Undoes udev's encoding of names in `/dev/disk`: `\x` and two hexadecimal digits.
fn decode(name: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&byte, after)) = rest.split_first() {
        let digits = rest.strip_prefix(b"\\x").and_then(|digits| digits.get(..2));
        let number = digits
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        decoded.push(number.unwrap_or(byte));
        rest = number.and_then(|_| after.get(3..)).unwrap_or(after);
    }
    decoded
}

/// Splits the device mapper's name of a logical volume at its first single dash, and halves the double ones.
fn split_at_dash(name: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut parts = vec![Vec::new()];
    let mut bytes = name.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte == b'-' && bytes.next_if_eq(&b'-').is_none() {
            parts.push(Vec::new());
        } else {
            parts.last_mut()?.push(byte);
        }
    }
    let [group, volume] = <[_; 2]>::try_from(parts).ok()?;
    (!group.is_empty() && !volume.is_empty()).then_some((group, volume))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_are_told_apart() {
        for (field, expected) in [
            ("UUID=ABCD-1234", "Uuid(\"abcd-1234\")"),
            ("UUID=\"a b\"", "Uuid(\"a b\")"),
            ("LABEL='x=y'", "Label(\"x=y\")"),
            ("LABEL=\"", "Label(\"\\\"\")"),
            ("PARTUUID=1F-01", "PartUuid(\"1f-01\")"),
            ("PARTLABEL=é", "PartLabel(\"\\xc3\\xa9\")"),
            ("ID=nvme-a", "Id(\"nvme-a\")"),
            ("/dev/disk/by-label/a\\x20b\\x2fc", "Label(\"a b/c\")"),
            ("/dev/disk/by-label/\\xzz\\x+1", "Label(\"\\\\xzz\\\\x+1\")"),
            ("/dev/disk/by-partlabel/BOTTLEROCKET-DATA", "PartLabel(\"BOTTLEROCKET-DATA\")"),
            ("/dev/disk/by-partuuid/AB", "PartUuid(\"ab\")"),
            ("/dev/disk/by-path/pci", "Device(\"/disk/by-path/pci\")"),
            ("/dev/../etc", "Device(\"/etc\")"),
            ("/srv/image", "Path(\"/srv/image\")"),
            ("server:/export", "Other(\"server:/export\")"),
            ("a=b", "Other(\"a=b\")"),
            ("", "Other(\"\")"),
        ] {
            assert_eq!(format!("{:?}", Spec::parse(field.as_bytes())), expected);
        }
    }

    #[test]
    fn names_of_logical_volumes() {
        for (path, expected) in [
            ("/dev/mapper/vg-lv", Some(("vg", "lv"))),
            ("/dev/mapper/a--b-c--d", Some(("a-b", "c-d"))),
            ("/dev/mapper/a---b", Some(("a-", "b"))),
            ("/dev/mapper/luks", None),
            ("/dev/mapper/a-b-c", None),
            ("/dev/mapper/-a", None),
            ("/dev/vg/lv", Some(("vg", "lv"))),
            ("/dev/md/0", None),
            ("/dev/nvme0n1", None),
            ("/srv/vg/lv", None),
        ] {
            let found = Spec::parse(path.as_bytes()).logical_volume();
            let expected = expected.map(|(group, volume)| (group.into(), volume.into()));
            assert_eq!(found, expected, "{path}");
        }
    }
}
