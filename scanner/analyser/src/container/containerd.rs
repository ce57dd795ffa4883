//! containerd: its containers, images and snapshots in `meta.db`, and the snapshots' parents and directories in the
//! database of their snapshotter. Both are bbolt files; their schemas are in containerd's `core/metadata/buckets.go` and
//! `core/snapshots/storage/bolt.go`.

use std::collections::{BTreeMap, HashMap};

use agentless_core::number::to_u64;
use serde_json::Value;

use super::reader::{MOST_TEXT, Reader, at, few, gap, is_plain, platform, texts};
use super::{Layers, Recorded, Store};
use crate::chain;
use crate::database::bolt::{Bolt, Bucket, Entry};
use crate::fs::{FsError, FsPath};
use crate::report::Container;

/// The root that the configuration names: the key `root` before its first table.
pub(super) fn configured(reader: &mut Reader<'_>) -> Option<FsPath> {
    let configuration = reader.text(&FsPath::new("/etc/containerd/config.toml"))?;
    let lines = configuration.lines().map(str::trim).take_while(|line| !line.starts_with('['));
    let value = lines.filter_map(|line| line.split_once('=')).find(|(key, _)| key.trim() == "root")?.1.trim();
    let quote = value.chars().next().filter(|letter| ['"', '\''].contains(letter))?;
    let (root, _) = value.get(1..)?.split_once(quote)?;
    (!root.is_empty()).then(|| FsPath::new(root))
}

const SNAPSHOTTER: &str = "io.containerd.snapshotter.v1.";

/// The folders of its snapshotters, and the archives that images came in.
pub(super) fn folders(reader: &mut Reader<'_>, root: &FsPath) -> Vec<FsPath> {
    let names = reader.names(root);
    let snapshotters = names.iter().filter(|name| name.starts_with(SNAPSHOTTER.as_bytes()));
    let mut folders: Vec<_> = snapshotters.map(|name| root.join(name)).collect();
    // The roots of those that run are seen there on a machine that runs.
    folders.extend(
        ["io.containerd.content.v1.content", "io.containerd.runtime.v2.task"].map(|name| root.join(name)),
    );
    folders
}

