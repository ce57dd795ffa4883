//! What an extractor finds: packages and the operating system they belong to.

use serde::{Deserialize, Serialize};

/// One installed package.
///
/// Ordered by name, version and architecture, which together are its identity: architectures of one package are
/// installed side by side.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version as the package manager writes it, epoch included.
    pub version: String,
    /// The architecture it was built for, in the package manager's words.
    pub architecture: Option<String>,
    /// The package manager's format.
    pub kind: PackageKind,
    /// The source package that it was built from. Distributions publish their advisories by its name.
    pub source: Option<SourcePackage>,
    /// Who maintains it, which tells packages of third parties from the distribution's own.
    pub maintainer: Option<String>,
    /// Its state where that is not simply `installed`, in the package manager's words.
    pub state: Option<String>,
    /// Where it was found.
    pub evidence: Evidence,
}

/// A package format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PackageKind {
    /// Debian and what descends from it.
    Deb,
}

impl PackageKind {
    /// The name in tables, summaries and package URLs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deb => "deb",
        }
    }
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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Evidence {
    /// The file, from the root of its filesystem.
    pub path: String,
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

/// The parts of a Debian version, `[epoch:]upstream[-revision]` (Debian Policy, section 5.6.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DebVersion<'a> {
    /// Zero where it is not written.
    pub epoch: u64,
    /// The upstream version.
    pub upstream: &'a str,
    /// The distribution's revision: what follows the last hyphen.
    pub revision: Option<&'a str>,
}

impl<'a> DebVersion<'a> {
    /// Splits a version. Anything can be split: what is not an epoch belongs to the upstream version.
    pub fn new(version: &'a str) -> Self {
        let (epoch, rest) = match version.split_once(':').map(|(epoch, rest)| (epoch.parse(), rest)) {
            Some((Ok(epoch), rest)) => (epoch, rest),
            _ => (0, version),
        };
        match rest.rsplit_once('-') {
            Some((upstream, revision)) => Self { epoch, upstream, revision: Some(revision) },
            None => Self { epoch, upstream: rest, revision: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_split_as_the_policy_says() {
        for (version, epoch, upstream, revision) in [
            ("2.38.1-5+deb12u3", 0, "2.38.1", Some("5+deb12u3")),
            ("1:2.38.1-5+b1", 1, "2.38.1", Some("5+b1")),
            ("3.134", 0, "3.134", None),
            ("1-2-3", 0, "1-2", Some("3")),
            ("2:1:3-4", 2, "1:3", Some("4")),
            ("x:1-2", 0, "x:1", Some("2")),
            ("", 0, "", None),
        ] {
            assert_eq!(DebVersion::new(version), DebVersion { epoch, upstream, revision }, "{version}");
        }
    }
}
