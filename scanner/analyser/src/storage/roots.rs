//! Which directories are the roots of systems.
//!
//! A root has `/etc/os-release` or `/usr/lib/os-release`; or `/etc/fstab` beside `/usr`, whose os-release is then on
//! another volume. It is looked for in a filesystem's own root, in its subvolumes, and where ostree keeps its deployments.

use std::rc::Rc;

use crate::fs::fstab::Fstab;
use crate::fs::{FileSystem, FileType, FsError, FsPath, Inode, Subvolume, Tree};
use crate::limits::Limits;

/// A directory that is the root of a system.
#[derive(Clone, Debug)]
pub(super) struct Root {
    /// The filesystem, by its index.
    pub(super) filesystem: usize,
    /// The directory.
    pub(super) inode: Inode,
    /// Its path in the filesystem, where it is not the filesystem's own root.
    pub(super) part: Option<String>,
    /// What is seen at `/var`, for a deployment of ostree: the directory's path in the filesystem, and its inode.
    pub(super) var: Option<(String, Inode)>,
}

/// Subvolumes of one filesystem that are looked at, those nearest to the top first. Container engines make thousands.
const SUBVOLUMES: usize = 64;
/// Deployments of ostree that are looked at. It keeps two, and those that were pinned.
const DEPLOYMENTS: usize = 8;

/// The systems of one filesystem, and what could not be looked at.
pub(super) fn find(
    filesystem: usize,
    opened: &Rc<dyn FileSystem>,
    limits: &Limits,
) -> (Vec<Root>, Vec<String>) {
    let mut problems = Vec::new();
    let own = Root { filesystem, inode: opened.root(), part: None, var: None };
    if is_system(opened, own.inode, limits) {
        return (vec![own], problems);
    }
    let mut roots = subvolumes(filesystem, opened, limits, &mut problems);
    if roots.is_empty() {
        roots = deployments(filesystem, opened, limits).unwrap_or_default();
    }
    (roots, problems)
}

/// Whether a directory is the root of a system. What cannot be read is none: reading what is in it will say so.
fn is_system(opened: &Rc<dyn FileSystem>, inode: Inode, limits: &Limits) -> bool {
    let tree = Tree::with_root(Rc::clone(opened), inode, limits.clone());
    has_release(&tree)
        || (is(&tree, "/etc/fstab", FileType::Regular) && is(&tree, "/usr", FileType::Directory))
}

/// Whether a tree says which system it is.
pub(super) fn has_release(tree: &Tree) -> bool {
    ["/etc/os-release", "/usr/lib/os-release"].iter().any(|path| is(tree, path, FileType::Regular))
}

/// Whether a tree is what others mount at `/usr`.
pub(super) fn is_usr(tree: &Tree) -> bool {
    is(tree, "/lib/os-release", FileType::Regular) && is(tree, "/bin", FileType::Directory)
}

/// Whether a tree can be the root of a system that has its `/usr` elsewhere, and says nothing of it.
pub(super) fn wants_usr(tree: &Tree) -> bool {
    is(tree, "/etc", FileType::Directory) && is(tree, "/usr", FileType::Directory) && !has_release(tree)
}

fn is(tree: &Tree, path: &str, file_type: FileType) -> bool {
    matches!(tree.lookup(&FsPath::new(path)), Ok(Some((_, stat))) if stat.file_type == file_type)
}

fn subvolumes(
    filesystem: usize,
    opened: &Rc<dyn FileSystem>,
    limits: &Limits,
    problems: &mut Vec<String>,
) -> Vec<Root> {
    let mut subvolumes = match opened.subvolumes() {
        Ok(subvolumes) => {
            let describe =
                |(id, error): &(u64, FsError)| format!("its subvolume {id}: {}", crate::chain(error));
            problems.extend(subvolumes.problems.iter().map(describe));
            subvolumes.found
        }
        Err(error) => {
            problems.push(format!("its subvolumes: {}", crate::chain(&error)));
            return Vec::new();
        }
    };
    // A snapshot that replaced its original, as a rollback makes it, has its place at the top. Backups are deeper, and so
    // are the layers of containers.
    let is_backup = |subvolume: &Subvolume| subvolume.is_snapshot && subvolume.path.contains(&b'/');
    subvolumes.retain(|subvolume| !is_backup(subvolume) && !subvolume.is_default);
    let depth = |subvolume: &Subvolume| subvolume.path.split(|&byte| byte == b'/').count();
    let order = |subvolume: &Subvolume| (depth(subvolume), subvolume.is_snapshot);
    subvolumes.sort_by(|a, b| (order(a), &a.path).cmp(&(order(b), &b.path)));
    if subvolumes.len() > SUBVOLUMES {
        problems.push(format!(
            "of its {} subvolumes only {SUBVOLUMES} were searched for systems",
            subvolumes.len()
        ));
    }
    let mut roots: Vec<(FsPath, Root)> = Vec::new();
    let mut snapshots = Vec::new();
    for subvolume in subvolumes.into_iter().take(SUBVOLUMES) {
        let path = FsPath::new(&subvolume.path);
        // What is in a system belongs to it: the root of a container, for one.
        let is_inside = roots.iter().any(|(system, _)| path.starts_with(system));
        if !is_inside && is_system(opened, subvolume.root, limits) {
            let part = Some(path.to_string());
            let root = Root { filesystem, inode: subvolume.root, part, var: None };
            if subvolume.is_snapshot && !mounts_itself(opened, &subvolume, limits) {
                snapshots.push((path, root));
            } else {
                roots.push((path, root));
            }
        }
    }
    if roots.is_empty() {
        roots = snapshots;
    }
    roots.into_iter().map(|(_, root)| root).collect()
}

/// Whether the system in a subvolume has that subvolume as its root, and is no copy of one that has another.
fn mounts_itself(opened: &Rc<dyn FileSystem>, subvolume: &Subvolume, limits: &Limits) -> bool {
    let tree = Tree::with_root(Rc::clone(opened), subvolume.root, limits.clone());
    Fstab::read(&tree).root().is_some_and(|root| match root.options.subvolume() {
        Some(path) => path == subvolume.path,
        None => root.options.subvolume_id() == Some(subvolume.id),
    })
}

/// What ostree has deployed: `/ostree/deploy/<name>/deploy/<checksum>.<serial>` each, with one `/var` for all of a name.
fn deployments(
    filesystem: usize,
    opened: &Rc<dyn FileSystem>,
    limits: &Limits,
) -> Result<Vec<Root>, FsError> {
    let tree = Tree::new(Rc::clone(opened), limits.clone());
    let all = FsPath::new("/ostree/deploy");
    let mut roots = Vec::new();
    for name in tree.read_dir(&all)?.unwrap_or_default() {
        let system = all.join(&name.name);
        let var = directory(&tree, &system.join("var"))?.map(|inode| (system.join("var").to_string(), inode));
        let deployments = system.join("deploy");
        let Ok(Some(entries)) = tree.read_dir(&deployments) else { continue };
        for entry in entries {
            let path = deployments.join(&entry.name);
            let Some(inode) = directory(&tree, &path)? else { continue };
            if roots.len() < DEPLOYMENTS && is_system(opened, inode, limits) {
                roots.push(Root { filesystem, inode, part: Some(path.to_string()), var: var.clone() });
            }
        }
    }
    Ok(roots)
}

fn directory(tree: &Tree, path: &FsPath) -> Result<Option<Inode>, FsError> {
    let found = tree.lookup(path)?.filter(|(_, stat)| stat.file_type == FileType::Directory);
    Ok(found.map(|(node, _)| tree.place(node).1))
}
