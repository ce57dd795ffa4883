//! The fourth field: how something is mounted.

use super::spec::Text;

/// Mount options, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options(Vec<(String, Option<Text>)>);

impl Options {
    /// From the field without its escapes. Options are separated by commas; in quotes a comma is part of a value.
    pub(super) fn parse(field: &[u8]) -> Self {
        let mut quoted = false;
        let parts = field.split(|&byte| {
            quoted ^= byte == b'"';
            byte == b',' && !quoted
        });
        let options = parts.filter(|part| !part.is_empty()).map(|part| {
            let mut halves = part.splitn(2, |&byte| byte == b'=');
            let name = String::from_utf8_lossy(halves.next().unwrap_or_default()).into_owned();
            let value = halves.next().map(|value| {
                value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
            });
            (name, value.map(Text::from))
        });
        Self(options.collect())
    }

    /// Whether there is an option of this name, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(option, _)| option == name)
    }

    /// The value of an option: of the last one with this name, as the kernel has it.
    pub fn value(&self, name: &str) -> Option<&[u8]> {
        let (_, value) = self.0.iter().rev().find(|(option, _)| option == name)?;
        value.as_ref().map(Text::as_bytes)
    }

    /// The path of the Btrfs subvolume to mount, from the filesystem's top level and without slashes around it: empty for
    /// the top level itself.
    pub fn subvolume(&self) -> Option<&[u8]> {
        self.value("subvol").map(|path| {
            let start = path.iter().position(|&byte| byte != b'/').unwrap_or(path.len());
            let end =
                path.iter().rposition(|&byte| byte != b'/').map_or(start, |last| last.saturating_add(1));
            path.get(start..end).unwrap_or_default()
        })
    }

    /// The number of the Btrfs subvolume to mount, decimal or hexadecimal; 0 stands for the top level, whose number is 5
    /// (`BTRFS_FS_TREE_OBJECTID`).
    pub fn subvolume_id(&self) -> Option<u64> {
        let value = std::str::from_utf8(self.value("subvolid")?).ok()?;
        let number = match value.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok()?,
            None => value.parse().ok()?,
        };
        Some(if number == 0 { 5 } else { number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(field: &str) -> Options {
        Options::parse(field.as_bytes())
    }

    #[test]
    fn options_and_their_values() {
        let options =
            parse("rw,context=\"system_u:s0:c1,c2\",subvol=@old,,subvol=/@home/,x-systemd.automount,a=b=c");
        assert!(options.has("rw") && options.has("x-systemd.automount") && !options.has("c2\""));
        assert_eq!(options.value("context"), Some(&b"system_u:s0:c1,c2"[..]));
        assert_eq!(options.value("a"), Some(&b"b=c"[..]));
        assert_eq!(options.value("rw"), None);
        assert_eq!(options.subvolume(), Some(&b"@home"[..]));
        assert_eq!(parse("subvol=/").subvolume(), Some(&b""[..]));
        assert_eq!(parse("").subvolume(), None);
    }

    #[test]
    fn numbers_of_subvolumes() {
        for (field, expected) in [
            ("subvolid=256", Some(256)),
            ("subvolid=0x100", Some(256)),
            ("subvolid=0", Some(5)),
            ("subvolid=-1", None),
            ("subvolid=18446744073709551616", None),
            ("subvolid", None),
        ] {
            assert_eq!(parse(field).subvolume_id(), expected, "{field}");
        }
    }
}
