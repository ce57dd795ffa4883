//! Changes that dpkg had made and not yet written into its database.
//!
//! While dpkg works it writes each change into a file of its own, whose name is a number, and into `status` only now and then.
//! A snapshot may be taken in between. The next dpkg that runs reads `status`, then these files by their numbers, and lets
//! each stand for what it had read of the package before (`cleanupdates` in dpkg's lib/dpkg/dbmodify.c). So it is done here.

use std::collections::HashSet;

use crate::extract::format::control;
use crate::extract::{Input, Report};
use crate::fs::FsPath;

use super::stanza::Stanza;

const UPDATES: &str = "/var/lib/dpkg/updates";

/// Changes that are read. dpkg writes `status` anew after 250 of them.
const MOST: usize = 1000;
/// Bytes of all that are read, each of which is one package's stanza: those of 250 of 64 KiB.
const MOST_BYTES: usize = 16 << 20;

/// The files with changes, oldest first.
pub(super) fn read(input: &Input<'_>, report: &mut Report<'_>) -> Vec<(FsPath, Vec<u8>)> {
    let mut files = match input.list_side(&FsPath::new(UPDATES)) {
        Ok(files) => files,
        Err(error) => {
            report.unknown(format!("{UPDATES}: {}", crate::chain(&error)));
            return Vec::new();
        }
    };
    // Beside them stands the one that is being written, which does not count yet: `tmp.i`.
    files.retain(|path| path.file_name().is_some_and(|name| name.iter().all(u8::is_ascii_digit)));
    files.sort_by(|a, b| {
        let key = |path: &FsPath| path.file_name().map(|name| (name.len(), name.to_vec()));
        key(a).cmp(&key(b))
    });
    if files.len() > MOST {
        report.unknown(format!(
            "{UPDATES} has {} changes, and no more than {MOST} are read: packages may have changed",
            files.len()
        ));
    }
    let mut changes = Vec::new();
    let mut left = MOST_BYTES;
    for path in files.into_iter().take(MOST) {
        match input.read_side(&path) {
            Ok(content) => {
                let content = content.unwrap_or_default();
                let Some(less) = left.checked_sub(content.len()) else {
                    report.unknown(format!(
                        "{path}: more than {MOST_BYTES} bytes of changes, of which no more are read: packages may have changed"
                    ));
                    break;
                };
                left = less;
                changes.push((path, content));
            }
            Err(error) => report.unknown(format!("{path}: {}", crate::chain(&error))),
        }
    }
    for (path, content) in &changes {
        let stanza = Stanza::read(&mut control::lines(content));
        let state = stanza.status.unwrap_or_default().rsplit(u8::is_ascii_whitespace).next();
        if stanza.package.is_none() {
            report.unknown(format!("{path}: the change of a package that is not named"));
        } else if state == Some(b"half-installed") {
            // Of what is unpacked or removed just then, some files are the old ones, some the new ones, some gone.
            let name = crate::extract::format::field::shown(stanza.package.unwrap_or_default());
            report.unknown(format!(
                "{path}: dpkg was at work on package {name:?}, which is there only in part"
            ));
        }
    }
    changes
}

/// Changes, each of which stands for what the database says of its package.
#[derive(Debug, Default)]
pub(super) struct Updates<'a> {
    stanzas: Vec<(&'a FsPath, Stanza<'a>)>,
    /// The packages that they concern whatever the architecture.
    names: HashSet<&'a [u8]>,
    /// The packages that they concern, with the architecture.
    instances: HashSet<(&'a [u8], Option<&'a [u8]>)>,
}

impl<'a> Updates<'a> {
    /// The last change of each package. Each file has one.
    pub(super) fn of(changes: &'a [(FsPath, Vec<u8>)]) -> Self {
        let mut updates = Self::default();
        for (path, content) in changes {
            let stanza = Stanza::read(&mut control::lines(content));
            if stanza.package.is_some() {
                updates.stanzas.retain(|(_, older)| !replaces(&stanza, older));
                updates.stanzas.push((path, stanza));
            }
        }
        for (_, stanza) in &updates.stanzas {
            let Some(package) = stanza.package else { continue };
            updates.instances.insert((package, stanza.architecture));
            if stanza.multi_arch != Some(b"same") {
                updates.names.insert(package);
            }
        }
        updates
    }

