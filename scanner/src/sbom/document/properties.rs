//! What is known of a package beside the fields that the formats have.
//!
//! The properties that Trivy gives its components are given here too, under the same names: operating-system advisories are
//! matched by source package, which a package URL of that form does not carry.

use std::collections::BTreeSet;

use super::component::{Occurrence, Property};
use crate::package::{DebVersion, Details, Kernel, OperatingSystem, Package, PackageKind, Record};
use crate::sbom::purl;

/// Those of an operating system.
pub(super) fn of_system(system: &OperatingSystem) -> BTreeSet<Property> {
    BTreeSet::from([
        Property::new("agentless-scanner:extractor", &*system.evidence.extractor),
        Property::new("aquasecurity:trivy:Class", "os-pkgs"),
        Property::new("aquasecurity:trivy:Type", purl::family(&system.id)),
    ])
}

/// Those of a package that was found at one place.
pub(super) fn of_package(
    package: &Package,
    system: Option<&OperatingSystem>,
    occurrence: &Occurrence,
) -> BTreeSet<Property> {
    let Package { kind, evidence, .. } = package;
    let Details { state, module, owner, kernel, source, .. } = &package.details;
    let mut properties = BTreeSet::new();
    let mut add = |name, value: Option<String>| {
        properties.extend(value.filter(|value| !value.is_empty()).map(|value| Property::new(name, value)));
    };
    add("agentless-scanner:extractor", Some(evidence.extractor.clone()));
    add("agentless-scanner:state", state.clone());
    add(
        "agentless-scanner:owner",
        owner.as_ref().map(|owner| format!("{}:{}", owner.kind.name(), owner.name)),
    );
    let kernel = kernel.map(|kernel| match kernel {
        Kernel::Default => "default",
        Kernel::Other => "other",
    });
    add("agentless-scanner:kernel", kernel.map(str::to_owned));
    add("aquasecurity:trivy:PkgID", Some(trivy_id(package)));
    add("aquasecurity:trivy:PkgType", trivy_type(package, system));
    add("aquasecurity:trivy:Modularitylabel", module.clone());
    if !kind.is_of_the_system() {
        // Trivy writes archives like folders, and all paths without the first slash.
        let path = occurrence.location.trim_start_matches('/').replace("!/", "/");
        add("aquasecurity:trivy:FilePath", Some(path));
    }
    if let Some(source) = source.as_ref().filter(|_| kind.is_of_the_system()) {
        add("aquasecurity:trivy:SrcName", Some(source.name.clone()));
        if *kind == PackageKind::Apk {
            add("aquasecurity:trivy:SrcVersion", Some(source.version.clone()));
        } else {
            let DebVersion { epoch, upstream, revision } = DebVersion::new(&source.version);
            add("aquasecurity:trivy:SrcVersion", Some(upstream.to_owned()));
            add("aquasecurity:trivy:SrcRelease", revision.map(str::to_owned));
            add(
                "aquasecurity:trivy:SrcEpoch",
                Some(epoch).filter(|&epoch| epoch > 0).map(|epoch| epoch.to_string()),
            );
        }
    }
    properties
}

/// By which Trivy tells the packages of one place apart.
fn trivy_id(package: &Package) -> String {
    let Package { name, version, architecture, kind, .. } = package;
    match kind {
        PackageKind::Rpm => {
            let DebVersion { upstream, revision, .. } = DebVersion::new(version);
            let revision = revision.map(|revision| format!("-{revision}")).unwrap_or_default();
            let architecture =
                architecture.as_ref().map(|architecture| format!(".{architecture}")).unwrap_or_default();
            format!("{name}@{upstream}{revision}{architecture}")
        }
        PackageKind::Maven => format!("{name}:{version}"),
        _ => format!("{name}@{version}"),
    }
}

