//! Package URLs.

use packageurl::PackageUrl;

use crate::package::{DebVersion, OperatingSystem, Package, PackageKind};

/// The package's URL, in the form that Trivy gives it: the epoch is a qualifier, the distribution carries its version.
///
/// Vulnerability back-ends are made for this form. `None` for a name that no package URL can carry.
pub(super) fn of(package: &Package, system: Option<&OperatingSystem>) -> Option<String> {
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
    match package.kind {
        PackageKind::Deb => {
            let version = DebVersion::new(&package.version);
            let text = match version.revision {
                Some(revision) => format!("{}-{revision}", version.upstream),
                None => version.upstream.to_owned(),
            };
            url.with_version(text).ok()?;
            if version.epoch > 0 {
                url.add_qualifier("epoch", version.epoch.to_string()).ok()?;
            }
        }
    }
    Some(url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::Evidence;

    fn package(name: &str, version: &str) -> Package {
        Package {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: Some("amd64".to_owned()),
            kind: PackageKind::Deb,
            source: None,
            maintainer: None,
            state: None,
            evidence: evidence(),
        }
    }

    fn evidence() -> Evidence {
        Evidence { path: String::new(), extractor: String::new() }
    }

    fn system(id: &str, version: Option<&str>) -> OperatingSystem {
        OperatingSystem {
            id: id.to_owned(),
            version: version.map(str::to_owned),
            name: None,
            evidence: evidence(),
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