    /// The changes that stand, with their files.
    pub(super) fn stanzas(&self) -> impl Iterator<Item = (&FsPath, &Stanza<'a>)> {
        self.stanzas.iter().map(|(path, stanza)| (*path, stanza))
    }

    /// Whether one of them stands for what is known of a package.
    pub(super) fn replace(&self, older: &Stanza<'_>) -> bool {
        older.package.is_some_and(|package| {
            self.names.contains(package) || self.instances.contains(&(package, older.architecture))
        })
    }
}

/// Whether a change concerns this package. Packages of one name are there once, unless they are made to be installed for
/// several architectures.
fn replaces(change: &Stanza<'_>, older: &Stanza<'_>) -> bool {
    change.package == older.package
        && (change.architecture == older.architecture || change.multi_arch != Some(b"same"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::rc::Rc;

    use agentless_core::fs::Directory;

    use crate::extract::{Findings, run};
    use crate::fs::Tree;
    use crate::limits::Limits;

    fn stanza(name: &str, architecture: &str, version: &str, state: &str) -> String {
        format!(
            "Package: {name}\nStatus: install ok {state}\nVersion: {version}\nArchitecture: {architecture}\n\
             Multi-Arch: same\n\n"
        )
    }

    fn findings(status: &str, updates: &[(&str, &str)]) -> Findings {
        let folder = tempfile::tempdir().unwrap();
        let root: &Path = folder.path();
        std::fs::create_dir_all(root.join("var/lib/dpkg/updates")).unwrap();
        std::fs::write(root.join("var/lib/dpkg/status"), status).unwrap();
        for (name, content) in updates {
            std::fs::write(root.join("var/lib/dpkg/updates").join(name), content).unwrap();
        }
        let limits = Limits::default();
        run(&Tree::new(Rc::new(Directory::open(root, &limits).unwrap()), limits))
    }

    #[test]
    fn changes_that_were_not_written_yet_stand_for_what_was() {
        let installed = "installed";
        let status = stanza("a", "amd64", "1", installed)
            + &stanza("a", "i386", "1", installed)
            + &stanza("b", "all", "1", installed);
        let updates = [
            ("0002", &stanza("a", "amd64", "3", installed)[..]),
            ("0001", &stanza("a", "amd64", "2", "unpacked")),
            ("0003", &stanza("b", "all", "1", "config-files")),
            ("0004", &stanza("c", "all", "1", installed)),
            ("tmp.i", "Pack"),
        ];
        let findings = findings(&status, &updates);
        assert_eq!(findings.gaps, []);
        let packages: Vec<_> = findings
            .packages
            .iter()
            .map(|package| {
                (&package.name[..], &package.version[..], package.architecture.as_deref().unwrap())
            })
            .collect();
        assert_eq!(packages, [("a", "1", "i386"), ("a", "3", "amd64"), ("c", "1", "all")]);
    }

    #[test]
    fn a_package_that_was_at_work_or_has_no_name_makes_the_list_incomplete() {
        let status = stanza("a", "all", "1", "installed");
        let updates = [("1", &stanza("a", "all", "1", "half-installed")[..]), ("2", "\0\0\0\0\n")];
        let reasons: Vec<_> = findings(&status, &updates).gaps.into_iter().map(|gap| gap.reason).collect();
        let expected = [
            "/var/lib/dpkg/updates/1: dpkg was at work on package \"a\", which is there only in part",
            "/var/lib/dpkg/updates/2: the change of a package that is not named",
        ];
        assert_eq!(reasons, expected);
    }

    #[test]
    fn changes_of_megabytes_are_read_up_to_a_bound_that_is_reported() {
        let content = format!(
            "{}Conffiles:\n{}",
            stanza("a", "all", "2", "installed").trim_end(),
            " x\n".repeat(340_000)
        );
        let names: Vec<_> = (0..20).map(|number| format!("{number:04}")).collect();
        let updates: Vec<_> = names.iter().map(|name| (&name[..], &content[..])).collect();
        let findings = findings(&stanza("a", "all", "1", "installed"), &updates);
        assert_eq!(findings.packages[0].version, "2");
        let [gap] = &findings.gaps[..] else { panic!("{:?}", findings.gaps) };
        assert!(
            gap.reason.starts_with("/var/lib/dpkg/updates/0016: more than 16777216 bytes"),
            "{}",
            gap.reason
        );
    }
}
