//! What an archive is, where Maven did not write it down.

use super::manifest::Manifest;
use super::name::{FileName, is_same_version};
use super::pom::Pom;
use crate::package::Certainty;

/// An archive: its name, and its manifest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Jar<'a> {
    pub(super) file_name: &'a str,
    pub(super) manifest: &'a Manifest,
}

/// What an archive is taken for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// `group:artifact`.
    pub(super) name: String,
    pub(super) version: String,
    pub(super) certainty: Certainty,
}

/// The groups of artifacts that are built without Maven and do not name their group: the artifact, or what it begins with
/// if that ends with a hyphen. The first that fits counts.
const GROUPS: [(&str, &str); 24] = [
    ("asm", "org.ow2.asm"),
    ("asm-", "org.ow2.asm"),
    ("bcpg-", "org.bouncycastle"),
    ("bcpkix-", "org.bouncycastle"),
    ("bcprov-", "org.bouncycastle"),
    ("bcprov", "org.bouncycastle"),
    ("elasticsearch-", "org.elasticsearch"),
    ("kafka-clients", "org.apache.kafka"),
    ("kotlin-", "org.jetbrains.kotlin"),
    ("kotlinx-", "org.jetbrains.kotlinx"),
    ("lucene-", "org.apache.lucene"),
    ("micrometer-", "io.micrometer"),
    ("mockito-", "org.mockito"),
    ("reactor-core", "io.projectreactor"),
    ("spring-boot", "org.springframework.boot"),
    ("spring-boot-", "org.springframework.boot"),
    ("spring-cloud-", "org.springframework.cloud"),
    ("spring-data-", "org.springframework.data"),
    ("spring-integration-", "org.springframework.integration"),
    ("spring-security-", "org.springframework.security"),
    ("spring-session-", "org.springframework.session"),
    ("spring-", "org.springframework"),
    ("tomcat-embed-", "org.apache.tomcat.embed"),
    ("tomcat-", "org.apache.tomcat"),
];

