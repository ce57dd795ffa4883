//! Which files the packages of the operating system installed.
//!
//! What was found for a language and was installed with a package of the system is attributed to that package, so that it is
//! not counted twice. Only the files in question are looked for while the lists of the package managers pass by: no list of
//! all files is kept.

mod distribution;

use std::collections::{HashMap, HashSet};

use super::Extractor;
use super::find::Wanted;
use super::input::Input;
use super::report::Gathering;
use crate::fs::{FsPath, Node, Tree};
use crate::package::{Owner, PackageKind};

pub use distribution::is_of_the_distribution;

/// The packages of the system that installed the files that are wanted.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// The indices of the files' packages.
    by_node: HashMap<Node, usize>,
    /// Each with whether it is of the distribution itself.
    packages: Vec<(Owner, bool)>,
}

impl Owners {
    /// Asks each extractor of package databases for the owners of these files.
    pub(super) fn of(
        wanted: &[Wanted],
        tree: &Tree,
        extractors: &[&dyn Extractor],
        gathering: &mut Gathering,
    ) -> Self {
        if wanted.is_empty() || !gathering.packages().iter().any(|package| package.kind.is_of_the_system()) {
            return Self::default();
        }
        let paths: HashMap<_, _> = wanted.iter().map(|wanted| (&wanted.path, wanted.node)).collect();
        let names: HashSet<_> = wanted.iter().filter_map(|wanted| wanted.path.file_name()).collect();
        let nodes: HashSet<_> = wanted.iter().map(|wanted| wanted.node).collect();
        let mut claims = Claims {
            tree,
            paths,
            names,
            nodes,
            packages: Packages::default(),
            claimed: HashMap::new(),
            gathering,
        };
        for extractor in extractors {
            extractor.owners(&mut claims);
        }
        let Claims { packages, claimed, gathering, .. } = claims;
        let by_node = claimed.into_iter().map(|(node, claim)| (node, claim.package)).collect();
        let mut of_the_distribution: HashMap<(PackageKind, &str), bool> = HashMap::new();
        for package in gathering.packages() {
            let ours = is_of_the_distribution(package, gathering.system());
            // Of co-installed architectures all come from the same place.
            *of_the_distribution.entry((package.kind, &package.name)).or_insert(true) &= ours;
        }
        let packages = packages.list.into_iter().map(|owner| {
            let known = of_the_distribution.get(&(owner.kind, owner.name.as_str()));
            // A list of files without an installed package says nothing about where they came from.
            let ours = known.copied().unwrap_or(false);
            (owner, ours)
        });
        Self { by_node, packages: packages.collect() }
    }

    /// The package that installed a file.
    pub(super) fn of_file(&self, node: Node) -> Option<&Owner> {
        self.get(node).map(|(owner, _)| owner)
    }

    /// Whether a file belongs to a package of the distribution itself, whose own advisories cover it.
    pub(super) fn is_of_the_distribution(&self, wanted: &Wanted) -> bool {
        !distribution::is_for_add_ons(&wanted.path) && self.get(wanted.node).is_some_and(|&(_, ours)| ours)
    }

    fn get(&self, node: Node) -> Option<&(Owner, bool)> {
        self.packages.get(*self.by_node.get(&node)?)
    }
}

/// The files that are in question, and whose they are as far as that is known.
#[derive(Debug)]
pub struct Claims<'a> {
    tree: &'a Tree,
    paths: HashMap<&'a FsPath, Node>,
    /// The last components of these paths: most files that packages list are told apart by them.
    names: HashSet<&'a [u8]>,
    nodes: HashSet<Node>,
    packages: Packages,
    claimed: HashMap<Node, Claim>,
    gathering: &'a mut Gathering,
}

/// Whose a file is.
#[derive(Clone, Copy, Debug)]
struct Claim {
    /// The index of the package.
    package: usize,
    /// Whether the package lists the very path, and not one that leads there by links.
    is_exact: bool,
}

