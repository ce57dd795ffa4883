//! Package formats.

use serde::{Deserialize, Serialize};

/// A package format, by the type that package URLs have for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PackageKind {
    /// Alpine Linux and what descends from it.
    Apk,
    /// Rust crates.
    Cargo,
    /// PHP packages, `vendor/name`.
    Composer,
    /// Conda packages.
    Conda,
    /// Debian and what descends from it.
    Deb,
    /// Ruby gems.
    Gem,
    /// Go modules, and Go's own standard library as `stdlib`.
    Golang,
    /// Java artifacts, `group:artifact`.
    Maven,
    /// Node.js packages, `name` or `@scope/name`.
    Npm,
    /// .NET packages.
    Nuget,
    /// Python distributions.
    Pypi,
    /// RPM.
    Rpm,
}

impl PackageKind {
    /// The name in tables, summaries and package URLs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Apk => "apk",
            Self::Cargo => "cargo",
            Self::Composer => "composer",
            Self::Conda => "conda",
            Self::Deb => "deb",
            Self::Gem => "gem",
            Self::Golang => "golang",
            Self::Maven => "maven",
            Self::Npm => "npm",
            Self::Nuget => "nuget",
            Self::Pypi => "pypi",
            Self::Rpm => "rpm",
        }
    }

    /// Whether packages of this format make up an operating system. They belong to it, and each is there once; what is
    /// installed for a language may be there in many places.
    pub const fn is_of_the_system(self) -> bool {
        matches!(self, Self::Apk | Self::Deb | Self::Rpm)
    }
}
