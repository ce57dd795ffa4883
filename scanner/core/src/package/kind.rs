//! Package formats.

use std::borrow::Cow;

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
    /// The form in which names of this format are compared: two that have it in common are the same package.
    pub fn compared_name(self, name: &str) -> Cow<'_, str> {
        match self {
            // In lower case, with one hyphen for each run of hyphens, underscores and dots (PEP 503).
            Self::Pypi => {
                let mut compared = String::with_capacity(name.len());
                let mut is_separated = false;
                for character in name.chars() {
                    let is_separator = matches!(character, '-' | '_' | '.');
                    if !is_separator {
                        compared.push(character.to_ascii_lowercase());
                    } else if !is_separated {
                        compared.push('-');
                    }
                    is_separated = is_separator;
                }
                Cow::Owned(compared)
            }
            // Without case (learn.microsoft.com, "NuGet package ids"; getcomposer.org, "The composer.json schema").
            Self::Composer | Self::Nuget => Cow::Owned(name.to_lowercase()),
            _ => Cow::Borrowed(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_as_their_package_managers_do() {
        for (kind, name, expected) in [
            (PackageKind::Pypi, "Foo._-Bar", "foo-bar"),
            (PackageKind::Pypi, "zope.interface", "zope-interface"),
            (PackageKind::Nuget, "Newtonsoft.Json", "newtonsoft.json"),
            (PackageKind::Composer, "Monolog/Monolog", "monolog/monolog"),
            (PackageKind::Npm, "JSONStream", "JSONStream"),
            (PackageKind::Gem, "RedCloth", "RedCloth"),
        ] {
            assert_eq!(kind.compared_name(name), expected);
        }
    }
}
