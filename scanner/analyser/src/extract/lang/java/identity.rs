//! What an archive is, where Maven did not write it down.

use super::group;
use super::manifest::Manifest;
use super::name::{FileName, is_same_name, is_same_version, stem};
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
    /// `group:artifact`, or the artifact alone if its group is not known.
    pub(super) name: String,
    pub(super) version: String,
    pub(super) certainty: Certainty,
}

impl Jar<'_> {
    /// Which of several `pom.properties` is that of the archive itself, the others being of what was merged into it: the one
    /// with the file's name, with a title or the version of the manifest, or with the version of the file's name. An only one
    /// is, unless the archive says that it is something else.
    pub(super) fn own(&self, poms: &[&Pom]) -> Option<usize> {
        let FileName { artifact, version } = FileName::split(self.file_name);
        let Manifest { implementation_title, specification_title, symbolic_name, .. } = self.manifest;
        let titles = [implementation_title, specification_title, symbolic_name];
        let versions = [&self.manifest.implementation_version, &self.manifest.bundle_version];
        let has_file_version =
            |pom: &Pom| version.is_some_and(|version| is_same_version(version, &pom.version));
        let is_named = |pom: &Pom| pom.artifact == artifact && (version.is_none() || has_file_version(pom));
        // What looks like a version can be a part of the name: `geronimo-interceptor-3.0-spec.jar`.
        let is_spelled = |pom: &Pom| is_same_name(&pom.artifact, stem(self.file_name));
        let is_titled = |pom: &Pom| titles.into_iter().flatten().any(|title| *title == pom.artifact);
        let is_versioned =
            |pom: &Pom| versions.into_iter().flatten().any(|version| is_same_version(version, &pom.version));
        only(poms, is_named)
            .or_else(|| only(poms, |pom| pom.artifact == artifact))
            .or_else(|| only(poms, is_spelled))
            .or_else(|| only(poms, is_titled))
            .or_else(|| only(poms, is_versioned))
            .or_else(|| only(poms, has_file_version))
            .or_else(|| (poms.len() == 1 && self.identity().is_none()).then_some(0))
    }

    /// What the archive is by its manifest and its name; none if they do not say it.
    ///
    /// - Group and artifact are those in the manifest's title if it has both.
    /// - Else the artifact is the file's name without version if the manifest knows it too; else a title in the manifest, or
    ///   the module's name, if that can be an artifact; else the file's name. One whose group is well known goes before others.
    /// - The version is that of the implementation, in the words of the file's name if that has the same; else the file
    ///   name's, the bundle's or that of the specification.
    /// - The group is the one that is well known, or that the manifest tells. Else there is none.
    pub(super) fn identity(&self) -> Option<Identity> {
        let manifest = self.manifest;
        let FileName { artifact: in_name, version: in_name_version } = FileName::split(self.file_name);
        let version = self.version(in_name_version)?;
        let is_in_manifest = Some(version) != in_name_version || self.has_version(version);
        let certainty = |is_derived: bool| if is_derived { Certainty::Derived } else { Certainty::Guessed };
        if let Some((group, artifact)) = manifest.implementation_title.as_deref().and_then(group::in_title) {
            let (version, certainty) = (version.to_owned(), certainty(is_in_manifest));
            return Some(Identity { name: format!("{group}:{artifact}"), version, certainty });
        }

        let in_name = Some(in_name).filter(|name| is_file_of_artifact(name));
        let dotted = [&manifest.symbolic_name, &manifest.module_name].into_iter().flatten();
        // A module's name without a domain is that of an artifact of the times when groups had none.
        let module = manifest.module_name.as_deref().filter(|name| !name.contains('.'));
        let titles = [&manifest.implementation_title, &manifest.bundle_name].into_iter().flatten();
        let mut titles = titles.map(String::as_str);
        let can_be = |title: &&str| is_artifact(title) && (in_name == Some(*title) || !title.contains('.'));
        let title = titles.find(can_be).or_else(|| module.filter(|name| is_artifact(name)));
        let is_known = |name: &&str| {
            let ends = |dotted: &String| {
                let words = |text: &str| text.replace(['-', '_'], ".").to_ascii_lowercase();
                let (dotted, name) = (words(dotted), words(name));
                dotted.strip_suffix(&name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            };
            title == Some(*name) || dotted.clone().any(ends)
        };
        let known = in_name.filter(is_known).or(title);
        let unnumbered = in_name.and_then(|name| without_major(name, version));
        let candidates = [known, in_name, unnumbered.as_deref()];
        let well_known = candidates.into_iter().flatten().find_map(|name| Some((name, group::known(name)?)));
        let (artifact, group) = if let Some((artifact, group)) = well_known {
            (artifact, Some(group.to_owned()))
        } else {
            let artifact = known.or(in_name)?;
            (artifact, group::told(manifest, artifact))
        };
        // The file's name alone is not enough where it has no version: there are many `app.jar`.
        if known.is_none() && group.is_none() && in_name_version.is_none() {
            return None;
        }
        let certainty = certainty(known == Some(artifact) && is_in_manifest);
        let name = group.map_or_else(|| artifact.to_owned(), |group| format!("{group}:{artifact}"));
        Some(Identity { name, version: version.to_owned(), certainty })
    }

    fn version<'b>(&'b self, in_name: Option<&'b str>) -> Option<&'b str> {
        let Manifest { implementation_version, bundle_version, specification_version, .. } = self.manifest;
        // A file may have the number of its series in its name too: `log4j-1.2-1.2.17.jar`.
        let in_name = in_name.map(|version| match version.rsplit_once('-') {
            Some((_, last)) if !self.has_version(version) && self.has_version(last) => last,
            _ => version,
        });
        if let Some(in_name) = in_name.filter(|version| self.has_version(version)) {
            return Some(in_name);
        }
        let usable = |version: &'b Option<String>| version.as_deref().filter(|version| is_version(version));
        usable(implementation_version)
            .or(in_name)
            .or_else(|| usable(bundle_version))
            .or_else(|| usable(specification_version))
    }

    /// Whether the manifest has this version.
    fn has_version(&self, version: &str) -> bool {
        let Manifest { implementation_version, bundle_version, .. } = self.manifest;
        [implementation_version, bundle_version]
            .into_iter()
            .flatten()
            .any(|known| is_same_version(known, version))
    }
}

