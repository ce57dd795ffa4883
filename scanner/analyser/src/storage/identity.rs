//! UUID and label of what no driver reads, but `/etc/fstab` may name.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use crate::volume::bytes::{Bytes, Truncated};

/// What `UUID=` and `LABEL=` name, as libblkid has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) uuid: Option<String>,
    pub(super) label: Option<String>,
}

/// The identity of a format by the name that [`probe`](crate::fs::probe) gives it, from the volume's first bytes.
///
/// The EFI system partition is in nearly every `/etc/fstab`, so FAT must not look like a filesystem that is missing.
pub(super) fn of(format: &str, head: &[u8]) -> Identity {
    let head = Bytes(head);
    let found = match format {
        "FAT" => fat(head),
        "exFAT" => exfat(head),
        "NTFS" => ntfs(head),
        "swap" | "swap with a hibernation image" => swap(head),
        name if name.starts_with("LUKS") => luks(head),
        _ => return Identity::default(),
    };
    found.unwrap_or_default()
}

/// FAT12 and FAT16 have `BS_VolID` at 39 and `BS_VolLab` at 43; FAT32 at 67 and 71 (Microsoft's FAT specification 1.03,
/// section 3.2 and 3.3).
fn fat(head: Bytes<'_>) -> Result<Identity, Truncated> {
    let at = if head.get(82, 5)? == b"FAT32" { 67 } else { 39 };
    let serial = head.le32(at)?;
    let label = text(head.get(at.saturating_add(4), 11)?);
    Ok(Identity { uuid: serial_number(serial), label: label.filter(|label| label != "NO NAME") })
}

/// `VolumeSerialNumber` at 100 (Microsoft's exFAT specification, section 3.1). The label is in the root directory.
fn exfat(head: Bytes<'_>) -> Result<Identity, Truncated> {
    Ok(Identity { uuid: serial_number(head.le32(100)?), label: None })
}

/// The serial number, of 64 bits at 72. The label is in a file.
fn ntfs(head: Bytes<'_>) -> Result<Identity, Truncated> {
    Ok(Identity { uuid: Some(format!("{:016X}", head.le64(72)?)), label: None })
}

/// `sws_uuid` and `sws_volume` of the kernel's `union swap_header`, which begins at byte 1024 behind the boot sectors.
fn swap(head: Bytes<'_>) -> Result<Identity, Truncated> {
    Ok(Identity { uuid: uuid(head.array(1024 + 12)?), label: text(head.get(1024 + 28, 16)?) })
}

/// `uuid` at 168 in both versions, as text; the label of version 2 at 24 (LUKS1 and LUKS2 on-disk formats).
fn luks(head: Bytes<'_>) -> Result<Identity, Truncated> {
    let is_second = head.array(6)? == [0, 2];
    let label = if is_second { text(head.get(24, 48)?) } else { None };
    Ok(Identity { uuid: text(head.get(168, 40)?).map(|uuid| uuid.to_lowercase()), label })
}

/// A serial number of 32 bits, such as `12AB-34CD`. Zero is none.
fn serial_number(serial: u32) -> Option<String> {
    (serial != 0).then(|| format!("{:04X}-{:04X}", serial >> 16, serial & 0xffff))
}

fn uuid(bytes: [u8; 16]) -> Option<String> {
    (bytes != [0; 16]).then(|| uuid::Uuid::from_bytes(bytes).hyphenated().to_string())
}

/// Text in a field of fixed length, filled up with zeros or spaces. None if it is empty.
pub(super) fn text(field: &[u8]) -> Option<String> {
    let field = field.split(|&byte| byte == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(field.trim_ascii_end()).into_owned();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{self, Recognised};
    use crate::volume::MemoryVolume;

    fn head(parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut head = vec![0; 4096];
        for (at, bytes) in parts {
            head[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        head
    }

    /// The name that is given to what begins with these bytes.
    fn recognised(head: &[u8]) -> &'static str {
        match fs::probe(&MemoryVolume::new(head.to_vec())) {
            Ok(Recognised::Other { name, .. }) => name,
            other => panic!("{other:?}"),
        }
    }

    fn identity(uuid: &str, label: Option<&str>) -> Identity {
        Identity { uuid: Some(uuid.to_owned()), label: label.map(str::to_owned) }
    }

    #[test]
    fn identities_are_those_of_blkid() {
        let serial: &[u8] = &[0xcd, 0x34, 0xab, 0x12];
        let fat32 = head(&[(82, b"FAT32   "), (67, serial), (71, b"EFI SYSTEM ")]);
        assert_eq!(of("FAT", &fat32), identity("12AB-34CD", Some("EFI SYSTEM")));
        let fat16 = head(&[(54, b"FAT16   "), (39, serial), (43, b"NO NAME    ")]);
        assert_eq!(of("FAT", &fat16), identity("12AB-34CD", None));
        let bytes: Vec<u8> = (1..=16).collect();
        let swap = head(&[(1036, &bytes), (1052, b"swap0")]);
        assert_eq!(of("swap", &swap), identity("01020304-0506-0708-090a-0b0c0d0e0f10", Some("swap0")));
        let luks = head(&[(0, b"LUKS\xba\xbe\0\x02"), (24, b"crypt"), (168, b"0A-b")]);
        assert_eq!(of(recognised(&luks), &luks), identity("0a-b", Some("crypt")));
        let ntfs = head(&[(72, &[8, 7, 6, 5, 4, 3, 2, 1])]);
        assert_eq!(of("NTFS", &ntfs), identity("0102030405060708", None));
    }

    #[test]
    fn short_and_unknown_heads_have_no_identity() {
        for format in ["FAT", "exFAT", "NTFS", "swap", "LUKS2 encrypted volume", "ZFS pool member"] {
            assert_eq!(of(format, &[0; 8]), Identity::default());
        }
    }
}
