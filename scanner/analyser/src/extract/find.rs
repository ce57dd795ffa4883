//! Finding the files that extractors want: those with a known path are looked up, the others come from one walk.

use std::collections::{HashMap, HashSet};

use super::Extractor;
use super::interest::Interest;
use super::report::Gathering;
use crate::fs::walk::{Found, Next, Visitor, walk};
use crate::fs::{FileType, FsError, FsPath, Node, Tree};
use crate::volume::bytes::to_u64;

/// A file, and the extractor that wants it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wanted {
    /// The index of the extractor.
    pub(super) extractor: usize,
    pub(super) path: FsPath,
    pub(super) node: Node,
    /// Whether it is wanted because it can be executed, and not for its name.
    pub(super) is_program: bool,
}

/// What the kernel shows of itself, and the roots of containers that run, which are seen while they do. Their files are in
/// the stores of their engines, and those are left out of the search by where they are.
const NOT_SEARCHED: &[&str] =
    &["/dev", "/proc", "/run/containerd/io.containerd.runtime.v2.task", "/run/docker", "/sys"];

/// The files that need a walk over everything to be found, in the order of the extractors and of their paths.
pub(super) fn walked(
    tree: &Tree,
    extractors: &[&dyn Extractor],
    layers: &HashSet<Node>,
    gathering: &mut Gathering,
) -> Vec<Wanted> {
    let interests = Interests::of(extractors);
    if interests.is_empty() {
        return Vec::new();
    }
    let most = tree.limits().wanted_files;
    let mut search = Search {
        tree,
        extractors,
        interests,
        layers,
        gathering,
        most,
        room: tree.limits().walk_bytes,
        is_full: false,
        found: Vec::new(),
        candidates: Vec::new(),
        links: Vec::new(),
    };
    let outcome = walk(tree, &mut search);
    search.look_at_candidates();
    search.look_behind_links();
    let Search { mut found, gathering, is_full, .. } = search;
    if let Err(error) = outcome {
        gathering.push_gap("/".to_owned(), None, crate::chain(&error));
    }
    if is_full {
        let reason = format!(
            "more than {most} files, or more than {} bytes of their paths, may record packages, the limits (`wanted_files`, `walk_bytes`): the others were not read",
            tree.limits().walk_bytes
        );
        gathering.push_gap("/".to_owned(), None, reason);
    }
    found.sort_unstable();
    found
}

/// The interests of all extractors that a walk serves, by what is looked at for each file.
#[derive(Debug, Default)]
struct Interests {
    names: HashMap<&'static [u8], Vec<usize>>,
    /// By the last dot of the name, and what follows.
    suffixes: HashMap<Vec<u8>, Vec<(&'static str, usize)>>,
    executables: Vec<(u64, usize)>,
}

impl Interests {
    fn of(extractors: &[&dyn Extractor]) -> Self {
        let mut interests = Self::default();
        for (index, extractor) in extractors.iter().enumerate() {
            for &interest in extractor.interest() {
                match interest {
                    Interest::Exact(_) | Interest::Within(_) => {}
                    Interest::Name(name) => {
                        interests.names.entry(name.as_bytes()).or_default().push(index);
                    }
                    Interest::Suffix(suffix) => {
                        let extension = extension(suffix.as_bytes());
                        interests.suffixes.entry(extension).or_default().push((suffix, index));
                    }
                    Interest::Executable { least } => interests.executables.push((least, index)),
                }
            }
        }
        interests
    }

    fn is_empty(&self) -> bool {
        self.names.is_empty() && self.suffixes.is_empty() && self.executables.is_empty()
    }

    /// Those that have an interest in a file of this name.
    fn by_name(&self, name: &[u8]) -> impl Iterator<Item = usize> {
        let named = self.names.get(name).into_iter().flatten().copied();
        let suffixed = self.suffixes.get(&extension(name)).into_iter().flatten();
        let ends = |suffix: &str| {
            let tail = name.len().checked_sub(suffix.len()).and_then(|start| name.get(start..));
            tail.is_some_and(|tail| tail.eq_ignore_ascii_case(suffix.as_bytes()))
        };
        named.chain(suffixed.filter(move |(suffix, _)| ends(suffix)).map(|&(_, index)| index))
    }
}

/// The last dot of a name and what follows it, in lower case; empty if it has none.
fn extension(name: &[u8]) -> Vec<u8> {
    let dot = name.iter().rposition(|&byte| byte == b'.');
    dot.and_then(|dot| name.get(dot..)).unwrap_or_default().to_ascii_lowercase()
}

/// How many files are kept to ask for their inodes together.
const CANDIDATES: usize = 4096;

struct Search<'a, 'g> {
    tree: &'a Tree,
    extractors: &'a [&'a dyn Extractor],
    interests: Interests,
    /// Directories that hold files of other trees.
    layers: &'a HashSet<Node>,
    gathering: &'g mut Gathering,
    most: u64,
    /// Bytes of memory that the files may still take.
    room: u64,
    /// Whether some were left out.
    is_full: bool,
    found: Vec<Wanted>,
    /// Files whose mode and size are still to be looked at.
    candidates: Vec<(FsPath, Node)>,
    /// Links with the name of a file that an extractor wants, of which it is still to be seen whether they lead somewhere.
    links: Vec<(usize, FsPath, Node)>,
}

