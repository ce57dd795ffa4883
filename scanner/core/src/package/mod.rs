//! What an extractor finds: packages and the operating system they belong to.

mod deb_version;
mod kind;

use serde::{Deserialize, Serialize};

pub use deb_version::DebVersion;
pub use kind::PackageKind;

/// One installed package, at one place.
///
/// Ordered by name, version, architecture and format, then by where it was found. The first four are its identity:
/// architectures of one package are installed side by side. A package of a language may be there many times.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// Its name, in the form that [`PackageKind`] says.
    pub name: String,
    /// Its version as the package manager writes it: of a Debian package and an RPM with the epoch, if it has one.
    pub version: String,
    /// The architecture it was built for, in the package manager's words.
    pub architecture: Option<String>,
    /// The package manager's format.
    pub kind: PackageKind,
    /// Where it was found.
    pub evidence: Evidence,
    /// What else is recorded about it.
    pub details: Details,
}

impl Package {
    /// What tells packages apart, and what they are sorted by.
    pub fn identity(&self) -> (&str, &str, Option<&str>, PackageKind, Option<&Evidence>) {
        let Self { name, version, architecture, kind, evidence, details: _ } = self;
        (name, version, architecture.as_deref(), *kind, (!kind.is_of_the_system()).then_some(evidence))
    }
}

/// What is recorded about a package beside its identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// The source package that it was built from. Distributions publish their advisories by its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourcePackage>,
    /// Who maintains it or, of an RPM, who built it, which tells packages of third parties from the distribution's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintainer: Option<String>,
    /// Its state where that is not simply `installed`, in the package manager's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The module that an RPM belongs to: its modularity label, `name:stream:version:context:architecture`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// Its licences, each as it is recorded: an SPDX identifier or expression, or a name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<String>,
    /// The names of the packages of the same format that it needs and that are there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    /// The package of the operating system that installed the file in which it was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Of a kernel, whether it is the one that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Kernel>,
    /// What the record says of it.
    #[serde(skip_serializing_if = "is_default")]
    pub record: Record,
    /// How it is known what it is.
    #[serde(skip_serializing_if = "is_default")]
    pub certainty: Certainty,
}

/// What a record of a package says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Record {
    /// That it is installed: whatever is wrong with it is on the disk.
    #[default]
    Installed,
    /// That it is to be installed: the record is a lock file.
    Locked,
}

/// How name and version of a package are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Certainty {
    /// The package manager, or the build of the package, recorded both.
    #[default]
    Recorded,
    /// Both were put together of what is recorded for other purposes, such as titles in the manifest of an archive.
    Derived,
    /// A part of it is only a file's name.
    Guessed,
}

/// Of the packages of a kernel, whether the system boots it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kernel {
    /// It is the one that the boot loader starts when nobody interferes.
    Default,
    /// Another one is: what is wrong with this one concerns nobody until it is chosen.
    Other,
}

/// A package of the operating system that installed a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owner {
    /// Its format.
    pub kind: PackageKind,
    /// Its name.
    pub name: String,
}

/// The source of a package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SourcePackage {
    /// Its name.
    pub name: String,
    /// Its version, epoch included.
    pub version: String,
}

/// Where something was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Evidence {
    /// The file, from the root of its tree.
    pub path: String,
    /// Where in the file, if that is an archive: a path in it, and after `!/` one in an archive in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
    /// The extractor that read it, such as `os/dpkg`.
    pub extractor: String,
}

/// An operating system, as it names itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatingSystem {
    /// Short lower-case name, such as `debian`: `ID` in os-release.
    pub id: String,
    /// Version, with the point release where the system records one, such as `12.15`.
    pub version: Option<String>,
    /// Name for people, such as `Debian GNU/Linux 12 (bookworm)`.
    pub name: Option<String>,
    /// Where it was found.
    pub evidence: Evidence,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
