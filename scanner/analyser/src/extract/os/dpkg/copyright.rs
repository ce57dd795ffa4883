//! The licences of a Debian package, from its copyright file (Debian Policy, section 12.5).

use std::collections::BTreeSet;

use crate::extract::format::control::{self, Line};
use crate::extract::format::field::Fields;
use crate::extract::{Input, Report};
use crate::fs::FsPath;

/// The licences that the copyright file of a package names, sorted; none if it has no such file.
pub(super) fn licenses(package: &str, input: &Input<'_>, report: &mut Report<'_>) -> Vec<String> {
    let path = FsPath::new("/usr/share/doc").join(package).join("copyright");
    let content = match input.read_side(&path) {
        Ok(content) => content.unwrap_or_default(),
        Err(error) => {
            report.unknown(format!("{path}: {}", crate::chain(&error)));
            return Vec::new();
        }
    };
    let mut fields = Fields::new(input.limits());
    let licenses = parse(&content).into_iter();
    let licenses = licenses.filter_map(|license| fields.optional("License", Some(license))).collect();
    for problem in fields.problems() {
        report.unknown(format!("{path} {problem}"));
    }
    licenses
}

/// The licences that a copyright file names: those of its fields if it is machine-readable, and otherwise those that it
/// refers to.
pub(super) fn parse(content: &[u8]) -> BTreeSet<&[u8]> {
    let is_machine_readable = content.trim_ascii_start().starts_with(b"Format");
    let licenses = if is_machine_readable { declared(content) } else { BTreeSet::new() };
    if licenses.is_empty() { referred_to(content) } else { licenses }
}

/// The short names in the machine-readable format: the first line of `License` of those stanzas that say which files it is
/// for, or what it is for as a whole. Others only give the text of a licence (Debian's "Machine-readable debian/copyright
/// file", version 1.0).
fn declared(content: &[u8]) -> BTreeSet<&[u8]> {
    let mut licenses = BTreeSet::new();
    let (mut license, mut is_for_something) = (None, false);
    for line in control::lines(content).chain([Line::Blank]) {
        match line {
            Line::Field { name, value, .. } => {
                if name.eq_ignore_ascii_case(b"License") {
                    license.get_or_insert(value);
                }
                is_for_something |=
                    name.eq_ignore_ascii_case(b"Files") || name.eq_ignore_ascii_case(b"Format");
            }
            Line::Blank => {
                licenses.extend(license.take().filter(|license| is_for_something && !license.is_empty()));
                is_for_something = false;
            }
            Line::Malformed { .. } => {}
        }
    }
    licenses
}

/// The files of Debian's common licences that a text refers to, such as `/usr/share/common-licenses/GPL-2`.
fn referred_to(content: &[u8]) -> BTreeSet<&[u8]> {
    const FOLDER: &[u8] = b"/usr/share/common-licenses/";

    let mut licenses = BTreeSet::new();
    for line in content.split(|&byte| byte == b'\n') {
        let mut rest = line;
        while let Some(start) = rest.windows(FOLDER.len()).position(|window| window == FOLDER) {
            rest = rest.get(start.saturating_add(FOLDER.len())..).unwrap_or_default();
            let is_in_name = |byte: &u8| byte.is_ascii_alphanumeric() || b".+-".contains(byte);
            let end = rest.iter().position(|byte| !is_in_name(byte)).unwrap_or(rest.len());
            let name = rest.get(..end).unwrap_or_default();
            // The end of the sentence.
            let length =
                name.iter().rposition(|byte| !b".-".contains(byte)).map_or(0, |last| last.saturating_add(1));
            licenses.extend(name.get(..length).filter(|name| !name.is_empty()));
        }
    }
    licenses
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use agentless_core::fs::Directory;
    use agentless_core::task::Scope;

    use super::*;
    use crate::extract::{Around, Room, run_within};
    use crate::fs::Tree;
    use crate::limits::Limits;

    fn texts(content: &str) -> Vec<&str> {
        parse(content.as_bytes()).into_iter().map(|license| str::from_utf8(license).unwrap()).collect()
    }

    #[test]
    fn short_names_are_those_of_files() {
        let content = "Format: 1.0\nUpstream-Name: a\n\n\
            Files: *\nCopyright: A\nLicense: GPL-2+ or Artistic\n On Debian: /usr/share/common-licenses/GPL-2\n\n\
            License: MIT\nFiles: debian/*\n\nLicense: GPL-2+\n Text.\n .\n More.\n";
        assert_eq!(texts(content), ["GPL-2+ or Artistic", "MIT"]);
        assert_eq!(texts("Format: x\nLicense: Expat\n"), ["Expat"]);
    }

    #[test]
    fn other_files_refer_to_common_licenses() {
        let content = "This is free software; see `/usr/share/common-licenses/GPL-2'. Or\n\
            /usr/share/common-licenses/LGPL-2.1. Or /usr/share/common-licenses/GPL-2, /usr/share/common-licenses/.\n";
        assert_eq!(texts(content), ["GPL-2", "LGPL-2.1"]);
        assert!(texts("").is_empty());
        assert_eq!(texts("Format: x\n\nsee /usr/share/common-licenses/BSD"), ["BSD"]);
    }

    #[test]
    fn licences_are_read_when_they_are_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in [
            ("var/lib/dpkg/status", "Package: a\nStatus: install ok installed\nVersion: 1\n\n"),
            ("usr/share/doc/a/copyright", "Format: x\n\nFiles: *\nLicense: Expat\n"),
        ] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let limits = Limits::default();
        let tree = Tree::new(Rc::new(Directory::open(folder.path(), &limits).unwrap()), limits);
        for (copyright, expected) in [(false, &[][..]), (true, &["Expat".to_owned()])] {
            let scope = Scope { copyright, ..Scope::default() };
            let findings = run_within(&tree, scope, &mut Room::new(tree.limits()), Around::default());
            assert_eq!(findings.gaps, []);
            assert_eq!(findings.packages[0].details.licenses, expected);
        }
    }
}
