//! What is left alone, and why.

use std::fmt;

use scanner_policy::tags;

/// Something that is not scanned.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Skipped {
    /// Its ARN. That of a function has no version: all of them are meant.
    pub arn: String,
    /// Why not.
    pub reason: Reason,
}

/// Why something is not scanned.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Reason {
    /// Its owner opted out by the tag.
    OptedOut,
    /// Of an instance, every volume that would be scanned is opted out.
    VolumesOptedOut,
    /// It has a tag that is excluded.
    Excluded {
        /// The tag's key.
        key: String,
    },
    /// It lacks a tag that is demanded, or has it with another value.
    NotIncluded {
        /// The tag's key.
        key: String,
    },
    /// It is stopped, and those are not scanned.
    Stopped,
    /// It runs Windows.
    Windows,
    /// It has no volumes that can be scanned.
    NoVolumes,
    /// Its root volume, which alone is scanned, is no EBS volume.
    NoRootVolume,
    /// An image that cannot be used: its state, in EC2's words.
    State(String),
    /// An image whose use is billed, by this code: AWS lets nobody copy it.
    ProductCode(String),
    /// What AWS said when it was looked at.
    Denied(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OptedOut => {
                write!(f, "its owner opted out, by the tag {}={}", tags::SCANNER, tags::FALSE)
            }
            Self::VolumesOptedOut => {
                write!(f, "the owners of its volumes opted out, by the tag {}={}", tags::SCANNER, tags::FALSE)
            }
            Self::Excluded { key } => write!(f, "its tag {key} is one of those that are excluded"),
            Self::NotIncluded { key } => write!(f, "it lacks the tag {key} with the value that is demanded"),
            Self::Stopped => f.write_str("it is stopped, and the configuration leaves those out"),
            Self::Windows => f.write_str("it runs Windows, whose disks cannot be read"),
            Self::NoVolumes => f.write_str("it has no EBS volumes, and only EBS volumes can be scanned"),
            Self::NoRootVolume => f.write_str(
                "its root volume is no EBS volume, and the configuration leaves the other volumes out",
            ),
            Self::State(state) => write!(f, "its state is {state}"),
            Self::ProductCode(code) => {
                write!(
                    f,
                    "its use is billed by the product code {code}, and AWS lets nobody copy such an image"
                )
            }
            Self::Denied(what) => f.write_str(what),
        }
    }
}
