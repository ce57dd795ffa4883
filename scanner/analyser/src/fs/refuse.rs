//! Filesystems that are refused as a whole, in the same words whatever their format.

use super::FsError;

/// Refuses a filesystem with a feature that its driver does not read, and names it. `known` has each flag with its name,
/// and whether the driver reads filesystems that have it.
pub(super) fn unread_features(format: &str, known: &[(u32, &str, bool)], flags: u32) -> Result<(), FsError> {
    let mut unsupported: Vec<String> = Vec::new();
    let mut unknown = flags;
    for &(flag, name, is_read) in known {
        unknown &= !flag;
        if flags & flag != 0 && !is_read {
            unsupported.push(name.to_owned());
        }
    }
    if unknown != 0 {
        unsupported.push(format!("unknown feature flags {unknown:#x}"));
    }
    if unsupported.is_empty() {
        return Ok(());
    }
    Err(FsError::Unsupported { feature: format!("{format} with {}", unsupported.join(", ")) })
}

/// Refuses a filesystem of `size` bytes whose volume lacks its end, as the kernel does: any file may be in what is
/// missing.
pub(super) fn cut_short(format: &str, size: u64, volume_size: u64) -> Result<(), FsError> {
    if size <= volume_size {
        return Ok(());
    }
    Err(FsError::corrupt(
        format!("the {format} filesystem"),
        format!("it has {size} bytes, but its volume only {volume_size}: the image was cut short"),
    ))
}
