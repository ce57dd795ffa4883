//! Package URLs, in the form that Trivy gives them.
//!
//! Vulnerability back-ends are made for this form: the epoch is a qualifier, the distribution carries its version, and the source
//! package is not part of it, unless that is asked for.
//!
//! [The types of package URLs](https://github.com/package-url/purl-spec/tree/main/types).

mod distribution;
mod language;
mod source;

use packageurl::PackageUrl;

pub(super) use distribution::family;

use crate::package::{DebVersion, OperatingSystem, Package, PackageKind};

/// The package's URL, with its source package as the qualifier `upstream` if `upstream`. `None` for a name that no package URL
/// can carry, and for one that means nothing outside of its machine.
pub(super) fn of(package: &Package, system: Option<&OperatingSystem>, upstream: bool) -> Option<String> {
    if !package.kind.is_of_the_system() {
        return Some(language::of(package)?.to_string());
    }
    let mut url = of_system(package, system)?;
    if let Some(source) = source::of(package).filter(|_| upstream) {
        url.add_qualifier("upstream", source).ok()?;
    }
    // The specification leaves colons as they are; Trivy and Syft escape those of qualifiers, and strings are compared.
    let url = url.to_string();
    Some(match url.split_once('?') {
        Some((path, qualifiers)) => format!("{path}?{}", qualifiers.replace(':', "%3A")),
        None => url,
    })
}

fn of_system<'a>(package: &'a Package, system: Option<&'a OperatingSystem>) -> Option<PackageUrl<'a>> {
    let mut url = PackageUrl::new(package.kind.name(), package.name.as_str()).ok()?;
    if let Some(system) = system {
        let namespace = distribution::namespace(&system.id);
        let distro = match (&system.version, package.kind) {
            (Some(version), PackageKind::Apk) => version.clone(),
            (Some(version), _) => format!("{namespace}-{version}"),
            (None, _) => namespace.clone(),
        };
        url.with_namespace(namespace).ok()?;
        url.add_qualifier("distro", distro).ok()?;
    }
    if let Some(architecture) = &package.architecture {
        url.add_qualifier("arch", architecture.as_str()).ok()?;
    }
    let (epoch, version) = split_epoch(package);
    url.with_version(version).ok()?;
    if epoch > 0 {
        url.add_qualifier("epoch", epoch.to_string()).ok()?;
    }
    if let Some(module) = &package.details.module {
        url.add_qualifier("modularitylabel", module.as_str()).ok()?;
    }
    Some(url)
}

/// A package's version without its epoch. The versions of Alpine's packages have none.
fn split_epoch(package: &Package) -> (u64, String) {
    if package.kind == PackageKind::Apk {
        return (0, package.version.clone());
    }
    // An RPM's version has the same form as a Debian one.
    let DebVersion { epoch, upstream, revision } = DebVersion::new(&package.version);
    let version = match revision {
        Some(revision) => format!("{upstream}-{revision}"),
        None => upstream.to_owned(),
    };
    (epoch, version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::{Details, SourcePackage};
    use crate::sbom::testing::{package, system};

    fn url(
        kind: PackageKind,
        name: &str,
        version: &str,
        architecture: &str,
        system: &OperatingSystem,
    ) -> String {
        let architecture = Some(architecture.to_owned());
        of(&Package { architecture, ..package(kind, name, version) }, Some(system), false).unwrap()
    }

    #[test]
    fn urls_have_the_form_that_back_ends_expect() {
        use PackageKind::{Apk, Deb, Rpm};

        for (kind, system, name, version, architecture, expected) in [
            (
                Deb,
                system("debian", "12.15"),
                "bsdutils",
                "1:2.38.1-5+deb12u3",
                "amd64",
                "pkg:deb/debian/bsdutils@2.38.1-5%2Bdeb12u3?arch=amd64&distro=debian-12.15&epoch=1",
            ),
            (
                Deb,
                system("ubuntu", "22.04"),
                "adduser",
                "3.134",
                "all",
                "pkg:deb/ubuntu/adduser@3.134?arch=all&distro=ubuntu-22.04",
            ),
            (
                Deb,
                system("debian", "12.15"),
                "libstdc++6",
                "12.2.0-14~exp1",
                "amd64",
                "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14~exp1?arch=amd64&distro=debian-12.15",
            ),
            (
                Rpm,
                system("centos", "7"),
                "Archer",
                "2:3.4.5-6",
                "x86_64",
                "pkg:rpm/centos/Archer@3.4.5-6?arch=x86_64&distro=centos-7&epoch=2",
            ),
            (
                Rpm,
                system("rhel", "9.4"),
                "bash",
                "0:5.1.8-9.el9",
                "x86_64",
                "pkg:rpm/redhat/bash@5.1.8-9.el9?arch=x86_64&distro=redhat-9.4",
            ),
            (
                Rpm,
                system("sles", "15.5"),
                "bash",
                "4.4-150400",
                "x86_64",
                "pkg:rpm/suse/bash@4.4-150400?arch=x86_64&distro=suse-15.5",
            ),
            (
                Apk,
                system("alpine", "3.10.4"),
                "musl",
                "1.1.22-r3",
                "x86_64",
                "pkg:apk/alpine/musl@1.1.22-r3?arch=x86_64&distro=3.10.4",
            ),
        ] {
            assert_eq!(url(kind, name, version, architecture, &system), expected);
        }
    }

    #[test]
    fn a_module_is_part_of_the_url() {
        let node = Package {
            details: Details { module: Some("nodejs:18:8070:rhel8:x86_64".to_owned()), ..Details::default() },
            ..package(PackageKind::Rpm, "nodejs", "1:18.1-1")
        };
        assert_eq!(
            of(&node, Some(&system("rhel", "8.7")), false).unwrap(),
            "pkg:rpm/redhat/nodejs@18.1-1?distro=redhat-8.7&epoch=1&modularitylabel=nodejs%3A18%3A8070%3Arhel8%3Ax86_64"
        );
    }

    #[test]
    fn without_a_known_system_there_is_no_namespace() {
        let package = package(PackageKind::Deb, "a", "1");
        assert_eq!(of(&package, None, false).unwrap(), "pkg:deb/a@1");
        let rolling = OperatingSystem { version: None, ..system("siduction", "") };
        assert_eq!(of(&package, Some(&rolling), false).unwrap(), "pkg:deb/siduction/a@1?distro=siduction");
    }

    #[test]
    fn the_source_package_is_added_where_it_is_asked_for() {
        for (kind, version, source, source_version, expected) in [
            (PackageKind::Deb, "1-1+b1", "a", "1-1", "pkg:deb/a@1-1%2Bb1?upstream=a%401-1"),
            (PackageKind::Deb, "1-1", "src", "1-1", "pkg:deb/a@1-1?upstream=src"),
            (PackageKind::Deb, "1-1", "a", "1-1", "pkg:deb/a@1-1"),
            (PackageKind::Rpm, "2:1-1", "src", "2:1-1", "pkg:rpm/a@1-1?epoch=2&upstream=src-1-1.src.rpm"),
            (PackageKind::Apk, "1-r1", "src", "1-r1", "pkg:apk/a@1-r1?upstream=src"),
        ] {
            let source = SourcePackage { name: source.to_owned(), version: source_version.to_owned() };
            let details = Details { source: Some(source), ..Details::default() };
            let package = Package { details, ..package(kind, "a", version) };
            assert_eq!(of(&package, None, true).unwrap(), expected);
        }
    }
}