/// What Trivy calls the kind of record that a package is in; of a package of the system, its family.
fn trivy_type(package: &Package, system: Option<&OperatingSystem>) -> Option<String> {
    use PackageKind::{Apk, Cargo, Composer, Conda, Deb, Gem, Golang, Maven, Npm, Nuget, Pypi, Rpm};

    let file = package.evidence.path.rsplit('/').next().unwrap_or_default();
    let name = match (package.kind, package.details.record) {
        (Apk | Deb | Rpm, _) => return system.map(|system| purl::family(&system.id)),
        (Cargo, Record::Installed) => "rustbinary",
        (Cargo, Record::Locked) => "cargo",
        (Composer, Record::Installed) => "composer-vendor",
        (Composer, Record::Locked) => "composer",
        (Conda, _) => "conda-pkg",
        (Gem, Record::Installed) => "gemspec",
        (Gem, Record::Locked) => "bundler",
        (Golang, Record::Installed) => "gobinary",
        (Golang, Record::Locked) => "gomod",
        (Maven, Record::Installed) => "jar",
        (Maven, Record::Locked) if file.ends_with("lockfile") => "gradle",
        (Maven, Record::Locked) => "pom",
        (Npm, Record::Installed) => "node-pkg",
        (Npm, Record::Locked) => match file {
            "yarn.lock" => "yarn",
            "pnpm-lock.yaml" => "pnpm",
            "bun.lock" => "bun",
            _ => "npm",
        },
        (Nuget, Record::Installed) => "dotnet-core",
        (Nuget, Record::Locked) => "nuget",
        (Pypi, Record::Installed) => "python-pkg",
        (Pypi, Record::Locked) => match file {
            "Pipfile.lock" => "pipenv",
            "poetry.lock" => "poetry",
            "pdm.lock" => "pdm",
            "uv.lock" => "uv",
            // `pylock.toml`, `pylock.NAME.toml` (PEP 751).
            name if name.starts_with("pylock.") => "pylock",
            _ => "pip",
        },
    };
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::{Evidence, Owner, SourcePackage};
    use crate::sbom::testing::{package, system};

    fn properties(package: &Package, system: Option<&OperatingSystem>) -> Vec<(String, String)> {
        let occurrence = super::super::package::occurrence(package, "disk");
        let properties = of_package(package, system, &occurrence).into_iter();
        properties
            .filter(|property| property.name != "agentless-scanner:extractor")
            .map(|Property { name, value, .. }| (name.rsplit(':').next().unwrap().to_owned(), value))
            .collect()
    }

    fn sourced(kind: PackageKind, version: &str, source: &str, source_version: &str) -> Package {
        let source = SourcePackage { name: source.to_owned(), version: source_version.to_owned() };
        Package {
            architecture: Some("x86_64".to_owned()),
            details: Details { source: Some(source), ..Details::default() },
            ..package(kind, "a", version)
        }
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn the_source_is_given_in_the_parts_that_advisories_are_matched_by() {
        let rhel = system("rhel", "9");
        let mut rpm = sourced(PackageKind::Rpm, "1:2-3", "src", "1:2-3.el9");
        rpm.details.module = Some("m:1".to_owned());
        assert_eq!(
            properties(&rpm, Some(&rhel)),
            pairs(&[
                ("Modularitylabel", "m:1"),
                ("PkgID", "a@2-3.x86_64"),
                ("PkgType", "redhat"),
                ("SrcEpoch", "1"),
                ("SrcName", "src"),
                ("SrcRelease", "3.el9"),
                ("SrcVersion", "2"),
            ])
        );
        let alpine = system("alpine", "3.20");
        assert_eq!(
            properties(&sourced(PackageKind::Apk, "1-r2", "src", "1-r2"), Some(&alpine)),
            pairs(&[("PkgID", "a@1-r2"), ("PkgType", "alpine"), ("SrcName", "src"), ("SrcVersion", "1-r2")])
        );
    }

    #[test]
    fn a_package_of_a_language_names_its_file_and_its_owner() {
        let mut package = package(PackageKind::Maven, "g:a", "1");
        package.evidence = Evidence {
            path: "/opt/app.war".to_owned(),
            within: Some("WEB-INF/lib/a.jar!/META-INF/a".to_owned()),
            extractor: "lang/java".to_owned(),
        };
        package.details.owner = Some(Owner { kind: PackageKind::Deb, name: "app".to_owned() });
        package.details.kernel = Some(Kernel::Other);
        assert_eq!(
            properties(&package, None),
            pairs(&[
                ("kernel", "other"),
                ("owner", "deb:app"),
                ("FilePath", "opt/app.war/WEB-INF/lib/a.jar/META-INF/a"),
                ("PkgID", "g:a:1"),
                ("PkgType", "jar"),
            ])
        );
    }

    #[test]
    fn kinds_of_records_have_trivys_names() {
        let named = |kind, path: &str, record| {
            let mut package = package(kind, "a", "1");
            package.evidence.path = path.to_owned();
            package.details.record = record;
            trivy_type(&package, None).unwrap()
        };
        for (kind, path, expected) in [
            (PackageKind::Npm, "/a/package-lock.json", "npm"),
            (PackageKind::Npm, "/a/yarn.lock", "yarn"),
            (PackageKind::Pypi, "/a/pylock.dev.toml", "pylock"),
            (PackageKind::Pypi, "/a/requirements.txt", "pip"),
            (PackageKind::Maven, "/a/buildscript-gradle.lockfile", "gradle"),
            (PackageKind::Maven, "/a/pom.xml", "pom"),
            (PackageKind::Golang, "/a/go.mod", "gomod"),
        ] {
            assert_eq!(named(kind, path, Record::Locked), expected);
        }
        assert_eq!(named(PackageKind::Npm, "/a/package.json", Record::Installed), "node-pkg");
    }
}
