//! The URLs of packages that were installed for a language.

use packageurl::PackageUrl;

use crate::package::{Package, PackageKind};

/// The URL of a package that was installed for a language.
pub(super) fn of(package: &Package) -> Option<PackageUrl<'_>> {
    let name = normalised(package)?;
    let (namespace, name) = match package.kind {
        PackageKind::Maven => divided(name.split_once(':'), &name),
        PackageKind::Npm | PackageKind::Composer | PackageKind::Golang => {
            divided(name.rsplit_once('/'), &name)
        }
        _ => (None, name),
    };
    let mut url = PackageUrl::new(package.kind.name(), name).ok()?;
    if let Some(namespace) = namespace {
        url.with_namespace(namespace).ok()?;
    }
    if !package.version.is_empty() {
        url.with_version(package.version.as_str()).ok()?;
    }
    Some(url)
}

/// The one spelling of a name that its registry takes for the same.
fn normalised(package: &Package) -> Option<String> {
    let name = &package.name;
    match package.kind {
        // A module that was replaced by a folder of the build machine is known nowhere else.
        PackageKind::Golang if name.starts_with(['.', '/']) => None,
        PackageKind::Golang | PackageKind::Npm | PackageKind::Composer => Some(name.to_lowercase()),
        PackageKind::Pypi => Some(pep_503(name)),
        _ => Some(name.clone()),
    }
}

/// A name as the Python package index writes it: runs of hyphens, underscores and dots are one hyphen
/// ([PEP 503](https://peps.python.org/pep-0503/#normalized-names)).
fn pep_503(name: &str) -> String {
    let mut normalised = String::with_capacity(name.len());
    for character in name.to_lowercase().chars() {
        match character {
            '-' | '_' | '.' if normalised.ends_with('-') => {}
            '-' | '_' | '.' => normalised.push('-'),
            other => normalised.push(other),
        }
    }
    normalised
}

fn divided(parts: Option<(&str, &str)>, whole: &str) -> (Option<String>, String) {
    parts.map_or_else(
        || (None, whole.to_owned()),
        |(namespace, name)| (Some(namespace.to_owned()), name.to_owned()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sbom::testing::package;

    #[test]
    fn each_language_has_its_rules() {
        use PackageKind::{Cargo, Composer, Conda, Gem, Golang, Maven, Npm, Nuget, Pypi};

        for (kind, name, version, expected) in [
            (
                Golang,
                "cloud.google.com/go/Compute/metadata",
                "v0.3.0",
                "pkg:golang/cloud.google.com/go/compute/metadata@v0.3.0",
            ),
            (Golang, "stdlib", "v1.22.1", "pkg:golang/stdlib@v1.22.1"),
            (Npm, "@ampproject/remapping", "2.2.0", "pkg:npm/%40ampproject/remapping@2.2.0"),
            (Npm, "JSONStream", "1.3.5", "pkg:npm/jsonstream@1.3.5"),
            (Pypi, "Backports._Tarfile", "1.2", "pkg:pypi/backports-tarfile@1.2"),
            (Pypi, "zope.interface", "6.0+local", "pkg:pypi/zope-interface@6.0%2Blocal"),
            (
                Maven,
                "org.apache.logging.log4j:log4j-core",
                "2.17.1",
                "pkg:maven/org.apache.logging.log4j/log4j-core@2.17.1",
            ),
            (Maven, "lonely", "1", "pkg:maven/lonely@1"),
            (Composer, "Symfony/Console", "v6.4.1", "pkg:composer/symfony/console@v6.4.1"),
            (Gem, "rails", "7.1.3", "pkg:gem/rails@7.1.3"),
            (Nuget, "Newtonsoft.Json", "13.0.3", "pkg:nuget/Newtonsoft.Json@13.0.3"),
            (Cargo, "serde_json", "1.0.1", "pkg:cargo/serde_json@1.0.1"),
            (Conda, "numpy", "1.26", "pkg:conda/numpy@1.26"),
            (Npm, "nameless", "", "pkg:npm/nameless"),
        ] {
            assert_eq!(of(&package(kind, name, version)).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn what_has_no_name_elsewhere_has_no_url() {
        for (kind, name) in [
            (PackageKind::Golang, "./local"),
            (PackageKind::Golang, "../sibling"),
            (PackageKind::Golang, "/build/module"),
            (PackageKind::Gem, ""),
        ] {
            assert!(of(&package(kind, name, "1")).is_none(), "{name}");
        }
    }
}
