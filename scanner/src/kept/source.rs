//! The blocks of a snapshot, those that did not change read from what is kept.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use agentless_cache::{BlockError, BlockSource};
use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::Keeping;
use super::changes::unchanged;
use super::file::{About, Packed, Reader, Writer};
use crate::aws::Changes;

/// A source of blocks that asks the one behind it only for what is not kept, and keeps what is read for the next scan, if it
/// is to.
#[derive(Debug)]
pub struct Incremental<S> {
    source: S,
    known: Option<Known>,
    recording: Option<Arc<Recording>>,
}

/// Kept blocks that did not change.
#[derive(Debug)]
struct Known {
    reader: Arc<Reader>,
    /// Those that turn out to be damaged are taken out.
    blocks: RwLock<HashSet<u32>>,
}

/// The blocks that a scan reads of a volume, until it is known whether they will be kept.
#[derive(Debug)]
pub struct Recording {
    keeping: Keeping,
    about: About,
    /// None when it has ended.
    writer: Mutex<Option<Writer>>,
}

impl<S: BlockSource> Incremental<S> {
    /// One that asks for everything and keeps nothing.
    pub fn plain(source: S) -> Self {
        Self { source, known: None, recording: None }
    }

    /// One of `snapshot` of `volume`.
    pub async fn open(
        source: S,
        aws: &impl Changes,
        keeping: &Keeping,
        (volume, snapshot): (&str, &str),
    ) -> Self {
        let known = Known::find(&source, aws, keeping, (volume, snapshot)).await;
        let kept = Arc::clone(&keeping.kept);
        let writer = spawn_blocking(move || kept.record()).await;
        let recording = match writer.unwrap_or_else(|error| Err(error.into())) {
            Ok(writer) => Some(Arc::new(Recording {
                about: About {
                    place: keeping.place.clone(),
                    volume: volume.to_owned(),
                    snapshot: snapshot.to_owned(),
                    expires: keeping.expires.unix_timestamp(),
                    block_size: source.block_size(),
                    size: source.size(),
                },
                keeping: keeping.clone(),
                writer: Mutex::new(Some(writer)),
            })),
            Err(error) => {
                tracing::warn!(volume, %error, "nothing of a volume can be kept for its next scan");
                None
            }
        };
        Self { source, known, recording }
    }

    /// What is recorded, if it is.
    pub fn recording(&self) -> Option<Arc<Recording>> {
        self.recording.clone()
    }

    /// Reads a kept block. None if it cannot be.
    async fn known(&self, known: &Known, number: u32) -> Option<Bytes> {
        let reader = Arc::clone(&known.reader);
        // It may also fail by a panic in the decompression of something damaged.
        let read = spawn_blocking(move || reader.read(number)).await;
        let reason = match read {
            Ok(Ok((block, packed))) => {
                if let Some(recording) = self.recording.clone() {
                    let _ = spawn_blocking(move || recording.add(number, || packed)).await;
                }
                return Some(block);
            }
            Ok(Err(error)) => crate::chain(&error),
            Err(error) => error.to_string(),
        };
        tracing::warn!(block = number, reason, "a kept block is not used, and is fetched instead");
        known.blocks.write().unwrap_or_else(PoisonError::into_inner).remove(&number);
        None
    }
}

impl<S: BlockSource> BlockSource for Incremental<S> {
    fn block_size(&self) -> u32 {
        self.source.block_size()
    }

    fn size(&self) -> u64 {
        self.source.size()
    }

    fn contains(&self, index: u64) -> bool {
        self.source.contains(index)
    }

    fn is_here(&self, index: u64) -> bool {
        let number = u32::try_from(index);
        number.is_ok_and(|number| self.known.as_ref().is_some_and(|known| known.has(number)))
            || self.source.is_here(index)
    }

    async fn fetch(&self, index: u64) -> Result<Bytes, BlockError> {
        let number = u32::try_from(index);
        if let (Ok(number), Some(known)) = (number, &self.known)
            && known.has(number)
            && let Some(block) = self.known(known, number).await
        {
            return Ok(block);
        }
        let block = self.source.fetch(index).await?;
        if let (Ok(number), Some(recording)) = (number, self.recording.clone()) {
            let copy = block.clone();
            // What cannot be compressed is not kept.
            let _ = spawn_blocking(move || recording.add(number, || Packed::new(&copy))).await;
        }
        Ok(block)
    }
}

impl Known {
    /// The blocks of the last scan that did not change. None if that is not known, for whatever reason.
    async fn find(
        source: &impl BlockSource,
        aws: &impl Changes,
        Keeping { kept, place, now, .. }: &Keeping,
        (volume, snapshot): (&str, &str),
    ) -> Option<Self> {
        let (kept, place, now) = (Arc::clone(kept), place.clone(), *now);
        let id = volume.to_owned();
        let reader = spawn_blocking(move || kept.find(&place, &id, now)).await.ok().flatten()?;
        match unchanged(aws, &reader, snapshot, (source.block_size(), source.size())).await {
            Ok(blocks) => Some(Self { reader: Arc::new(reader), blocks: RwLock::new(blocks) }),
            Err(error) => {
                let error = crate::chain(&error);
                tracing::warn!(volume, error, "it is not known what has changed, so that everything is read");
                None
            }
        }
    }

    fn has(&self, number: u32) -> bool {
        self.blocks.read().unwrap_or_else(PoisonError::into_inner).contains(&number)
    }
}

impl Recording {
    /// The snapshot that is read.
    pub fn snapshot(&self) -> &str {
        &self.about.snapshot
    }

    /// Adds a block, unless the recording has ended.
    fn add(&self, number: u32, packed: impl FnOnce() -> Packed) {
        if self.writer().is_none() {
            return;
        }
        let packed = packed();
        let mut writer = self.writer();
        let Some(open) = writer.as_mut() else { return };
        if let Err(error) = open.add(number, packed) {
            let volume = &self.about.volume;
            tracing::warn!(volume, %error, "nothing of a volume is kept for its next scan");
            *writer = None;
        }
    }

    /// Ends it, and keeps it: the scan has come to its end. Returns the snapshot that was kept until now, if there is one.
    /// None if nothing could be kept; then everything is as before.
    pub async fn keep(self: Arc<Self>) -> Option<Vec<String>> {
        let recording = Arc::clone(&self);
        let result = spawn_blocking(move || {
            let writer = recording.writer().take().filter(|writer| writer.len() > 0);
            writer.map(|writer| recording.keeping.kept.keep(writer, recording.about.clone()))
        });
        match result.await.unwrap_or_else(|error| Some(Err(error.into()))) {
            Some(Ok(replaced)) => Some(replaced.into_iter().collect()),
            Some(Err(error)) => {
                tracing::warn!(volume = self.about.volume, %error, "what was read of a volume is not kept");
                // If the file is there all the same, so must be the snapshot.
                self.keeping.kept.keeps(&self.about.snapshot).then(Vec::new)
            }
            None => None,
        }
    }

    fn writer(&self) -> std::sync::MutexGuard<'_, Option<Writer>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