impl Jar<'_> {
    /// Which of several `pom.properties` is that of the archive itself, the others being of what was merged into it: the one
    /// with the file's name, or with a title or the version of the manifest. An only one is, unless the archive says that it
    /// is something else.
    pub(super) fn own(&self, poms: &[&Pom]) -> Option<usize> {
        let FileName { artifact, version } = FileName::split(self.file_name);
        let Manifest { implementation_title, specification_title, symbolic_name, .. } = self.manifest;
        let titles = [implementation_title, specification_title, symbolic_name];
        let versions = [&self.manifest.implementation_version, &self.manifest.bundle_version];
        let is_named = |pom: &Pom| {
            pom.artifact == artifact && version.is_none_or(|version| is_same_version(version, &pom.version))
        };
        let is_titled = |pom: &Pom| titles.into_iter().flatten().any(|title| *title == pom.artifact);
        let is_versioned =
            |pom: &Pom| versions.into_iter().flatten().any(|version| is_same_version(version, &pom.version));
        only(poms, is_named)
            .or_else(|| only(poms, |pom| pom.artifact == artifact))
            .or_else(|| only(poms, is_titled))
            .or_else(|| only(poms, is_versioned))
            .or_else(|| (poms.len() == 1 && self.identity().is_none()).then_some(0))
    }

    /// What the archive is by its manifest and its name; none if they do not say it.
    ///
    /// - The artifact is the file's name without version if the manifest knows it too; else the manifest's title, or the
    ///   module's name, if that can be an artifact; else the file's name.
    /// - The version is that of the implementation, in the words of the file's name if that has the same; else the file
    ///   name's, the bundle's or that of the specification.
    /// - The group is what [`GROUPS`] says; else the vendor's id, or the beginning of the bundle's or module's name; else
    ///   the artifact, as in the times when groups had no domain.
    pub(super) fn identity(&self) -> Option<Identity> {
        let manifest = self.manifest;
        let FileName { artifact: in_name, version: in_name_version } = FileName::split(self.file_name);
        let in_name = Some(in_name).filter(|name| is_file_of_artifact(name));
        let dotted = [&manifest.symbolic_name, &manifest.module_name].into_iter().flatten();
        // A module's name without a domain is that of an artifact of the same times.
        let module = manifest.module_name.as_deref().filter(|name| !name.contains('.'));
        let title = manifest.implementation_title.as_deref().filter(|title| is_artifact(title));
        let title = title.or_else(|| module.filter(|name| is_artifact(name)));
        let is_known = |name: &&str| {
            let ends = |dotted: &String| {
                let words = |text: &str| text.replace(['-', '_'], ".").to_ascii_lowercase();
                let (dotted, name) = (words(dotted), words(name));
                dotted.strip_suffix(&name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            };
            title == Some(*name) || dotted.clone().any(ends)
        };
        let known = in_name.filter(is_known).or(title);
        let artifact = known.or(in_name)?;

        let version = self.version(in_name_version)?;
        let groups = GROUPS
            .into_iter()
            .find(|(known, _)| artifact == *known || (known.ends_with('-') && artifact.starts_with(known)));
        let group = groups.map(|(_, group)| group.to_owned()).or_else(|| self.group(artifact));
        // The file's name alone is not enough where it has no version: there are many `app.jar`.
        if known.is_none() && group.is_none() && in_name_version.is_none() {
            return None;
        }
        let is_in_manifest = Some(version) != in_name_version || self.has_version(version);
        let is_derived = known.is_some() && group.is_some() && is_in_manifest;
        let certainty = if is_derived { Certainty::Derived } else { Certainty::Guessed };
        let group = group.unwrap_or_else(|| artifact.to_owned());
        Some(Identity { name: format!("{group}:{artifact}"), version: version.to_owned(), certainty })
    }

    fn version<'b>(&'b self, in_name: Option<&'b str>) -> Option<&'b str> {
        let Manifest { implementation_version, bundle_version, specification_version, .. } = self.manifest;
        if let Some(in_name) = in_name.filter(|version| self.has_version(version)) {
            return Some(in_name);
        }
        let is_version = |version: &&str| version.contains(|character: char| character.is_ascii_digit());
        implementation_version
            .as_deref()
            .filter(is_version)
            .or(in_name)
            .or_else(|| bundle_version.as_deref().filter(is_version))
            .or_else(|| specification_version.as_deref().filter(is_version))
    }

    /// Whether the manifest has this version.
    fn has_version(&self, version: &str) -> bool {
        let Manifest { implementation_version, bundle_version, .. } = self.manifest;
        [implementation_version, bundle_version]
            .into_iter()
            .flatten()
            .any(|known| is_same_version(known, version))
    }

    /// The group that the manifest tells.
    fn group(&self, artifact: &str) -> Option<String> {
        let Manifest { implementation_vendor_id, symbolic_name, module_name, .. } = self.manifest;
        if let Some(vendor) = implementation_vendor_id.as_deref().filter(|id| is_artifact(id)) {
            return Some(vendor.to_owned());
        }
        let name = [symbolic_name, module_name].into_iter().flatten().find(|name| name.contains('.'))?;
        if artifact.contains('-')
            && let Some(group) = name.strip_suffix(&format!(".{artifact}"))
        {
            return Some(group.to_owned());
        }
        // Maven's bundle plugin writes `org.apache.maven.core` for the artifact `maven-core` of the group
        // `org.apache.maven`, and the group alone for an artifact with the name of its end.
        let name = name.replace('-', ".");
        let Some((first, rest)) = artifact.split_once('-') else { return Some(name) };
        let group = name.strip_suffix(&format!(".{}", rest.replace('-', ".")));
        let group = group.filter(|group| group.ends_with(&format!(".{first}"))).map(str::to_owned);
        Some(group.unwrap_or(name))
    }
}

/// The index of the only one that is so.
fn only(poms: &[&Pom], is_so: impl Fn(&Pom) -> bool) -> Option<usize> {
    let mut found = poms.iter().enumerate().filter(|(_, pom)| is_so(pom)).map(|(index, _)| index);
    found.next().filter(|_| found.next().is_none())
}

