//! systemd-boot: `loader.conf` and the entries beside it (loader.conf(5)).

use super::{Configured, Doubt, bls, first_file};
use crate::fs::{FsPath, Tree};

/// Where the EFI system partition, or the one for boot loaders, may be mounted.
const PARTITIONS: &[&str] = &["/efi", "/boot/efi", "/boot"];

/// The kernel of the entry that is started.
///
/// Which one may also be set in a variable of the firmware, that is not on the disk.
pub(super) fn configured(tree: &Tree) -> Result<Configured, Doubt> {
    let mut entries = Vec::new();
    let mut default = None;
    let mut has_images = false;
    for partition in PARTITIONS {
        let partition = FsPath::new(partition);
        let path = partition.join("loader/loader.conf").to_string();
        if let Some((_, content)) = first_file(tree, &[&path])? {
            default.get_or_insert_with(|| pattern(&content));
        }
        entries.extend(bls::entries(tree, &partition.join("loader/entries"))?);
        let images = partition.join("EFI/Linux");
        let images = tree.lookup(&images).map_err(Doubt::at(&images))?;
        has_images |= images.is_some_and(|(_, stat)| stat.file_type == crate::fs::FileType::Directory);
    }
    // Entries alone may also be those of GRUB.
    let Some(default) = default else { return Ok(Configured::Not) };
    entries.sort_by(bls::Entry::in_specification);
    let chosen = match &default {
        // The one that was started last: a variable of the firmware says which.
        Some(pattern) if pattern.starts_with('@') => return Ok(Configured::Unknown),
        Some(pattern) => {
            let pattern = pattern.strip_suffix(".conf").unwrap_or(pattern);
            entries.iter().find(|entry| matches(pattern.as_bytes(), entry.id.as_bytes()))
        }
        None => None,
    };
    // Kernels that are programs of the firmware at the same time are entries without a file.
    let first = if has_images { None } else { entries.first() };
    Ok(Configured::or_unknown(chosen.or(first).and_then(|entry| entry.linux.clone())))
}

/// The value of `default`.
fn pattern(content: &[u8]) -> Option<String> {
    let content = String::from_utf8_lossy(content);
    let values = content.lines().filter_map(|line| line.trim().split_once([' ', '\t']));
    values.filter(|(key, _)| *key == "default").map(|(_, value)| value.trim().to_owned()).next_back()
}

/// Whether a name matches a pattern in which `*` stands for any text and `?` for any character.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut in_name) = (0_usize, 0_usize);
    // Where to go on after the last `*`, which then stands for one byte more.
    let mut star = None;
    while in_name < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, in_name));
                at = at.saturating_add(1);
                continue;
            }
            Some(wanted) if *wanted == b'?' || name.get(in_name) == Some(wanted) => {
                at = at.saturating_add(1);
                in_name = in_name.saturating_add(1);
                continue;
            }
            _ => {}
        }
        let Some((star_at, taken)) = star else { return false };
        star = Some((star_at, taken.saturating_add(1)));
        at = star_at.saturating_add(1);
        in_name = taken.saturating_add(1);
    }
    pattern.get(at..).unwrap_or_default().iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn patterns_match_as_those_of_a_shell() {
        for (pattern, name, expected) in [
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*b*c", "aXbYbZc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("abc", "abcd", false),
            ("*", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