impl Search<'_, '_> {
    /// Adds a file, if the extractor wants it, and says whether it does.
    fn add(&mut self, extractor: usize, path: &FsPath, node: Node, is_program: bool) -> bool {
        let wants = self.extractors.get(extractor).is_some_and(|extractor| extractor.wants(path));
        if !wants {
            return false;
        }
        let bytes = to_u64(path.as_relative_bytes().len().saturating_add(size_of::<Wanted>()));
        match self.room.checked_sub(bytes) {
            Some(room) if to_u64(self.found.len()) < self.most => {
                self.room = room;
                self.found.push(Wanted { extractor, path: path.clone(), node, is_program });
            }
            _ => self.is_full = true,
        }
        true
    }

    /// Looks at mode and size of the files that may be executable.
    fn look_at_candidates(&mut self) {
        let candidates = std::mem::take(&mut self.candidates);
        let nodes: Vec<_> = candidates.iter().map(|(_, node)| *node).collect();
        self.tree.prefetch_inodes(&nodes);
        for (path, node) in candidates {
            match self.tree.stat(node) {
                Ok(stat) if stat.mode & 0o111 != 0 => {
                    let wants = |&(least, index): &(u64, usize)| (stat.size >= least).then_some(index);
                    let wanted: Vec<_> = self.interests.executables.iter().filter_map(wants).collect();
                    for index in wanted {
                        self.add(index, &path, node, true);
                    }
                }
                Ok(_) => {}
                Err(error) => self.gathering.push_gap(path.to_string(), None, crate::chain(&error)),
            }
        }
    }

    /// Reports the links that lead nowhere because they lead to each other. What another link leads to is found where it is,
    /// and one whose target is not there records nothing.
    fn look_behind_links(&mut self) {
        let links = std::mem::take(&mut self.links);
        let nodes: Vec<_> = links.iter().map(|(_, _, node)| *node).collect();
        self.tree.prefetch_inodes(&nodes);
        for (index, path, _) in links {
            if let (Err(error), Some(extractor)) = (self.tree.lookup(&path), self.extractors.get(index)) {
                self.gathering.gap(*extractor, &path, &error);
            }
        }
    }

    /// A link with the name of a file that an extractor wants is kept.
    fn link(&mut self, found: &Found<'_>) {
        if self.interests.by_name(found.name()).next().is_none() {
            return;
        }
        let path = found.path();
        let wants =
            |&index: &usize| self.extractors.get(index).is_some_and(|extractor| extractor.wants(&path));
        if let Some(index) = self.interests.by_name(found.name()).find(wants) {
            self.links.push((index, path, found.node()));
        }
        if self.links.len() >= CANDIDATES {
            self.look_behind_links();
        }
    }
}

impl Visitor for Search<'_, '_> {
    fn found(&mut self, found: &Found<'_>) -> Next {
        match found.file_type() {
            FileType::Directory => {
                let is_left_out = |name: &str| {
                    let last = name.rsplit('/').next().unwrap_or_default();
                    last.as_bytes() == found.name() && found.path() == FsPath::new(name)
                };
                return if self.layers.contains(&found.node())
                    || NOT_SEARCHED.iter().any(|name| is_left_out(name))
                {
                    Next::Skip
                } else {
                    Next::Enter
                };
            }
            FileType::Regular => {}
            FileType::Symlink => {
                self.link(found);
                return Next::Skip;
            }
            _ => return Next::Skip,
        }
        let named: Vec<_> = self.interests.by_name(found.name()).collect();
        let mut is_wanted = false;
        if !named.is_empty() {
            let path = found.path();
            for index in named {
                is_wanted |= self.add(index, &path, found.node(), false);
            }
        }
        // A program may be called like a record that it is not, such as `metadata`.
        if !is_wanted && !self.interests.executables.is_empty() {
            self.candidates.push((found.path(), found.node()));
            if self.candidates.len() >= CANDIDATES {
                self.look_at_candidates();
            }
        }
        Next::Enter
    }