/// Whether an archive of this name, without ending and version, can be an artifact. Few have capitals, such as
/// `tomcat-i18n-pt-BR`; a title with some is one for people.
fn is_file_of_artifact(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase()) && is_artifact(&name.to_ascii_lowercase())
}

/// Whether it can be the name of an artifact: lower-case letters, digits, and what is between them.
fn is_artifact(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    name.starts_with(|first: char| first.is_ascii_lowercase()) && name.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    fn identity(file_name: &str, manifest: &str) -> Option<(String, String, Certainty)> {
        let manifest = Manifest::parse(manifest.as_bytes(), &Limits::default());
        let identity = Jar { file_name, manifest: &manifest }.identity()?;
        Some((identity.name, identity.version, identity.certainty))
    }

    /// Manifests and names of jars as they are published; what they are called in Maven's repository is known.
    #[test]
    fn jars_of_other_tools_are_known_by_name_and_manifest() {
        use Certainty::{Derived, Guessed};

        for (file_name, manifest, name, version, certainty) in [
            (
                "spring-core-4.3.30.RELEASE.jar",
                "Implementation-Title: spring-core\nImplementation-Version: 4.3.30.RELEASE\n",
                "org.springframework:spring-core",
                "4.3.30.RELEASE",
                Derived,
            ),
            (
                "spring-boot-actuator-3.1.0.jar",
                "Implementation-Title: Spring Boot Actuator\nImplementation-Version: 3.1.0\n\
                 Automatic-Module-Name: spring.boot.actuator\n",
                "org.springframework.boot:spring-boot-actuator",
                "3.1.0",
                Derived,
            ),
            (
                "bcprov-jdk18on-1.72.jar",
                "Automatic-Module-Name: org.bouncycastle.provider\nImplementation-Version: 1.72.0\n\
                 Implementation-Vendor-Id: org.bouncycastle\n",
                "org.bouncycastle:bcprov-jdk18on",
                "1.72",
                Guessed,
            ),
            (
                "tomcat-i18n-pt-BR.jar",
                "Implementation-Title: Apache Tomcat\nImplementation-Version: 9.0.70\n",
                "org.apache.tomcat:tomcat-i18n-pt-BR",
                "9.0.70",
                Guessed,
            ),
            (
                "commons-compress.jar",
                "Bundle-SymbolicName: org.apache.commons.commons-compress\nBundle-Version: 1.22.0\n",
                "org.apache.commons:commons-compress",
                "1.22.0",
                Derived,
            ),
            (
                "maven-core-3.8.7.jar",
                "Bundle-SymbolicName: org.apache.maven.core\nImplementation-Version: 3.8.7\n",
                "org.apache.maven:maven-core",
                "3.8.7",
                Derived,
            ),
            (
                "guava-31.1-jre.jar",
                "Bundle-SymbolicName: com.google.guava\nBundle-Version: 31.1.0.jre\n",
                "com.google.guava:guava",
                "31.1-jre",
                Derived,
            ),
            (
                "junit-4.13.2.jar",
                "Implementation-Vendor-Id: junit\nImplementation-Title: JUnit\nAutomatic-Module-Name: junit\n\
                 Implementation-Version: 4.13.2\n",
                "junit:junit",
                "4.13.2",
                Derived,
            ),
            (
                "commons-collections-3.2.1.jar",
                "",
                "commons-collections:commons-collections",
                "3.2.1",
                Guessed,
            ),
        ] {
            let expected = Some((name.to_owned(), version.to_owned(), certainty));
            assert_eq!(identity(file_name, manifest), expected, "{file_name}");
        }
    }

    #[test]
    fn a_jar_that_says_nothing_of_itself_is_none() {
        for (file_name, manifest) in [
            ("app.jar", ""),
            ("app.jar", "Manifest-Version: 1.0\n"),
            ("rt.jar", "Implementation-Title: Java Runtime Environment\nImplementation-Version: 1.8.0_292\n"),
            ("app.jar", "Bundle-SymbolicName: org.example.app\n"),
            ("-1.0.jar", ""),
            ("Not An Artifact-1.0.jar", ""),
        ] {
            assert_eq!(identity(file_name, manifest), None, "{file_name} {manifest}");
        }
    }
}