impl<'a> Claims<'a> {
    /// The files of the system.
    pub fn tree(&self) -> &'a Tree {
        self.tree
    }

    /// The package `package` lists the file `name` in `directory`.
    ///
    /// Links on the way are followed: where `/lib` is a link to `/usr/lib`, packages list either.
    pub fn file(&mut self, kind: PackageKind, package: &[u8], directory: &[u8], name: &[u8]) {
        if package.is_empty() || !self.names.contains(name) {
            return;
        }
        let path = FsPath::new(directory).join(name);
        let claim = match self.paths.get(&path) {
            Some(&node) => Some((node, true)),
            // A path that cannot be followed leads to nothing that was found.
            None => self.tree.lookup(&path).ok().flatten().map(|(node, _)| (node, false)),
        };
        let Some((node, is_exact)) = claim.filter(|(node, _)| self.nodes.contains(node)) else { return };
        if self.claimed.get(&node).is_some_and(|before| before.is_exact || !is_exact) {
            return;
        }
        let package = self.packages.index(kind, package);
        self.claimed.insert(node, Claim { package, is_exact });
    }

    /// The file of a package manager at `path`, if there is one. What prevents that is reported.
    pub fn look_up(&mut self, extractor: &dyn Extractor, path: &FsPath) -> Option<Node> {
        match self.tree.lookup(path) {
            Ok(found) => found.map(|(node, _)| node),
            Err(error) => {
                self.gathering.gap(extractor, path, &error);
                None
            }
        }
    }

    /// A package manager's file for who reads here and there, if there is one. What prevents that is reported.
    pub fn open<'p>(&mut self, extractor: &dyn Extractor, path: &'p FsPath) -> Option<Input<'p>>
    where
        'a: 'p,
    {
        match self.tree.open(path) {
            Ok(file) => file.map(|file| Input::new(self.tree, path, file)),
            Err(error) => {
                self.gathering.gap(extractor, path, &error);
                None
            }
        }
    }

    /// The bytes of a package manager's file, if there is one. What prevents that is reported.
    pub fn read(&mut self, extractor: &dyn Extractor, path: &FsPath) -> Option<Vec<u8>> {
        match self.tree.open(path).and_then(|file| file.map(|file| file.read_all()).transpose()) {
            Ok(content) => content,
            Err(error) => {
                self.gathering.gap(extractor, path, &error);
                None
            }
        }
    }

    /// The nodes of a package manager's files in `directory`, by name, if there is one. What prevents that is reported.
    pub fn list(&mut self, extractor: &dyn Extractor, directory: &FsPath) -> Vec<(FsPath, Node)> {
        match self.tree.read_dir(directory) {
            Ok(entries) => {
                let entries = entries.unwrap_or_default().into_iter();
                entries.map(|entry| (directory.join(&entry.name), entry.node)).collect()
            }
            Err(error) => {
                self.gathering.gap(extractor, directory, &error);
                Vec::new()
            }
        }
    }
}

/// Packages that own something, each once.
#[derive(Debug, Default)]
struct Packages {
    list: Vec<Owner>,
    indices: HashMap<(PackageKind, String), usize>,
}

impl Packages {
    fn index(&mut self, kind: PackageKind, name: &[u8]) -> usize {
        let name = String::from_utf8_lossy(name).into_owned();
        let next = self.list.len();
        let index = *self.indices.entry((kind, name.clone())).or_insert(next);
        if index == next {
            self.list.push(Owner { kind, name });
        }
        index
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;
    use std::rc::Rc;

    use agentless_core::fs::Directory;
    use agentless_core::task::Scope;

    use super::*;
    use crate::extract::os::{Apk, Dpkg, Release};
    use crate::extract::{Around, ExtractError, Found, Input, Interest, Report, Room, run_these, run_within};
    use crate::limits::Limits;

    /// Reports every file that it is given, under the file's path.
    #[derive(Debug)]
    struct Everything;

    impl Extractor for Everything {
        fn name(&self) -> &'static str {
            "lang/everything"
        }

        fn description(&self) -> &'static str {
            "every file"
        }

