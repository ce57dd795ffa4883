//! Containers on a host: what engines record of them, and which directories their files are made of.
//!
//! Nothing runs and nothing is asked: an engine's store is files on a disk. A damaged store costs what it costs: what
//! cannot be read is a gap with its path, and the other containers go on.

#![warn(clippy::arithmetic_side_effects)]

mod containerd;
mod docker;
mod graph;
mod reader;
mod storage;

use std::collections::HashSet;

use agentless_core::findings::Gap;

use crate::fs::overlay::Attributes;
use crate::fs::{FsPath, Node, Tree};
use crate::report::Container;
use crate::volume::bytes::to_usize;
use reader::Reader;

/// A container, and where its files are.
#[derive(Debug)]
pub struct Recorded {
    /// What its engine records of it.
    pub container: Container,
    /// The directories that its root is made of, the upper one first. Never empty.
    pub layers: Vec<FsPath>,
    /// How these say what they hide.
    pub attributes: Attributes,
    /// What of it could not be read: packages may be missing, or too many.
    pub problems: Vec<Gap>,
}

/// The directories of a container, the upper one first, and what is missing of them.
type Layers = (Vec<FsPath>, Vec<Gap>);

/// A folder in which an engine keeps containers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Store {
    engine: Engine,
    root: FsPath,
    attributes: Attributes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    Docker,
    Containerd,
    /// The storage that podman and CRI-O share (`containers/storage`).
    Storage,
}

/// The stores of a host.
#[derive(Debug)]
pub struct Stores {
    stores: Vec<Store>,
    problems: Vec<Gap>,
}

impl Stores {
    /// Looks where engines have their stores: at the places of their packages, where their configuration says, and in the
    /// homes of users who run containers without root.
    pub fn find(tree: &Tree) -> Self {
        let mut reader = Reader::new(tree);
        let mut stores: Vec<Store> = Vec::new();
        let mut seen = HashSet::new();
        let docker = [docker::configured(&mut reader), Some(FsPath::new("/var/lib/docker"))];
        let containerd = [containerd::configured(&mut reader)];
        let containerd = containerd.into_iter().flatten().chain(CONTAINERD.iter().map(FsPath::new));
        let storage = [storage::configured(&mut reader), Some(FsPath::new("/var/lib/containers/storage"))];
        let of = |engine, attributes| move |root: FsPath| Store { engine, root, attributes };
        let candidates = docker
            .into_iter()
            .flatten()
            .chain(Some(FsPath::new("/var/snap/docker/common/var-lib-docker")))
            .map(of(Engine::Docker, Attributes::Trusted))
            .chain(containerd.map(of(Engine::Containerd, Attributes::Trusted)))
            .chain(storage.into_iter().flatten().map(of(Engine::Storage, Attributes::Trusted)));
        let home = FsPath::new("/home");
        let users: Vec<_> = reader
            .names(&home)
            .into_iter()
            .flat_map(|user| {
                let share = home.join(user).join(".local/share");
                let docker = of(Engine::Docker, Attributes::User)(share.join("docker"));
                [docker, of(Engine::Storage, Attributes::User)(share.join("containers/storage"))]
            })
            .collect();
        // A volume of an engine's own, that no table mounts anywhere: its root is the store.
        let root = FsPath::root();
        let alone = ROOTS.iter().filter_map(|(marker, engine)| {
            reader.tree.lookup(&root.join(marker)).ok()??;
            Some(of(*engine, Attributes::Trusted)(root.clone()))
        });
        let alone: Vec<_> = alone.collect();
        for store in candidates.chain(users).chain(alone) {
            // The same folder may have several paths.
            let Some(node) = reader.directory(&store.root) else { continue };
            if stores.len() >= MOST_STORES {
                reader.gap(
                    &store.root,
                    format!("it may hold containers, and {MOST_STORES} such folders were found before"),
                );
                break;
            }
            if seen.insert(node) {
                stores.push(store);
            }
        }
        Self { stores, problems: reader.finish() }
    }

    /// The folders that hold the layers of images and containers: not files of the host.
    pub fn layers(&self, tree: &Tree) -> HashSet<Node> {
        let mut reader = Reader::new(tree);
        let mut folders = Vec::new();
        for Store { engine, root, .. } in &self.stores {
            folders.extend(match engine {
                Engine::Docker => docker::folders(&mut reader, root),
                Engine::Containerd => containerd::folders(&mut reader, root),
                Engine::Storage => storage::folders(root),
            });
        }
        folders.iter().filter_map(|folder| reader.directory(folder)).collect()
    }

    /// The containers of all stores, at most so many, and what could not be read.
    pub fn containers(&self, tree: &Tree, most: u32) -> (Vec<Recorded>, Vec<Gap>) {
        let mut reader = Reader::new(tree);
        let most = to_usize(most);
        let mut found = Vec::new();
        // Beyond the limit one is enough to know that there are more.
        let room = most.saturating_add(1);
        for store in &self.stores {
            match store.engine {
                Engine::Docker => docker::read(&mut reader, self, store, room, &mut found),
                Engine::Containerd => containerd::read(&mut reader, store, room, &mut found),
                Engine::Storage => storage::read(&mut reader, store, room, &mut found),
            }
        }
        if found.len() > most {
            found.truncate(most);
            let limit = tree.limits().containers;
            let reason = format!(
                "the target has more than {limit} containers, the limit (`containers`): the others were not read"
            );
            reader.gaps.push(Gap::new(None, None, reason));
        }
        let mut gaps = self.problems.clone();
        gaps.extend(reader.finish());
        (found, gaps)
    }

    /// The folders of containerd, for Docker's containers that are in one of them.
    fn containerd(&self) -> impl Iterator<Item = &FsPath> {
        let stores = self.stores.iter().filter(|store| store.engine == Engine::Containerd);
        stores.map(|store| &store.root)
    }
}

/// Stores of one host, those of its users included. Against a disk of a million homes.
const MOST_STORES: usize = 256;

/// What is in the root of a store and in no system's.
const ROOTS: [(&str, Engine); 3] = [
    ("image/overlay2/layerdb", Engine::Docker),
    ("io.containerd.metadata.v1.bolt", Engine::Containerd),
    ("overlay-containers", Engine::Storage),
];

/// Where containerd keeps its state: its own default, and that of the distributions of Kubernetes that bring one.
const CONTAINERD: &[&str] = &[
    "/var/lib/containerd",
    "/var/lib/rancher/k3s/agent/containerd",
    "/var/lib/rancher/rke2/agent/containerd",
    "/var/snap/microk8s/common/var/lib/containerd",
];
