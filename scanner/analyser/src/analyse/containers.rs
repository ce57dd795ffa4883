//! The containers of a host, each as a tree of its own behind that of the host.

use std::cell::RefCell;
use std::rc::Rc;

use agentless_core::task::Scope;

use super::{extract_all, failed, places};
use crate::chain;
use crate::contain::contained;
use crate::container::{Recorded, Stores};
use crate::extract::{Around, Gap, Memory, Room, Shared};
use crate::fs::overlay::{Attributes, Layers, Overlay};
use crate::fs::{FileSystem, FsError, FsPath, Tree};
use crate::limits::Limits;
use crate::report::{MountReport, TreeReport};
use crate::storage::Storage;

/// What is known of the containers of a target: whatever several of them share is read once.
pub(super) struct Containers<'a> {
    storage: &'a Storage,
    scope: Scope,
    limits: &'a Limits,
    /// How many more may be read.
    left: u32,
    /// Those of the system, and those of its users.
    trusted: Known,
    of_users: Known,
}

/// Directories that were listed, and files that were read.
struct Known {
    layers: Rc<Layers>,
    memory: Rc<RefCell<Memory>>,
}

impl Known {
    fn new(attributes: Attributes, limits: &Limits) -> Self {
        Self {
            layers: Rc::new(Layers::new(attributes, limits)),
            memory: Rc::new(RefCell::new(Memory::new(limits))),
        }
    }
}

impl<'a> Containers<'a> {
    pub(super) fn new(storage: &'a Storage, scope: Scope, limits: &'a Limits) -> Self {
        Self {
            storage,
            scope,
            limits,
            left: limits.containers,
            trusted: Known::new(Attributes::Trusted, limits),
            of_users: Known::new(Attributes::User, limits),
        }
    }

    /// The trees of the containers of one host. What of its stores could not be read is added to `gaps`.
    pub(super) fn of(
        &mut self,
        stores: &Stores,
        (host, tree): (&TreeReport, &Tree),
        room: &mut Room,
        gaps: &mut Vec<Gap>,
    ) -> Vec<TreeReport> {
        if !self.scope.containers {
            return Vec::new();
        }
        let read = contained(|| stores.containers(tree, self.left));
        let (recorded, problems) = read.unwrap_or_else(|error| (Vec::new(), failed(error).gaps));
        gaps.extend(problems);
        self.left = self.left.saturating_sub(u32::try_from(recorded.len()).unwrap_or(u32::MAX));
        let mut trees = Vec::new();
        for container in recorded {
            let title = container.container.title();
            let span = tracing::debug_span!("container", title);
            let _entered = span.enter();
            let path = container.layers.first().map(ToString::to_string);
            let read = contained(|| self.tree(container, (host, tree), room));
            let reason = match read {
                Ok(Ok(read)) => {
                    trees.push(read);
                    continue;
                }
                Ok(Err(error)) => chain(&error),
                Err(error) => chain(&error),
            };
            gaps.push(Gap::new(path, None, format!("{title} was not read: {reason}")));
        }
        trees
    }

    /// The tree of one container.
    fn tree(
        &self,
        recorded: Recorded,
        (host, tree): (&TreeReport, &Tree),
        room: &mut Room,
    ) -> Result<TreeReport, FsError> {
        let Recorded { container, layers, attributes, problems } = recorded;
        let mut directories = Vec::new();
        for layer in &layers {
            let missing = FsError::Invalid { problem: "a layer that does not exist" };
            let (node, _) = tree.lookup(layer)?.ok_or(missing)?;
            let (file_system, inode) = tree.place(node);
            directories.push((Rc::clone(file_system), inode));
        }
        let known = match attributes {
            Attributes::Trusted => &self.trusted,
            Attributes::User => &self.of_users,
        };
        let overlay = Rc::new(Overlay::open(&directories, &known.layers, self.limits)?);
        let upper = directories.first().and_then(|(file_system, _)| self.storage.filesystem_of(file_system));
        let filesystem = upper.unwrap_or_else(|| host.root());
        let shown: Rc<dyn FileSystem> = Rc::<Overlay>::clone(&overlay);
        let own = Tree::new(shown, self.limits.clone());
        let around = Around { shared: Some(Shared::new(&overlay, &known.memory)), ..Around::default() };
        let mut findings = extract_all(&own, self.scope, room, around);
        findings.gaps.extend(problems);
        let held_by = places(&findings, filesystem, |path| {
            let (node, _) = own.lookup(&FsPath::new(path)).ok()??;
            let (origin, _) = overlay.origin(own.place(node).1).ok()?;
            self.storage.filesystem_of(&origin)
        });
        tracing::debug!(packages = findings.packages.len(), "read");
        let part = layers.first().map(|upper| part(host, filesystem, upper));
        let mount = MountReport { path: "/".to_owned(), filesystem, part, assumed: None };
        let container = Some(container);
        Ok(TreeReport { container, mounts: vec![mount], findings, held_by, ..TreeReport::default() })
    }
}

/// The path of a directory from the root of its filesystem, as far as that can be told from its path on the host.
fn part(host: &TreeReport, filesystem: usize, path: &FsPath) -> String {
    let mounts = host.mounts.iter().filter(|mount| mount.filesystem == filesystem);
    let point = |mount: &&MountReport| FsPath::new(&mount.path);
    let holding = mounts.filter(|mount| path.starts_with(&point(mount)));
    let Some(mount) = holding.max_by_key(|mount| mount.path.len()) else { return path.to_string() };
    let below = path.components().skip(point(&mount).components().count());
    let start = FsPath::new(mount.part.as_deref().unwrap_or_default());
    below.fold(start, |path, name| path.join(name)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upper_layer_is_named_from_the_root_of_its_filesystem() {
        let mount = |path: &str, filesystem, part: Option<&str>| MountReport {
            path: path.to_owned(),
            filesystem,
            part: part.map(str::to_owned),
            assumed: None,
        };
        let mounts =
            vec![mount("/", 0, Some("/@")), mount("/var", 1, None), mount("/var/lib", 2, Some("/@lib"))];
        let host = TreeReport { mounts, ..TreeReport::default() };
        for (filesystem, path, expected) in [
            (0, "/srv/docker/overlay2/a/diff", "/@/srv/docker/overlay2/a/diff"),
            (1, "/var/engine/a", "/engine/a"),
            (2, "/var/lib/docker/a", "/@lib/docker/a"),
            (3, "/somewhere/else", "/somewhere/else"),
        ] {
            assert_eq!(part(&host, filesystem, &FsPath::new(path)), expected);
        }
    }
}
