//! A volume that is an image file or a block device of this machine.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Volume, VolumeError};
use crate::number::to_u64;

/// An image file or a block device, read with `pread`.
#[derive(Debug)]
pub struct FileVolume {
    file: File,
    path: PathBuf,
    size: u64,
    bytes_read: AtomicU64,
}

impl FileVolume {
    /// Opens a raw disk image or a block device.
    ///
    /// # Errors
    ///
    /// [`VolumeError::Open`] if it does not exist or may not be read, [`VolumeError::NotADisk`] if it is a directory or a
    /// special file that has no size.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, VolumeError> {
        let path = path.as_ref().to_owned();
        let failed = |source| VolumeError::Open { path: path.clone(), source };
        // Without O_NONBLOCK, opening a named pipe would wait for a writer.
        let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let mut file = File::options().read(true).custom_flags(nonblock).open(&path).map_err(failed)?;
        let kind = file.metadata().map_err(failed)?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Err(VolumeError::NotADisk { path });
        }
        // The end of a block device is where its last byte is; `st_size` would be zero.
        let size = file.seek(SeekFrom::End(0)).map_err(failed)?;
        Ok(Self { file, path, size, bytes_read: AtomicU64::new(0) })
    }

    /// How many bytes were read so far, those read twice counted twice.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// The file that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Volume for FileVolume {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, dst: &mut [u8]) -> Result<(), VolumeError> {
        VolumeError::check_range(offset, dst.len(), self.size)?;
        self.file.read_exact_at(dst, offset).map_err(|source| VolumeError::Io {
            offset,
            len: to_u64(dst.len()),
            source,
        })?;
        self.bytes_read.fetch_add(to_u64(dst.len()), Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn reads_what_the_file_holds_and_nothing_past_its_end() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"0123456789").unwrap();
        let volume = FileVolume::open(file.path()).unwrap();
        assert_eq!(volume.size(), 10);

        let mut buffer = [0; 4];
        volume.read_at(6, &mut buffer).unwrap();
        assert_eq!(&buffer, b"6789");
        assert_eq!(volume.bytes_read(), 4);
        let error = volume.read_at(7, &mut buffer).unwrap_err();
        assert_eq!(error.to_string(), "read of 4 bytes at offset 7 is outside the volume of 10 bytes");
        assert!(matches!(volume.read_at(u64::MAX, &mut buffer), Err(VolumeError::OutOfRange { .. })));
    }

    #[test]
    fn what_is_not_a_disk_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let error = FileVolume::open(folder.path()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("{} is neither a file nor a block device", folder.path().display())
        );
        let missing = folder.path().join("absent.img");
        let error = FileVolume::open(&missing).unwrap_err();
        assert_eq!(error.to_string(), format!("could not open {}", missing.display()));
        assert!(matches!(FileVolume::open("/dev/null"), Err(VolumeError::NotADisk { .. })));
    }
}
