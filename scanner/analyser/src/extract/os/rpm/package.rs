//! What a header says of its package.

use super::header::{Header, Tag};
use crate::extract::Found;
use crate::limits::Limits;
use crate::package::{PackageKind, SourcePackage};

/// The package that a header describes, and what of it could not be read. Without a name or a version there is none.
pub(super) fn package(header: Header<'_>, limits: &Limits) -> (Option<Found>, Vec<String>) {
    let mut reader = Reader { header, limits, problems: Vec::new() };
    let found = reader.package();
    let mut problems = reader.problems;
    if let Some(found) = &found {
        for problem in &mut problems {
            *problem = format!("package {:?}: {problem}", found.name);
        }
    }
    (found, problems)
}

/// The version of a package as rpm writes it. An epoch that is not recorded is not 0, though it counts as 0.
pub(super) fn full_version(epoch: Option<u32>, version_and_release: &str) -> String {
    match epoch {
        Some(epoch) => format!("{epoch}:{version_and_release}"),
        None => version_and_release.to_owned(),
    }
}

/// The source package of which a file name such as `bash-5.1.8-6.el9.src.rpm` is that of its RPM. Names may contain hyphens,
/// versions and releases may not. The epoch is not in it: it is the binary package's.
pub(super) fn source_package(file: &str, epoch: Option<u32>) -> Option<SourcePackage> {
    let stem = file.strip_suffix(".rpm")?;
    let stem = stem.strip_suffix(".src").or_else(|| stem.strip_suffix(".nosrc"))?;
    let (rest, release) = stem.rsplit_once('-')?;
    let (name, version) = rest.rsplit_once('-')?;
    let all_there = ![name, version, release].contains(&"");
    all_there.then(|| SourcePackage {
        name: name.to_owned(),
        version: full_version(epoch, &format!("{version}-{release}")),
    })
}

struct Reader<'a> {
    header: Header<'a>,
    limits: &'a Limits,
    problems: Vec<String>,
}

impl Reader<'_> {
    fn package(&mut self) -> Option<Found> {
        let name = self.word("name", Tag::NAME);
        let version = self.word("version", Tag::VERSION);
        let (Some(name), Some(version)) = (name, version) else {
            self.problems.push("a header has no name or no version".to_owned());
            return None;
        };
        let version = if let Some(release) = self.word("release", Tag::RELEASE) {
            format!("{version}-{release}")
        } else {
            self.problems.push("it has no release".to_owned());
            version
        };
        let epoch = self.header.number(Tag::EPOCH);
        let mut found = Found::new(PackageKind::Rpm, name, full_version(epoch, &version));
        found.architecture = self.word("architecture", Tag::ARCH);
        // Of a key, which rpm keeps as if it were a package, this is written out.
        if let Some(file) = self.word("source package", Tag::SOURCE_RPM).filter(|file| file != "(none)") {
            found.details.source = source_package(&file, epoch);
            if found.details.source.is_none() {
                self.problems.push(format!("its source package {file:?} is no name of an RPM"));
            }
        }
        found.details.maintainer = self.text("vendor", Tag::VENDOR);
        found.details.licenses.extend(self.text("licence", Tag::LICENSE));
        found.details.module = self.word("modularity label", Tag::MODULARITY_LABEL);
        Some(found)
    }

    /// A text without spaces.
    fn word(&mut self, what: &str, tag: Tag) -> Option<String> {
        let text = self.text(what, tag)?;
        if text.contains(char::is_whitespace) {
            self.problems.push(format!("there is space in its {what}"));
            return None;
        }
        Some(text)
    }

    /// A text that is not empty, in one line.
    fn text(&mut self, what: &str, tag: Tag) -> Option<String> {
        let bytes = self.header.text(tag)?;
        let limit = self.limits.field_bytes;
        if bytes.len() > limit {
            let length = bytes.len();
            self.problems
                .push(format!("its {what} has {length} bytes; the limit is {limit} (`field_bytes`)"));
            return None;
        }
        if str::from_utf8(bytes).is_err() {
            self.problems.push(format!("its {what} is not UTF-8"));
        }
        // Licences and vendors are written by people, who put line breaks into them.
        let text = String::from_utf8_lossy(bytes).replace(char::is_control, " ");
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_packages_are_split_at_the_last_two_hyphens() {
        let source = |file, epoch| source_package(file, epoch).map(|source| (source.name, source.version));
        let is = |name: &str, version: &str| Some((name.to_owned(), version.to_owned()));
        assert_eq!(source("bash-5.1.8-6.el9.src.rpm", None), is("bash", "5.1.8-6.el9"));
        assert_eq!(source("java-17-openjdk-1-2.nosrc.rpm", Some(1)), is("java-17-openjdk", "1:1-2"));
        for file in ["", "(none)", "a-1.src.rpm", "a-1-2.rpm", "a-1-.src.rpm", "-1-2.src.rpm"] {
            assert_eq!(source(file, None), None, "{file}");
        }
    }
}
