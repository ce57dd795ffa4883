//! Docker: `containers/ID/config.v2.json` below its data root, and the layers where its storage driver has them.

use std::collections::HashMap;

use serde_json::Value;

use super::reader::{Reader, at, few, is_plain, platform, text, texts};
use super::{Layers, Recorded, Store, Stores, containerd, graph};
use crate::fs::FsPath;
use crate::report::Container;

/// The data root that the daemon's configuration names.
pub(super) fn configured(reader: &mut Reader<'_>) -> Option<FsPath> {
    let configuration = reader.json(&FsPath::new("/etc/docker/daemon.json"))?;
    // `graph` is its name in old configurations.
    let root = text(at(&configuration, "data-root")).or_else(|| text(at(&configuration, "graph")));
    root.map(FsPath::new)
}

/// The folders of its storage drivers, and of the containerd that it may have started itself.
pub(super) fn folders(reader: &mut Reader<'_>, root: &FsPath) -> Vec<FsPath> {
    const DRIVERS: &[&str] = &[
        "aufs",
        "btrfs/subvolumes",
        "devicemapper",
        "fuse-overlayfs",
        "overlay",
        "overlay2",
        "vfs/dir",
        "zfs/graph",
    ];

    let mut folders: Vec<_> = DRIVERS.iter().map(|driver| root.join(driver)).collect();
    folders.extend(containerd::folders(reader, &own_containerd(root)));
    folders
}

/// Where the containerd has its state that Docker starts where no other runs.
fn own_containerd(root: &FsPath) -> FsPath {
    root.join("containerd/daemon")
}

/// The containers of one data root.
pub(super) fn read(
    reader: &mut Reader<'_>,
    stores: &Stores,
    store: &Store,
    room: usize,
    found: &mut Vec<Recorded>,
) {
    let mut images = Images { root: &store.root, repositories: HashMap::new(), known: HashMap::new() };
    let folder = store.root.join("containers");
    for id in reader.names(&folder) {
        if found.len() >= room {
            return;
        }
        let path = folder.join(&id).join("config.v2.json");
        let gaps = reader.gaps.len();
        let Some(config) = reader.json(&path) else {
            if reader.gaps.len() == gaps {
                reader.gap(&path, "a container without its configuration");
            }
            continue;
        };
        let Some(id) = text(at(&config, "ID")).filter(|id| is_plain(id)) else {
            reader.gap(&path, "a container without an id");
            continue;
        };
        let driver = text(at(&config, "Driver")).unwrap_or_default();
        let container = container(reader, &mut images, &id, &driver, &config);
        match layers(reader, stores, store, &id, &driver) {
            Ok((layers, problems)) => {
                found.push(Recorded { container, layers, attributes: store.attributes, problems });
            }
            Err(reason) => reader.gap(&path, format!("{} was not read: {reason}", container.title())),
        }
    }
}

/// The directories of a container's root.
fn layers(
    reader: &mut Reader<'_>,
    stores: &Stores,
    store: &Store,
    id: &str,
    driver: &str,
) -> Result<Layers, String> {
    if !is_plain(driver) {
        return Err("its storage driver is not known".to_owned());
    }
    let mount = store.root.join("image").join(driver).join("layerdb/mounts").join(id).join("mount-id");
    let mount = reader.text(&mount).filter(|mount| is_plain(mount));
    let missing = || "its files are missing".to_owned();
    match (driver, mount) {
        ("overlay2", Some(mount)) => {
            graph::layers(reader, &store.root.join("overlay2"), &mount).ok_or_else(missing)
        }
        ("vfs", Some(mount)) => {
            let directory = store.root.join("vfs/dir").join(&mount);
            reader.directory(&directory).ok_or_else(missing)?;
            Ok((vec![directory], Vec::new()))
        }
        ("overlay2" | "vfs", None) => Err("no layer is recorded as its own".to_owned()),
        (_, Some(_)) => Err(format!("this version does not read Docker's storage driver {driver}")),
        // With images in containerd, the driver is one of its snapshotters and the container's id the snapshot's key.
        (snapshotter, None) => {
            let own = own_containerd(&store.root);
            let mut reason = "its snapshot is in no containerd of this host".to_owned();
            for root in stores.containerd().chain([&own]) {
                match containerd::snapshot(reader, root, "moby", snapshotter, id) {
                    Ok(Some(layers)) => return Ok(layers),
                    Ok(None) => {}
                    Err(error) => reason = error,
                }
            }
            Err(reason)
        }
    }
}

