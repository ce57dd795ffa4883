//! Package URLs.

use packageurl::PackageUrl;

use crate::package::{DebVersion, OperatingSystem, Package, PackageKind};

/// The package's URL, in the form that Trivy gives it: the epoch is a qualifier, the distribution carries its version.
///
/// Vulnerability back-ends are made for this form. `None` for a name that no package URL can carry.
pub(super) fn of(package: &Package, system: Option<&OperatingSystem>) -> Option<String> {
    let url = if package.kind.is_of_the_system() { of_system(package, system) } else { of_language(package) };
    url.map(|url| url.to_string())
}

fn of_system<'a>(package: &'a Package, system: Option<&'a OperatingSystem>) -> Option<PackageUrl<'a>> {
    let mut url = PackageUrl::new(package.kind.name(), package.name.as_str()).ok()?;
    if let Some(system) = system {
        url.with_namespace(system.id.to_lowercase()).ok()?;
        let distro = match &system.version {
            Some(version) => format!("{}-{version}", system.id),
            None => system.id.clone(),
        };
        url.add_qualifier("distro", distro).ok()?;
    }
    if let Some(architecture) = &package.architecture {
        url.add_qualifier("arch", architecture.as_str()).ok()?;
    }
    // An RPM's version has the same form as a Debian one.
    let version = DebVersion::new(&package.version);
    let text = match version.revision {
        Some(revision) => format!("{}-{revision}", version.upstream),
        None => version.upstream.to_owned(),
    };
    url.with_version(text).ok()?;
    if version.epoch > 0 {
        url.add_qualifier("epoch", version.epoch.to_string()).ok()?;
    }
    if let Some(module) = &package.details.module {
        url.add_qualifier("modularitylabel", module.as_str()).ok()?;
    }
    Some(url)
}

fn of_language(package: &Package) -> Option<PackageUrl<'_>> {
    let (namespace, name) = match package.kind {
        PackageKind::Maven => split(package.name.split_once(':'), &package.name),
        PackageKind::Npm | PackageKind::Composer | PackageKind::Golang => {
            split(package.name.rsplit_once('/'), &package.name)
        }
        _ => (None, package.name.as_str()),
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

fn split<'a>(parts: Option<(&'a str, &'a str)>, whole: &'a str) -> (Option<&'a str>, &'a str) {
    parts.map_or((None, whole), |(namespace, name)| (Some(namespace), name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::{Details, Evidence};

    fn package(name: &str, version: &str) -> Package {
        Package {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: Some("amd64".to_owned()),
            kind: PackageKind::Deb,
            evidence: Evidence::default(),
            details: Details::default(),
        }
    }

    fn system(id: &str, version: Option<&str>) -> OperatingSystem {
        OperatingSystem {
            id: id.to_owned(),
            version: version.map(str::to_owned),
            name: None,
            evidence: Evidence::default(),
        }
    }

    #[test]
    fn urls_have_the_form_that_back_ends_expect() {
        let debian = system("debian", Some("12.15"));
        for (name, version, expected) in [
            (
                "bsdutils",
                "1:2.38.1-5+deb12u3",
                "pkg:deb/debian/bsdutils@2.38.1-5%2Bdeb12u3?arch=amd64&distro=debian-12.15&epoch=1",
            ),
            ("adduser", "3.134", "pkg:deb/debian/adduser@3.134?arch=amd64&distro=debian-12.15"),
            (
                "libstdc++6",
                "12.2.0-14~exp1",
                "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14~exp1?arch=amd64&distro=debian-12.15",
            ),
        ] {
            assert_eq!(of(&package(name, version), Some(&debian)).unwrap(), expected);
        }
    }

    #[test]
    fn without_a_known_system_there_is_no_namespace() {
        assert_eq!(of(&package("a", "1"), None).unwrap(), "pkg:deb/a@1?arch=amd64");
        let rolling = system("siduction", None);
        assert_eq!(
            of(&package("a", "1"), Some(&rolling)).unwrap(),
            "pkg:deb/siduction/a@1?arch=amd64&distro=siduction"
        );
    }
}
