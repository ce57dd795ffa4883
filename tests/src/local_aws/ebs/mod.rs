//! The EBS direct APIs that read, served from sparse image files.
//!
//! Encodes AWS's API reference of `ListSnapshotBlocks`, `ListChangedBlocks` and `GetSnapshotBlock`: 512 KiB blocks, ascending
//! indexes, pages of 100 to 10,000, tokens that are bound and expire, SHA-256 of every block, and errors by name.

mod content;
mod service;
mod token;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::reply::Reply;
use super::request::Request;
use super::xml;

pub use content::BLOCK_SIZE;
pub(crate) use content::Content;
pub(crate) use service::Service;

/// What each volume and snapshot holds. Follows the calls to EC2 that pass by.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The image file of a volume.
    volumes: HashMap<String, PathBuf>,
    snapshots: HashMap<String, Snapshot>,
}

/// A snapshot's content and the volume that it shows.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// `None` when the volume had no content: no block was ever written.
    pub(crate) content: Option<Arc<Content>>,
    /// Snapshots of one lineage can be compared.
    pub(crate) lineage: String,
}

impl Contents {
    /// Give a volume its content.
    pub(crate) fn set_volume(&self, volume: &str, image: &Path) {
        self.locked().volumes.insert(volume.to_owned(), image.to_path_buf());
    }

    /// The content of a snapshot, if it was made from a volume here.
    pub(crate) fn snapshot(&self, id: &str) -> Option<Snapshot> {
        self.locked().snapshots.get(id).cloned()
    }

    /// Follow what a successful call to EC2 did.
    pub(crate) fn follow(&self, request: &Request, reply: &Reply) -> std::io::Result<()> {
        let document = String::from_utf8_lossy(&reply.body);
        let parameter = |name: &str| request.parameters.get(name).map(String::as_str);
        match request.action.as_str() {
            "CreateSnapshot" | "CreateSnapshots" => {
                for (snapshot, volume) in
                    xml::texts(&document, "snapshotId").zip(xml::texts(&document, "volumeId"))
                {
                    self.take_snapshot(snapshot, volume)?;
                }
            }
            "CopySnapshot" => {
                if let (Some(copy), Some(source)) =
                    (xml::text(&document, "snapshotId"), parameter("SourceSnapshotId"))
                {
                    let mut state = self.locked();
                    if let Some(snapshot) = state.snapshots.get(source).cloned() {
                        state
                            .snapshots
                            .insert(copy.to_owned(), Snapshot { lineage: copy.to_owned(), ..snapshot });
                    }
                }
            }
            "DeleteSnapshot" => {
                if let Some(snapshot) = parameter("SnapshotId") {
                    self.locked().snapshots.remove(snapshot);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn take_snapshot(&self, snapshot: &str, volume: &str) -> std::io::Result<()> {
        let image = self.locked().volumes.get(volume).cloned();
        let content = image.map(|image| Content::capture(&image)).transpose()?.map(Arc::new);
        let taken = Snapshot { content, lineage: volume.to_owned() };
        self.locked().snapshots.insert(snapshot.to_owned(), taken);
        Ok(())
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