/// A bbolt file of the tree, with what is done with it.
fn open<T>(
    reader: &Reader<'_>,
    path: &FsPath,
    work: impl FnOnce(&Bolt<'_>) -> Result<T, FsError>,
) -> Result<Option<T>, FsError> {
    let Some(file) = reader.tree.open(path)? else { return Ok(None) };
    let read = |offset: u64, dst: &mut [u8]| file.read_at(offset, dst);
    let bolt = Bolt::open(&read, file.size(), reader.tree.limits())?;
    work(&bolt).map(Some)
}

fn metadata(root: &FsPath) -> FsPath {
    root.join("io.containerd.metadata.v1.bolt/meta.db")
}

/// The version of the schema, which everything is in.
const VERSION: &[u8] = b"v1";

/// What `meta.db` records of a container.
#[derive(Debug)]
struct Entries {
    namespace: String,
    id: String,
    image: String,
    snapshotter: String,
    /// The snapshot's name for the snapshotter; none if it has no such snapshot.
    snapshot: Option<String>,
    labels: BTreeMap<String, String>,
}

/// The containers of one root.
pub(super) fn read(reader: &mut Reader<'_>, store: &Store, room: usize, found: &mut Vec<Recorded>) {
    let path = metadata(&store.root);
    let mut containers = Vec::new();
    let mut images: HashMap<String, BTreeMap<String, String>> = HashMap::new();
    let mut gaps = Vec::new();
    let (mut left, mut left_for_namespaces) = (MOST_BYTES, MOST_BYTES);
    let most = room.saturating_sub(found.len());
    let outcome = open(reader, &path, |bolt| {
        let Some(version) = bolt.bucket(&bolt.root(), &[VERSION])? else { return Ok(()) };
        bolt.each(&version, &mut |namespace, entry| {
            let Entry::Bucket(bucket) = entry else { return Ok(true) };
            let namespace = lossy(namespace);
            keep(&mut left_for_namespaces, &[&namespace])?;
            if let Err(error) = namespace_containers(bolt, &bucket, &namespace, most, &mut containers) {
                gaps.push(format!("containers of the namespace {namespace}: {}", chain(&error)));
            }
            let of_namespace = images.entry(namespace.clone()).or_default();
            if let Err(error) = namespace_images(bolt, &bucket, of_namespace, &mut left) {
                gaps.push(format!("images of the namespace {namespace}: {}", chain(&error)));
            }
            Ok(containers.len() < most)
        })
    });
    if let Err(error) = outcome {
        gaps.push(chain(&error));
    }
    for reason in gaps {
        reader.gap(&path, reason);
    }
    let mut known = HashMap::new();
    let mut snapshots = HashMap::new();
    for entries in containers {
        if found.len() >= room {
            return;
        }
        let container = container(reader, &store.root, &entries, &images, &mut known);
        let Entries { namespace, snapshotter, snapshot, .. } = &entries;
        // Docker's containers are here too, by their ids alone where it has their files itself, and it says more of them.
        if namespace == "moby" {
            continue;
        }
        let layers = match snapshot {
            Some(snapshot) => {
                let all = snapshots
                    .entry(snapshotter.clone())
                    .or_insert_with(|| Snapshots::read(reader, &store.root, snapshotter));
                all.as_ref().map_err(Clone::clone).and_then(|all| all.layers(reader, snapshot))
            }
            None => Err("no snapshot is recorded for it".to_owned()),
        };
        match layers {
            Ok((layers, problems)) => {
                found.push(Recorded { container, layers, attributes: store.attributes, problems });
            }
            Err(reason) => reader.gap(&path, format!("{} was not read: {reason}", container.title())),
        }
    }
}

/// The directories of a snapshot that a namespace knows by this key; none if there is no such snapshot.
pub(super) fn snapshot(
    reader: &mut Reader<'_>,
    root: &FsPath,
    namespace: &str,
    snapshotter: &str,
    key: &str,
) -> Result<Option<Layers>, String> {
    let name = open(reader, &metadata(root), |bolt| {
        let Some(bucket) = bolt.bucket(&bolt.root(), &[VERSION, namespace.as_bytes()])? else {
            return Ok(None);
        };
        snapshot_name(bolt, &bucket, snapshotter.as_bytes(), key.as_bytes())
    });
    let Some(name) = name.map_err(|error| chain(&error))?.flatten() else { return Ok(None) };
    Snapshots::read(reader, root, snapshotter)?.layers(reader, &name).map(Some)
}

fn namespace_containers(
    bolt: &Bolt<'_>,
    namespace: &Bucket,
    name: &str,
    most: usize,
    found: &mut Vec<Entries>,
) -> Result<(), FsError> {
    let Some(containers) = bolt.bucket(namespace, &[b"containers"])? else { return Ok(()) };
    bolt.each(&containers, &mut |id, entry| {
        let Entry::Bucket(container) = entry else { return Ok(true) };
        let value = |key: &[u8]| bolt.value(&container, key).map(Option::unwrap_or_default);
        let (snapshotter, key) = (value(b"snapshotter")?, value(b"snapshotKey")?);
        let mut labels = BTreeMap::new();
        if let Some(bucket) = bolt.bucket(&container, &[b"labels"])? {
            bolt.each(&bucket, &mut |label, entry| {
                // Of all labels those that are shown.
                if let Entry::Value(value) = entry
                    && LABELS.iter().any(|wanted| wanted.as_bytes() == label)
                {
                    labels.insert(lossy(label), lossy(&value));
                }
                Ok(true)
            })?;
        }
        found.push(Entries {
            namespace: name.to_owned(),
            id: lossy(id),
            image: lossy(&value(b"image")?),
            snapshot: snapshot_name(bolt, namespace, &snapshotter, &key)?,
            snapshotter: lossy(&snapshotter),
            labels,
        });
        Ok(found.len() < most)
    })
}

fn snapshot_name(
    bolt: &Bolt<'_>,
    namespace: &Bucket,
    snapshotter: &[u8],
    key: &[u8],
) -> Result<Option<String>, FsError> {
    if key.is_empty() {
        return Ok(None);
    }
    let Some(bucket) = bolt.bucket(namespace, &[b"snapshots", snapshotter, key])? else { return Ok(None) };
    Ok(bolt.value(&bucket, b"name")?.map(|name| lossy(&name)))
}

/// The digest of each image by its name.
fn namespace_images(
    bolt: &Bolt<'_>,
    namespace: &Bucket,
    found: &mut BTreeMap<String, String>,
    left: &mut usize,
) -> Result<(), FsError> {
    let Some(images) = bolt.bucket(namespace, &[b"images"])? else { return Ok(()) };
    bolt.each(&images, &mut |name, entry| {
        if let Entry::Bucket(image) = entry
            && let Some(target) = bolt.bucket(&image, &[b"target"])?
            && let Some(digest) = bolt.value(&target, b"digest")?
        {
            let (name, digest) = (lossy(name), lossy(&digest));
            keep(left, &[&name, &digest])?;
            found.insert(name, digest);
        }
        Ok(true)
    })
}

/// What Kubernetes and nerdctl call a container by.
const LABELS: [&str; 5] = [NERDCTL_NAME, CONTAINER_NAME, POD_NAME, POD_NAMESPACE, KIND];
const NERDCTL_NAME: &str = "nerdctl/name";
const CONTAINER_NAME: &str = "io.kubernetes.container.name";
const POD_NAME: &str = "io.kubernetes.pod.name";
const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
const KIND: &str = "io.cri-containerd.kind";

fn container(
    reader: &mut Reader<'_>,
    root: &FsPath,
    entries: &Entries,
    images: &HashMap<String, BTreeMap<String, String>>,
    known: &mut HashMap<String, (Option<String>, Vec<String>)>,
) -> Container {
    let Entries { namespace, id, image, labels, .. } = entries;
    let of_namespace = images.get(namespace);
    let digest = of_namespace.and_then(|images| images.get(image)).cloned();
    let same = of_namespace
        .into_iter()
        .flatten()
        .filter(|(name, other)| Some(*other) == digest.as_ref() && *name != image);
    let tags = few(same.map(|(name, _)| name.clone()));
    let read = |digest: &String| {
        let read = || image_config(reader, root, digest).unwrap_or_default();
        known.entry(digest.clone()).or_insert_with(read).clone()
    };
    let (platform, layers) = digest.as_ref().map(read).unwrap_or_default();
    Container {
        engine: "containerd".to_owned(),
        id: id.clone(),
        name: name(labels),
        image: Some(image.clone()).filter(|image| !image.is_empty()),
        digest,
        tags,
        platform,
        // Which tasks run is known in /run alone, which is on no disk.
        state: None,
        layers,
    }
}

/// Of a pod's container `NAMESPACE/POD/CONTAINER`; of the one that keeps a pod's namespaces `NAMESPACE/POD`.
fn name(labels: &BTreeMap<String, String>) -> Option<String> {
    let label = |name: &str| labels.get(name).map(String::as_str);
    let pod = label(POD_NAMESPACE).zip(label(POD_NAME)).map(|(namespace, pod)| format!("{namespace}/{pod}"));
    let is_sandbox = label(KIND) == Some("sandbox");
    match (pod, label(CONTAINER_NAME)) {
        (Some(pod), Some(name)) if !is_sandbox => Some(format!("{pod}/{name}")),
        (Some(pod), _) => Some(pod),
        (None, name) => label(NERDCTL_NAME).or(name).map(str::to_owned),
    }
}

/// Platform and layers of an image, from its configuration.
fn image_config(
    reader: &mut Reader<'_>,
    root: &FsPath,
    digest: &str,
) -> Option<(Option<String>, Vec<String>)> {
    let mut manifest = blob(reader, root, digest)?;
    if let Some(manifests) = at(&manifest, "manifests").as_array() {
        // One for each platform, of which those that were fetched are there.
        let fetched: Vec<_> = manifests
            .iter()
            .filter(|manifest| at(manifest, "platform.os") != "unknown")
            .filter_map(|manifest| blob(reader, root, at(manifest, "digest").as_str()?))
            .collect();
        manifest = <[Value; 1]>::try_from(fetched).ok()?.into_iter().next()?;
    }
    let config = blob(reader, root, at(&manifest, "config.digest").as_str()?)?;
    Some((platform(&config), texts(at(&config, "rootfs.diff_ids"))))
}

/// A file of JSON by its digest, if it is there.
fn blob(reader: &mut Reader<'_>, root: &FsPath, digest: &str) -> Option<Value> {
    let (algorithm, hash) =
        digest.split_once(':').filter(|(algorithm, hash)| is_plain(algorithm) && is_plain(hash))?;
    reader.json(&root.join("io.containerd.content.v1.content/blobs").join(algorithm).join(hash))
}

/// The snapshots of one snapshotter.
#[derive(Debug)]
struct Snapshots {
    folder: FsPath,
    /// Whether a snapshot is laid over its parents; without that it is a copy of them.
    is_overlay: bool,
    /// Number and parent by name.
    known: HashMap<String, (u64, String)>,
}

impl Snapshots {
    fn read(reader: &Reader<'_>, root: &FsPath, snapshotter: &str) -> Result<Self, String> {
        let is_overlay = match snapshotter {
            "overlayfs" => true,
            "native" => false,
            other => return Err(format!("this version does not read containerd's snapshotter {other}")),
        };
        let folder = root.join(format!("{SNAPSHOTTER}{snapshotter}"));
        let path = folder.join("metadata.db");
        let mut known = HashMap::new();
        let mut left = MOST_BYTES;
        let read = open(reader, &path, |bolt| {
            let Some(all) = bolt.bucket(&bolt.root(), &[VERSION, b"snapshots"])? else { return Ok(()) };
            bolt.each(&all, &mut |name, entry| {
                if let Entry::Bucket(snapshot) = entry
                    && let Some(id) = bolt.value(&snapshot, b"id")?.as_deref().and_then(varint)
                {
                    let parent = bolt.value(&snapshot, b"parent")?.unwrap_or_default();
                    let (name, parent) = (lossy(name), lossy(&parent));
                    keep(&mut left, &[&name, &parent])?;
                    known.insert(name, (id, parent));
                }
                Ok(true)
            })
        });
        match read {
            Ok(Some(())) => Ok(Self { folder: folder.join("snapshots"), is_overlay, known }),
            Ok(None) => Err(format!("{path} is missing")),
            Err(error) => Err(format!("{path}: {}", chain(&error))),
        }
    }

    /// The directories of a snapshot, the upper one first.
    fn layers(&self, reader: &mut Reader<'_>, name: &str) -> Result<Layers, String> {
        /// Layers of one image. overlayfs takes 500, engines 128.
        const MOST: usize = 1024;

        let mut layers = Vec::new();
        let mut problems = Vec::new();
        let mut name = name;
        loop {
            let Some((id, parent)) = self.known.get(name) else {
                let reason = format!("the snapshot {name} is missing: what it held and hid is not known");
                problems.push(gap(&self.folder, reason));
                break;
            };
            let mut directory = self.folder.join(id.to_string());
            if self.is_overlay {
                directory.push(b"fs");
            }
            if reader.directory(&directory).is_some() {
                layers.push(directory);
            } else {
                problems.push(gap(
                    &directory,
                    "a layer of the container is missing: what it held and hid is not known",
                ));
            }
            if parent.is_empty() || !self.is_overlay {
                break;
            }
            if layers.len().saturating_add(problems.len()) > MOST {
                return Err(format!("it has more than {MOST} layers, or they form a circle"));
            }
            name = parent;
        }
        if layers.is_empty() { Err("its files are missing".to_owned()) } else { Ok((layers, problems)) }
    }
}

/// A number of `encoding/binary` in Go: seven bits a byte, the lowest first.
fn varint(bytes: &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for (&byte, shift) in bytes.iter().zip((0..64).step_by(7)) {
        let part = u64::from(byte & 0x7f);
        let shifted = part.checked_shl(shift).filter(|shifted| shifted.checked_shr(shift) == Some(part))?;
        number |= shifted;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Text of bytes, as many as a text about a container may have.
fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..bytes.len().min(MOST_TEXT)).unwrap_or_default()).into_owned()
}

/// Counts an entry of a database that is kept in memory, with what it takes there.
fn keep(left: &mut usize, texts: &[&str]) -> Result<(), FsError> {
    /// Of each, in a table that is half empty.
    const EACH: usize = 256;

    let bytes = texts.iter().map(|text| text.len()).fold(EACH, usize::saturating_add);
    *left = left.checked_sub(bytes).ok_or(FsError::Limit {
        what: "the memory for one kind of entries of containerd's databases",
        limit: to_u64(MOST_BYTES),
    })?;
    Ok(())
}

/// Bytes of memory for the images, the snapshots or the namespaces of one database: some 100,000 of them. Against a database
/// of gigabytes.
const MOST_BYTES: usize = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_are_kept_have_bounded_memory() {
        let mut left = MOST_BYTES;
        let name = "n".repeat(MOST_TEXT);
        let kept = (0..1_000_000).take_while(|_| keep(&mut left, &[&name]).is_ok()).count();
        assert!((10_000..100_000).contains(&kept), "{kept}");
        assert_eq!(lossy(&[b'n'; 1000]).len(), MOST_TEXT);
    }
}