        fn interest(&self) -> &'static [Interest] {
            &[Interest::Name("METADATA"), Interest::Executable { least: 1 }]
        }

        fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
            report.package(Found::new(PackageKind::Pypi, input.path().to_string(), "1"));
            Ok(())
        }
    }

    fn write(root: &Path, path: &str, content: &str, mode: u32) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// What was read, with its owner.
    fn owners(root: &Path) -> Vec<(String, Option<String>)> {
        let limits = Limits::default();
        let tree = Tree::new(Rc::new(Directory::open(root, &limits).unwrap()), limits);
        let extractors: [&dyn Extractor; 4] = [&Everything, &Apk, &Dpkg, &Release];
        let findings =
            run_these(&tree, &extractors, Scope::default(), &mut Room::new(tree.limits()), Around::default());
        assert_eq!(findings.gaps, []);
        let languages = findings.packages.into_iter().filter(|package| package.kind == PackageKind::Pypi);
        languages.map(|package| (package.name, package.details.owner.map(|owner| owner.name))).collect()
    }

    fn stanza(name: &str, maintainer: &str) -> String {
        format!(
            "Package: {name}\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n\
             Maintainer: {maintainer}\n\n"
        )
    }

    fn expect(found: &[(String, Option<String>)], expected: &[(&str, Option<&str>)]) {
        let found: Vec<_> = found.iter().map(|(path, owner)| (&path[..], owner.as_deref())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn files_are_attributed_to_debian_packages_and_the_distributions_programs_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(root, "etc/os-release", "ID=debian\nVERSION_ID=12\n", 0o644);
        let status =
            stanza("python3-a", "A <a@debian.org>") + &stanza("docker-ce", "Docker <support@docker.com>");
        write(root, "var/lib/dpkg/status", &status, 0o644);
        // What packages list is below a link, as in a system whose /lib was merged into /usr.
        symlink("usr/lib", root.join("lib")).unwrap();
        symlink("usr/bin", root.join("bin")).unwrap();
        let list = "/.\n/lib\n/lib/python3/a.dist-info/METADATA\n/bin/a\n/opt/a/program\n/usr/bin/diverted\n/usr/bin/gone\n";
        write(root, "var/lib/dpkg/info/python3-a:amd64.list", list, 0o644);
        write(root, "var/lib/dpkg/info/docker-ce.list", "/usr/bin/docker\n/usr/bin/diverted\n", 0o644);
        write(root, "var/lib/dpkg/info/removed.list", "/usr/bin/leftover\n", 0o644);
        write(
            root,
            "var/lib/dpkg/diversions",
            "/usr/bin/diverted\n/usr/bin/diverted.distrib\ndocker-ce\n",
            0o644,
        );
        write(root, "usr/lib/python3/a.dist-info/METADATA", "x", 0o644);
        write(root, "usr/lib/python3/b.dist-info/METADATA", "x", 0o644);
        for program in ["a", "docker", "diverted", "diverted.distrib", "leftover", "nobodys"] {
            write(root, &format!("usr/bin/{program}"), "x", 0o755);
        }
        write(root, "opt/a/program", "x", 0o755);
        expect(
            &owners(root),
            &[
                ("/opt/a/program", Some("python3-a")),
                ("/usr/bin/diverted", Some("docker-ce")),
                ("/usr/bin/docker", Some("docker-ce")),
                ("/usr/bin/leftover", Some("removed")),
                ("/usr/bin/nobodys", None),
                ("/usr/lib/python3/a.dist-info/METADATA", Some("python3-a")),
                ("/usr/lib/python3/b.dist-info/METADATA", None),
            ],
        );
    }

    #[test]
    fn images_without_dpkg_have_lists_of_checksums() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(
            root,
            "var/lib/dpkg/status.d/a",
            "Package: a\nVersion: 1\nMaintainer: A <a@debian.org>\n",
            0o644,
        );
        let sums = format!("{0}  usr/bin/a\n{0}  usr/lib/METADATA\n", "0".repeat(32));
        write(root, "var/lib/dpkg/status.d/a.md5sums", &sums, 0o644);
        write(root, "usr/bin/a", "x", 0o755);
        write(root, "usr/lib/METADATA", "x", 0o644);
        expect(&owners(root), &[("/usr/lib/METADATA", Some("a"))]);
    }

    #[test]
    fn files_are_attributed_to_alpine_packages() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let installed = "P:py3-a\nV:1-r0\nF:usr/lib/python3.12/a.dist-info\nR:METADATA\nF:usr/bin\nR:a\n\n\
            P:b\nV:1-r0\nF:\nR:METADATA\n\n";
        write(root, "usr/lib/apk/db/installed", installed, 0o644);
        symlink("usr/lib", root.join("lib")).unwrap();
        write(root, "usr/lib/python3.12/a.dist-info/METADATA", "x", 0o644);
        write(root, "METADATA", "x", 0o644);
        write(root, "usr/bin/a", "x", 0o755);
        write(root, "usr/bin/other", "x", 0o755);
        expect(
            &owners(root),
            &[
                ("/METADATA", Some("b")),
                ("/usr/bin/other", None),
                ("/usr/lib/python3.12/a.dist-info/METADATA", Some("py3-a")),
            ],
        );
    }

    #[test]
    fn without_a_search_no_list_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write(root, "var/lib/dpkg/status", &stanza("a", "A <a@debian.org>"), 0o644);
        // Reading it would be a gap.
        std::fs::create_dir_all(root.join("var/lib/dpkg/info/a.list")).unwrap();
        let limits = Limits::default();
        let tree = Tree::new(Rc::new(Directory::open(root, &limits).unwrap()), limits);
        let scope = Scope { languages: false, ..Scope::default() };
        let findings = run_within(&tree, scope, &mut Room::new(tree.limits()), Around::default());
        assert_eq!((findings.packages.len(), findings.gaps.len()), (1, 0));
    }
}