    fn unread(&mut self, path: FsPath, error: FsError) {
        self.gathering.push_gap(path.to_string(), None, crate::chain(&error));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::rc::Rc;

    use agentless_core::fs::Directory;

    use super::*;
    use crate::extract::report::Room;
    use crate::extract::{ExtractError, Input, Report};
    use crate::limits::Limits;

    /// Wants the files with this interest, and only those below a directory.
    #[derive(Debug)]
    struct Below(&'static [Interest], &'static str);

    impl Extractor for Below {
        fn name(&self) -> &'static str {
            "lang/below"
        }

        fn description(&self) -> &'static str {
            "files below a directory"
        }

        fn interest(&self) -> &'static [Interest] {
            self.0
        }

        fn wants(&self, path: &FsPath) -> bool {
            path.starts_with(&FsPath::new(self.1))
        }

        fn extract(&self, _: &Input<'_>, _: &mut Report<'_>) -> Result<(), ExtractError> {
            Ok(())
        }
    }

    #[test]
    fn a_program_with_the_name_of_a_record_is_a_program_unless_it_is_read_as_the_record() {
        let root = tempfile::tempdir().unwrap();
        for path in ["bin", "record"].map(|folder| root.path().join(folder)) {
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("x-metadata"), "x").unwrap();
            let executable = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(path.join("x-metadata"), executable).unwrap();
        }
        let limits = Limits::default();
        let tree = Tree::new(Rc::new(Directory::open(root.path(), &limits).unwrap()), limits.clone());
        let records = Below(&[Interest::Suffix("metadata")], "/record");
        let programs = Below(&[Interest::Executable { least: 1 }], "/");
        let mut gathering = Gathering::within(Room::new(&limits), &limits);
        let found = walked(&tree, &[&records, &programs], &HashSet::new(), &mut gathering);
        let found: Vec<_> = found
            .iter()
            .map(|wanted| (wanted.extractor, wanted.path.to_string(), wanted.is_program))
            .collect();
        let expected = [(0, "/record/x-metadata".to_owned(), false), (1, "/bin/x-metadata".to_owned(), true)];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_link_that_leads_to_itself_is_reported_once_and_others_are_passed_over() {
        use std::os::unix::fs::symlink;

        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("file"), "x").unwrap();
        for (folder, target) in [
            ("itself", "RECORD"),
            ("one", "../two/RECORD"),
            ("two", "/one/RECORD"),
            ("good", "../file"),
            ("broken", "../none"),
        ] {
            let folder = root.path().join(folder);
            std::fs::create_dir(&folder).unwrap();
            symlink(target, folder.join("RECORD")).unwrap();
            // Nobody wants this one.
            symlink("other", folder.join("other")).unwrap();
        }
        let limits = Limits::default();
        let tree = Tree::new(Rc::new(Directory::open(root.path(), &limits).unwrap()), limits.clone());
        let (all, none) =
            (Below(&[Interest::Name("RECORD")], "/"), Below(&[Interest::Name("RECORD")], "/none"));
        let mut gathering = Gathering::within(Room::new(&limits), &limits);
        assert_eq!(walked(&tree, &[&none, &all, &all], &HashSet::new(), &mut gathering), []);
        let gaps = gathering.finish().gaps;
        let paths: Vec<_> = gaps.iter().map(|gap| gap.path.as_deref().unwrap()).collect();
        assert_eq!(paths, ["/itself/RECORD", "/one/RECORD", "/two/RECORD"]);
        assert!(gaps.iter().all(|gap| gap.reason.contains("(`symlinks`)")), "{gaps:?}");
    }

    #[test]
    fn a_name_is_compared_by_its_end_without_case() {
        for (name, expected) in [(&b"a.JAR"[..], &b".jar"[..]), (b"x.deps.json", b".json"), (b"none", b"")] {
            assert_eq!(extension(name), expected);
        }
    }

    #[test]
    fn paths_of_files_that_are_wanted_have_bounded_memory() {
        use std::rc::Rc;

        use agentless_core::fs::Directory;
        use agentless_core::limits::Limits;

        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("f".repeat(200));
        std::fs::create_dir(&folder).unwrap();
        for number in 0..100 {
            std::fs::write(folder.join(format!("{number}.jar")), "no archive").unwrap();
        }
        let limits = Limits { walk_bytes: 5000, ..Limits::default() };
        let tree = Tree::new(Rc::new(Directory::open(root.path(), &limits).unwrap()), limits);
        let findings = crate::extract::run(&tree);
        let full = findings.gaps.iter().filter(|gap| gap.reason.contains("(`wanted_files`, `walk_bytes`)"));
        assert_eq!(full.count(), 1, "{:?}", findings.gaps);
        assert!(findings.gaps.len() > 5 && findings.gaps.len() < 50, "{}", findings.gaps.len());
    }
}
