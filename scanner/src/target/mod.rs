//! What can be scanned, and how it becomes volumes.

pub mod archive;
mod blocks;
pub mod ebs;
#[cfg(test)]
pub(crate) mod fake;
pub mod function;
mod permits;
mod snapshots;
mod watch;

use std::fmt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

pub use blocks::{SnapshotBlocks, SnapshotError};
use function::FunctionName;
pub use permits::{DEFAULT_IN_PROGRESS, Permits};
pub use snapshots::{EXPIRY_MARGIN, Identity, Leftover, Origin, Shared, SnapshotFailure, Snapshots};

/// What the user asks to scan.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// An EC2 instance: all its EBS volumes.
    Instance(String),
    /// One EBS volume.
    Volume(String),
    /// An EBS snapshot that exists. It is read and never deleted.
    Snapshot(String),
    /// An Amazon Machine Image.
    MachineImage(String),
    /// A Lambda function.
    Function(FunctionName),
    /// A raw disk image.
    Image(PathBuf),
    /// A block device of this machine.
    Device(PathBuf),
    /// The root directory of a system.
    Directory(PathBuf),
}

/// Why a text is no target.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// It looks like an id, but is none.
    #[error(
        "{given:?} is not an AWS id: after the prefix come 8 or 17 hexadecimal digits. A file of that name is given as \
         \"./{given}\""
    )]
    Id {
        /// What was given.
        given: String,
    },
    /// It looks like a function, but is none.
    #[error(
        "{given:?} is no Lambda function: give lambda:NAME, lambda:NAME:VERSION, or the ARN of a function"
    )]
    Function {
        /// What was given.
        given: String,
    },
    /// There is no such file.
    #[error(
        "there is no {given:?}: give the id of an instance (i-…), a volume (vol-…), a snapshot (snap-…) or an image \
         (ami-…), the name of a function (lambda:NAME) or its ARN, or the path of a raw disk image, a block device or a directory"
    )]
    Missing {
        /// What was given.
        given: String,
    },
    /// The file cannot be looked at.
    #[error("{given:?} cannot be looked at")]
    Path {
        /// What was given.
        given: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Further disks were given for what has no place for them.
    #[error("--disk adds a disk to a raw disk image or to a block device, and {given:?} is neither")]
    Disks {
        /// What was given as the target.
        given: String,
    },
    /// A disk was given twice: everything on it would be there twice.
    #[error("{given:?} is given twice: each disk of a machine is one of its own")]
    Twice {
        /// The disk.
        given: String,
    },
    /// The file is nothing that holds a system.
    #[error("{given:?} is neither a disk image nor a block device nor a directory")]
    Kind {
        /// What was given.
        given: String,
    },
}

/// Where a target is.
#[derive(Clone, Copy, Debug)]
pub enum TargetPlace<'a> {
    /// In EC2.
    Ebs(ebs::EbsTarget<'a>),
    /// In Lambda.
    Lambda(&'a FunctionName),
    /// On this machine.
    Here(&'a Path),
}

impl Target {
    /// Understands an id or a path. A file whose name looks like an id is given as `./i-…`.
    pub fn parse(given: &str) -> Result<Self, TargetError> {
        type Make = fn(String) -> Target;
        let prefixes: [(&str, Make); 4] = [
            ("i-", Self::Instance),
            ("vol-", Self::Volume),
            ("snap-", Self::Snapshot),
            ("ami-", Self::MachineImage),
        ];
        for (prefix, make) in prefixes {
            match given.strip_prefix(prefix) {
                Some(rest) if is_id(rest) => return Ok(make(given.to_owned())),
                Some(rest) if rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                    return Err(TargetError::Id { given: given.to_owned() });
                }
                _ => {}
            }
        }
        if given.starts_with("lambda:") || given.starts_with("arn:") {
            let function = FunctionName::parse(given).map(Self::Function);
            return function.ok_or_else(|| TargetError::Function { given: given.to_owned() });
        }
        let path = PathBuf::from(given);
        let kind = match std::fs::metadata(&path) {
            Ok(metadata) => metadata.file_type(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(TargetError::Missing { given: given.to_owned() });
            }
            Err(source) => return Err(TargetError::Path { given: given.to_owned(), source }),
        };
        if kind.is_dir() {
            Ok(Self::Directory(path))
        } else if kind.is_block_device() {
            Ok(Self::Device(path))
        } else if kind.is_file() {
            Ok(Self::Image(path))
        } else {
            Err(TargetError::Kind { given: given.to_owned() })
        }
    }

    /// Where it is.
    pub fn place(&self) -> TargetPlace<'_> {
        match self {
            Self::Instance(id) => TargetPlace::Ebs(ebs::EbsTarget::Instance(id)),
            Self::Volume(id) => TargetPlace::Ebs(ebs::EbsTarget::Volume(id)),
            Self::Snapshot(id) => TargetPlace::Ebs(ebs::EbsTarget::Snapshot(id)),
            Self::MachineImage(id) => TargetPlace::Ebs(ebs::EbsTarget::Image(id)),
            Self::Function(name) => TargetPlace::Lambda(name),
            Self::Image(path) | Self::Device(path) | Self::Directory(path) => TargetPlace::Here(path),
        }
    }

    /// Its kind, in one word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Instance(_) => "instance",
            Self::Volume(_) => "volume",
            Self::Snapshot(_) => "snapshot",
            Self::MachineImage(_) => "ami",
            Self::Function(_) => "function",
            Self::Image(_) => "image",
            Self::Device(_) => "device",
            Self::Directory(_) => "directory",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance(id) | Self::Volume(id) | Self::Snapshot(id) | Self::MachineImage(id) => {
                f.write_str(id)
            }
            Self::Function(name) => name.fmt(f),
            Self::Image(path) | Self::Device(path) | Self::Directory(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The part of an AWS id after its prefix: 8 hexadecimal digits in old ids, 17 in new ones.
fn is_id(text: &str) -> bool {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    is_hex && matches!(text.len(), 8 | 17)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_paths_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let image = folder.path().join("i-0123456789abcdef0");
        std::fs::write(&image, "").unwrap();
        for (given, kind) in [
            ("i-0123456789abcdef0", "instance"),
            ("i-01234567", "instance"),
            ("vol-0123456789abcdef0", "volume"),
            ("snap-0123456789abcdef0", "snapshot"),
            ("ami-0123456789abcdef0", "ami"),
            (path, "directory"),
            (image.to_str().unwrap(), "image"),
        ] {
            let target = Target::parse(given).unwrap();
            assert_eq!((target.kind(), target.to_string()), (kind, given.to_owned()));
        }
    }

    #[test]
    fn what_is_neither_says_what_to_give() {
        for (given, expected) in [
            ("i-0123", "is not an AWS id"),
            ("vol-0123456789ABCDEF0", "is not an AWS id"),
            ("/no/such/file", "there is no"),
            ("snap-/x", "there is no"),
            ("/dev/null", "neither a disk image"),
            ("/etc/passwd/x", "cannot be looked at"),
        ] {
            let error = Target::parse(given).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains(given), "{error}");
        }
    }
}
