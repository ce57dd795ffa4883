//! The storage of podman, CRI-O and Buildah (`containers/storage`): lists of containers, images and layers in JSON beside
//! the folders of a driver.

use std::collections::HashMap;

use serde_json::Value;

use super::reader::{Reader, at, few, gap, is_plain, platform, text, texts};
use super::{Recorded, Store, graph};
use crate::fs::FsPath;
use crate::report::Container;

/// The folder that the configuration names: `graphroot` in its table `storage`.
pub(super) fn configured(reader: &mut Reader<'_>) -> Option<FsPath> {
    let configuration = reader.text(&FsPath::new("/etc/containers/storage.conf"))?;
    let pairs = configuration.lines().filter_map(|line| line.trim().split_once('='));
    let value = pairs.into_iter().find(|(key, _)| key.trim() == "graphroot")?.1.trim();
    let root = value.trim_matches(['"', '\'']);
    (!root.is_empty()).then(|| FsPath::new(root))
}

const DRIVERS: [&str; 5] = ["overlay", "vfs", "btrfs", "zfs", "aufs"];

/// The folders of its drivers.
pub(super) fn folders(root: &FsPath) -> Vec<FsPath> {
    DRIVERS.iter().map(|driver| root.join(driver)).collect()
}

/// The containers of one storage.
pub(super) fn read(reader: &mut Reader<'_>, store: &Store, room: usize, found: &mut Vec<Recorded>) {
    for driver in DRIVERS {
        let folder = store.root.join(format!("{driver}-containers"));
        // Where a program lays the layers over each other, it hides files in ways of its own.
        let program = store.root.join(driver).join(".has-mount-program");
        let is_fuse = reader.text(&program).is_some_and(|text| text == "true");
        let fuse = is_fuse.then(|| {
            gap(
                &program,
                "fuse-overlayfs may hide files that are listed, in ways that this version does not read",
            )
        });
        // CRI-O's own are forgotten when the machine starts again, and have a list of their own.
        for list in ["containers.json", "volatile-containers.json"] {
            let path = folder.join(list);
            let containers = reader.json(&path).unwrap_or_default();
            let mut images = None;
            for entry in containers.as_array().into_iter().flatten() {
                if found.len() >= room {
                    return;
                }
                let images = images.get_or_insert_with(|| Images::read(reader, &store.root, driver));
                let container = container(reader, images, entry);
                let layer = text(at(entry, "layer")).filter(|layer| is_plain(layer)).unwrap_or_default();
                let layers = match driver {
                    "overlay" => graph::layers(reader, &store.root.join(driver), &layer)
                        .ok_or_else(|| "its files are missing".to_owned()),
                    "vfs" => {
                        let directory = store.root.join("vfs/dir").join(&layer);
                        let is_there = !layer.is_empty() && reader.directory(&directory).is_some();
                        let layers = (vec![directory], Vec::new());
                        is_there.then_some(layers).ok_or_else(|| "its files are missing".to_owned())
                    }
                    _ => Err(format!("this version does not read the storage driver {driver}")),
                };
                match layers {
                    Ok((layers, mut problems)) => {
                        problems.extend(fuse.clone());
                        found.push(Recorded { container, layers, attributes: store.attributes, problems });
                    }
                    Err(reason) => reader.gap(&path, format!("{} was not read: {reason}", container.title())),
                }
            }
        }
    }
}

fn container(reader: &mut Reader<'_>, images: &Images, entry: &Value) -> Container {
    // Whoever made the container wrote a JSON text into the list's JSON.
    let metadata = at(entry, "metadata").as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let metadata = metadata.unwrap_or_default();
    let is_of_pod = text(at(&metadata, "pod-id")).is_some();
    let image = images.by_id.get(at(entry, "image").as_str().unwrap_or_default());
    let name = text(at(&metadata, "image-name"));
    let tags = image.map(|image| image.names.clone()).unwrap_or_default();
    let platform = image.and_then(|image| image.platform(reader));
    Container {
        engine: if is_of_pod { "cri-o" } else { "podman" }.to_owned(),
        id: text(at(entry, "id")).unwrap_or_default(),
        name: texts(at(entry, "names")).into_iter().next(),
        digest: image.and_then(|image| image.digest.clone()),
        platform,
        // Which run is in another database, and in /run.
        state: None,
        layers: image.map(|image| images.layers(image)).unwrap_or_default(),
        tags: few(tags.into_iter().filter(|tag| Some(tag) != name.as_ref())),
        image: name,
    }
}

/// The images and layers of one storage.
struct Images {
    by_id: HashMap<String, Image>,
    /// The digest of each layer, and the layer below.
    layers: HashMap<String, (Option<String>, Option<String>)>,
}

struct Image {
    folder: FsPath,
    names: Vec<String>,
    digest: Option<String>,
    top: Option<String>,
}

impl Images {
    fn read(reader: &mut Reader<'_>, root: &FsPath, driver: &str) -> Self {
        let folder = root.join(format!("{driver}-images"));
        let list = reader.json(&folder.join("images.json")).unwrap_or_default();
        let by_id = list.as_array().into_iter().flatten().filter_map(|image| {
            let id = text(at(image, "id"))?;
            let found = Image {
                folder: folder.join(&id),
                names: texts(at(image, "names")),
                digest: text(at(image, "digest")),
                top: text(at(image, "layer")),
            };
            is_plain(&id).then_some((id, found))
        });
        let by_id = by_id.collect();
        let list = reader.json(&root.join(format!("{driver}-layers/layers.json"))).unwrap_or_default();
        let layers = list.as_array().into_iter().flatten().filter_map(|layer| {
            Some((text(at(layer, "id"))?, (text(at(layer, "diff-digest")), text(at(layer, "parent")))))
        });
        Self { by_id, layers: layers.collect() }
    }

    /// The digests of an image's layers, the lowest first.
    fn layers(&self, image: &Image) -> Vec<String> {
        let mut found = Vec::new();
        let mut here = image.top.as_ref();
        // No more steps than there are layers: they may form a circle.
        for _ in 0..self.layers.len() {
            let Some((digest, parent)) = here.and_then(|here| self.layers.get(here)) else { break };
            found.extend(digest.clone());
            here = parent.as_ref();
        }
        found.reverse();
        few(found)
    }
}

impl Image {
    /// The platform in its configuration: the file whose name is a digest, `sha256:…` in Base64 behind `=`.
    fn platform(&self, reader: &mut Reader<'_>) -> Option<String> {
        const SHA256: &[u8] = b"=c2hhMjU2O";

        let names = reader.names(&self.folder);
        let mut files = names.iter().filter(|name| name.starts_with(SHA256)).take(1);
        files.find_map(|name| platform(&reader.json(&self.folder.join(name))?))
    }
}