/// The index of the only one that is so.
fn only(poms: &[&Pom], is_so: impl Fn(&Pom) -> bool) -> Option<usize> {
    let mut found = poms.iter().enumerate().filter(|(_, pom)| is_so(pom)).map(|(index, _)| index);
    found.next().filter(|_| found.next().is_none())
}

/// The name of an artifact without the major version, which those who install several side by side put behind one of its
/// words: `tomcat-api` of `tomcat9-api` in version 9.0.70.
fn without_major(name: &str, version: &str) -> Option<String> {
    let major = version.split(|character: char| !character.is_ascii_digit()).next()?;
    let mut words: Vec<&str> = name.split('-').collect();
    let bare = |word: &str| {
        let bare = word.trim_end_matches(|character: char| character.is_ascii_digit());
        (!bare.is_empty() && word.strip_prefix(bare) == Some(major)).then_some(bare.len())
    };
    let (word, length) = words.iter_mut().find_map(|word| bare(word).map(|length| (word, length)))?;
    *word = word.get(..length)?;
    Some(words.join("-"))
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

/// Whether it can be a version: what a build left there may be `unspecified` or `10.14.2000000.???`.
fn is_version(version: &str) -> bool {
    let number = version.strip_prefix(['v', 'r']).unwrap_or(version);
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+~".contains(&byte);
    number.starts_with(|first: char| first.is_ascii_digit()) && version.bytes().all(is_part)
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
                "tomcat9-i18n-de-9.0.70.jar",
                "Implementation-Title: Apache Tomcat\nImplementation-Version: 9.0.70\n",
                "org.apache.tomcat:tomcat-i18n-de",
                "9.0.70",
                Guessed,
            ),
            (
                "tomcat9-api-9.0.70.jar",
                "Bundle-Name: tomcat-api\nBundle-SymbolicName: org.apache.tomcat-api\nBundle-Version: 9.0.70\n",
                "org.apache.tomcat:tomcat-api",
                "9.0.70",
                Derived,
            ),
            (
                "commons-logging-1.2.jar",
                "Implementation-Title: Commons Logging\nImplementation-Version: 1.2\n\
                 Implementation-Vendor-Id: org.apache\nBundle-SymbolicName: org.apache.commons.logging\n",
                "commons-logging:commons-logging",
                "1.2",
                Derived,
            ),
            (
                "commons-collections3-3.2.2.jar",
                "Implementation-Vendor-Id: org.apache\nImplementation-Version: 3.2.2\n",
                "commons-collections:commons-collections",
                "3.2.2",
                Guessed,
            ),
            (
                "log4j-1.2-1.2.17.jar",
                "Bundle-SymbolicName: org.apache.log4j\nBundle-Version: 1.2.17\n",
                "log4j:log4j",
                "1.2.17",
                Derived,
            ),
            (
                "lucene-core-4.10.4.jar",
                "Implementation-Title: org.apache.lucene\nImplementation-Version: 4.10.4\n",
                "org.apache.lucene:lucene-core",
                "4.10.4",
                Guessed,
            ),
            (
                "batik-all.jar",
                "Implementation-Title: org.apache.xmlgraphics:batik-all\nImplementation-Version: 1.16\n",
                "org.apache.xmlgraphics:batik-all",
                "1.16",
                Derived,
            ),
            // Of these the group is not known.
            (
                "eclipse-jdt-core-3.32.0.jar",
                "Bundle-SymbolicName: org.eclipse.jdt.core;singleton:=true\nBundle-Version: 3.32.0.qualifier\n",
                "eclipse-jdt-core",
                "3.32.0",
                Guessed,
            ),
            (
                "guice-jmx.jar",
                "Bundle-Name: guice-jmx\nBundle-SymbolicName: com.google.inject.tools.jmx\nBundle-Version: 4.2.3\n",
                "guice-jmx",
                "4.2.3",
                Derived,
            ),
            (
                "hsqldb-2.6.0.jar",
                "Implementation-Version: private-19991231\nSpecification-Version: 2.7.1\n",
                "hsqldb",
                "2.6.0",
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