fn container(
    reader: &mut Reader<'_>,
    images: &mut Images<'_>,
    id: &str,
    driver: &str,
    config: &Value,
) -> Container {
    let image_id = text(at(config, "Image")).unwrap_or_default();
    let name = text(at(config, "Config.Image"));
    let Image { platform: of_image, layers } = images.get(reader, driver, &image_id);
    let references = images.references(reader, driver, &image_id);
    // Where images are in containerd, the manifest is recorded with the container. Where they are not, the repository that
    // the image came from knows its digest; one that was built here has only that of its configuration.
    let manifest = at(config, "ImageManifest");
    let digest = text(at(manifest, "digest"))
        .or_else(|| references.iter().find_map(|reference| Some(reference.split_once('@')?.1.to_owned())))
        .or_else(|| Some(image_id).filter(|id| !id.is_empty()));
    let tags = few(references.into_iter().filter(|tag| !tag.contains('@') && Some(tag) != name.as_ref()));
    Container {
        engine: "docker".to_owned(),
        id: id.to_owned(),
        name: text(at(config, "Name")).map(|name| name.trim_start_matches('/').to_owned()),
        image: name,
        digest,
        tags,
        platform: of_image.or_else(|| platform(at(manifest, "platform"))),
        state: state(at(config, "State")),
        layers,
    }
}

/// The state as `docker ps` calls it: `StateString` in the engine's `daemon/container/state.go`.
fn state(state: &Value) -> Option<String> {
    let is = |name: &str| at(state, name).as_bool().unwrap_or_default();
    state.as_object()?;
    let name = if is("Running") {
        match (is("Paused"), is("Restarting")) {
            (true, _) => "paused",
            (_, true) => "restarting",
            _ => "running",
        }
    } else if is("RemovalInProgress") {
        "removing"
    } else if is("Dead") {
        "dead"
    } else if at(state, "StartedAt").as_str().is_none_or(|time| time.starts_with("0001-")) {
        // The zero of Go's times.
        "created"
    } else {
        "exited"
    };
    Some(name.to_owned())
}

/// The images of one data root, each read once.
struct Images<'a> {
    root: &'a FsPath,
    /// By storage driver, the names of each image by its id.
    repositories: HashMap<String, HashMap<String, Vec<String>>>,
    known: HashMap<String, Image>,
}

#[derive(Clone, Default)]
struct Image {
    platform: Option<String>,
    layers: Vec<String>,
}

impl Images<'_> {
    fn get(&mut self, reader: &mut Reader<'_>, driver: &str, id: &str) -> Image {
        if let Some(known) = self.known.get(id) {
            return known.clone();
        }
        let file = id.strip_prefix("sha256:").filter(|hash| is_plain(hash) && is_plain(driver));
        let path = |hash| self.root.join("image").join(driver).join("imagedb/content/sha256").join(hash);
        let config: Option<Value> = file.and_then(|hash| reader.json(&path(hash)));
        let image = config.map(|config| Image {
            platform: platform(&config),
            layers: texts(at(&config, "rootfs.diff_ids")),
        });
        let image = image.unwrap_or_default();
        self.known.insert(id.to_owned(), image.clone());
        image
    }

    /// The names of an image: `name:tag`, and `name@digest` where it was fetched.
    fn references(&mut self, reader: &mut Reader<'_>, driver: &str, id: &str) -> Vec<String> {
        if !self.repositories.contains_key(driver) {
            let mut names: HashMap<String, Vec<String>> = HashMap::new();
            let path = self.root.join("image").join(driver).join("repositories.json");
            let file = is_plain(driver).then(|| reader.json(&path)).flatten().unwrap_or_default();
            let repositories = at(&file, "Repositories").as_object().into_iter().flat_map(|all| all.values());
            for (reference, id) in repositories.filter_map(Value::as_object).flatten() {
                names.entry(text(id).unwrap_or_default()).or_default().push(reference.clone());
            }
            self.repositories.insert(driver.to_owned(), names);
        }
        self.repositories.get(driver).and_then(|names| names.get(id)).cloned().unwrap_or_default()
    }
}
