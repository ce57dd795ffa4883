//! A small EC2 with EBS direct, for tests: snapshots appear, complete and go, and things go wrong on request.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::aws::{
    Attachment, AwsError, BlockData, BlockPage, ChangedPage, Changes, EbsDirect, Ec2, Image, Instance,
    Snapshot, SnapshotState, Tags, VolumeInfo,
};

/// Something that goes wrong with the next request of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    CreateAnswerLost,
    CreateThrottled,
    CreateLimited,
    CreateDenied,
    CreateHangs,
    SnapshotFails,
    DeleteFails,
    DeleteAnswerLost,
    DeleteDenied,
    DeleteNotKnownYet,
    DescribeFails,
    ChangesDenied,
}

#[derive(Debug, Default)]
pub(crate) struct Cloud {
    state: Mutex<State>,
    pending: Duration,
    hidden: Duration,
    /// When the tests' time began, if it passes in this cloud.
    began: Option<Instant>,
}

#[derive(Debug, Default)]
struct State {
    volumes: BTreeMap<String, VolumeInfo>,
    instances: BTreeMap<String, Instance>,
    images: BTreeMap<String, Image>,
    /// The contents of volumes, and of the snapshots made of them.
    contents: BTreeMap<String, Arc<Vec<u8>>>,
    snapshots: BTreeMap<String, Made>,
    created: usize,
    /// Blocks that were read.
    gets: usize,
    /// The sizes of volumes in GiB, where it is not one.
    gib: BTreeMap<String, u64>,
    looks: usize,
    mishaps: VecDeque<Mishap>,
    /// What goes wrong by chance, and in how many of a hundred requests.
    chance: Option<(fastrand::Rng, u32)>,
}

/// When snapshots are made, and when a cloud's time begins.
pub(crate) const BEGINNING: OffsetDateTime = time::macros::datetime!(2026-11-21 06:00:00 UTC);

#[derive(Clone, Debug)]
struct Made {
    volume: String,
    tags: Tags,
    at: Instant,
    started: OffsetDateTime,
    fails: bool,
    /// What was on the volume, and its size in GiB, when it was made; none if that never changes.
    frozen: Option<(Arc<Vec<u8>>, u64)>,
}

const BLOCK: usize = 512 << 10;

impl Cloud {
    /// With instance `i-1`, which these volumes are attached to, at `/dev/sda`, `/dev/sdb` and so on.
    pub(crate) fn new(volumes: &[&str]) -> Arc<Self> {
        let mut state = State::default();
        for (letter, id) in ('a'..).zip(volumes) {
            let attachment = Attachment { instance: "i-1".to_owned(), device: format!("/dev/sd{letter}") };
            let volume =
                VolumeInfo { id: (*id).to_owned(), tags: Tags::new(), attachments: vec![attachment] };
            state.volumes.insert((*id).to_owned(), volume);
        }
        let instance = Instance {
            id: "i-1".to_owned(),
            state: "running".to_owned(),
            root_device: Some("/dev/sda".to_owned()),
            tags: Tags::new(),
        };
        state.instances.insert("i-1".to_owned(), instance);
        Arc::new(Self { state: Mutex::new(state), ..Self::default() })
    }

    pub(crate) fn with(self: Arc<Self>, mishaps: &[Mishap]) -> Arc<Self> {
        self.lock().mishaps.extend(mishaps);
        self
    }

    /// Snapshots take this long.
    pub(crate) fn pending_for(self: Arc<Self>, pending: Duration) -> Arc<Self> {
        Arc::new(Self { pending, ..Arc::into_inner(self).unwrap() })
    }

    /// Lists by tag show snapshots only after this time.
    pub(crate) fn hidden_for(self: Arc<Self>, hidden: Duration) -> Arc<Self> {
        Arc::new(Self { hidden, ..Arc::into_inner(self).unwrap() })
    }

    /// Snapshots are as old as they are, in the tests' time; otherwise all are of one moment.
    pub(crate) fn with_time(self: Arc<Self>) -> Arc<Self> {
        Arc::new(Self { began: Some(Instant::now()), ..Arc::into_inner(self).unwrap() })
    }

    /// The time here.
    pub(crate) fn now(&self) -> OffsetDateTime {
        self.began.map_or(BEGINNING, |began| BEGINNING + began.elapsed())
    }

    /// From here on, so many of a hundred requests go wrong.
    pub(crate) fn set_chance(&self, seed: u64, percent: u32) {
        self.lock().chance = Some((fastrand::Rng::with_seed(seed), percent));
    }

    /// With a snapshot that somebody made.
    pub(crate) fn snapshot(self: Arc<Self>, id: &str, started: OffsetDateTime, tags: Tags) -> Arc<Self> {
        let made = Made {
            volume: "vol-1".to_owned(),
            tags,
            at: Instant::now(),
            started,
            fails: false,
            frozen: None,
        };
        self.lock().snapshots.insert(id.to_owned(), made);
        self
    }

    /// What there is that scanners made.
    pub(crate) fn left(&self) -> Vec<Snapshot> {
        let state = self.lock();
        let own = state.snapshots.iter().filter(|(_, made)| made.is_own());
        own.map(|(id, made)| self.describe(id, made)).collect()
    }

    pub(crate) fn tag(self: Arc<Self>, id: &str, value: &str) -> Arc<Self> {
        let mut state = self.lock();
        let tag = (scanner_policy::tags::SCANNER.to_owned(), value.to_owned());
        if let Some(volume) = state.volumes.get_mut(id) {
            volume.tags.extend([tag]);
        } else if let Some(image) = state.images.get_mut(id) {
            image.tags.extend([tag]);
        } else if let Some(made) = state.snapshots.get_mut(id) {
            made.tags.extend([tag]);
        } else {
            state.instances.get_mut(id).unwrap().tags.extend([tag]);
        }
        drop(state);
        self
    }

    /// With image `ami-1` of snapshots of these volumes, which its owner made, with their device names.
    pub(crate) fn image(self: Arc<Self>, volumes: &[(&str, &str)]) -> Arc<Self> {
        let mut snapshots = Vec::new();
        for (device, volume) in volumes {
            let id = format!("snap-of-{volume}");
            let made = Made {
                volume: (*volume).to_owned(),
                tags: Tags::new(),
                at: Instant::now(),
                started: BEGINNING,
                fails: false,
                frozen: None,
            };
            self.lock().snapshots.insert(id.clone(), made);
            snapshots.push(((*device).to_owned(), id));
        }
        let image = Image {
            id: "ami-1".to_owned(),
            state: "available".to_owned(),
            root_device: Some("/dev/sda".to_owned()),
            created: Some(time::macros::datetime!(2026-11-01 00:00:00 UTC)),
            snapshots,
            tags: Tags::new(),
        };
        self.lock().images.insert("ami-1".to_owned(), image);
        self
    }

    /// What is on a volume; a multiple of the block size.
    pub(crate) fn content(self: Arc<Self>, volume: &str, content: Vec<u8>) -> Arc<Self> {
        self.lock().contents.insert(volume.to_owned(), Arc::new(content));
        self
    }

    /// Writes to a volume, which changes no snapshot of it.
    pub(crate) fn write(&self, volume: &str, content: Vec<u8>) {
        self.lock().contents.insert(volume.to_owned(), Arc::new(content));
    }

    /// Makes a volume larger.
    pub(crate) fn resize(&self, volume: &str, gib: u64) {
        self.lock().gib.insert(volume.to_owned(), gib);
    }

    /// Something will go wrong.
    pub(crate) fn expect(&self, mishap: Mishap) {
        self.lock().mishaps.push_back(mishap);
    }

    /// How many bytes there are on a volume.
    pub(crate) fn length(&self, volume: &str) -> usize {
        self.lock().contents[volume].len()
    }

    /// How many blocks were read so far.
    pub(crate) fn gets(&self) -> usize {
        self.lock().gets
    }

    pub(crate) fn tags_of(&self, snapshot: &str) -> Tags {
        self.lock().snapshots[snapshot].tags.clone()
    }

    pub(crate) fn created(&self) -> usize {
        self.lock().created
    }

    pub(crate) fn looks(&self) -> usize {
        self.lock().looks
    }

    pub(crate) fn is_clean(&self) -> bool {
        !self.lock().snapshots.values().any(Made::is_own)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn describe(&self, id: &str, made: &Made) -> Snapshot {
        let state = if made.fails {
            SnapshotState::Unusable { reason: "error: no key".to_owned() }
        } else if made.at.elapsed() < self.pending {
            SnapshotState::Pending { progress: "40%".to_owned() }
        } else {
            SnapshotState::Completed
        };
        Snapshot { id: id.to_owned(), state, started: Some(made.started), tags: made.tags.clone() }
    }

    /// Makes a snapshot that shows a volume, unless something goes wrong.
    async fn make(&self, call: &'static str, volume: &str, tags: &Tags) -> Result<Snapshot, AwsError> {
        use Mishap::{
            CreateAnswerLost, CreateDenied, CreateHangs, CreateLimited, CreateThrottled, SnapshotFails,
        };
        let detail = "told to".to_owned();
        let (mishap, id, made) = {
            let mut state = self.lock();
            let mishap = state
                .mishap(&[
                    CreateAnswerLost,
                    CreateDenied,
                    CreateHangs,
                    CreateLimited,
                    CreateThrottled,
                    SnapshotFails,
                ])
                .or_else(|| {
                    state.chance(&[
                        CreateAnswerLost,
                        CreateAnswerLost,
                        CreateLimited,
                        CreateThrottled,
                        SnapshotFails,
                    ])
                });
            match mishap {
                Some(CreateThrottled) => return Err(AwsError::Throttled { call, detail }),
                Some(CreateLimited) => return Err(AwsError::SnapshotLimit { call, detail }),
                Some(CreateDenied) => return Err(AwsError::Denied { call, detail }),
                _ => {}
            }
            state.created += 1;
            let id = format!("snap-{}", state.created);
            let made = Made {
                volume: volume.to_owned(),
                tags: tags.clone(),
                at: Instant::now(),
                started: self.now(),
                fails: mishap == Some(SnapshotFails),
                frozen: Some((
                    state.contents.get(volume).cloned().unwrap_or_default(),
                    state.gib.get(volume).copied().unwrap_or(1),
                )),
            };
            state.snapshots.insert(id.clone(), made.clone());
            (mishap, id, made)
        };
        match mishap {
            Some(CreateAnswerLost) => Err(AwsError::Failed { call, detail }),
            Some(CreateHangs) => std::future::pending().await,
            _ => Ok(self.describe(&id, &made)),
        }
    }

    fn content_of(&self, snapshot: &str) -> Arc<Vec<u8>> {
        let state = self.lock();
        let made = &state.snapshots[snapshot];
        let frozen = made.frozen.as_ref().map(|(content, _)| Arc::clone(content));
        frozen.or_else(|| state.contents.get(&made.volume).cloned()).unwrap_or_default()
    }

    fn gib_of(&self, snapshot: &str) -> u64 {
        self.lock().snapshots[snapshot].frozen.as_ref().map_or(1, |(_, gib)| *gib)
    }
}

impl State {
    /// Takes the next mishap if it is one of these.
    fn mishap(&mut self, kinds: &[Mishap]) -> Option<Mishap> {
        let next = self.mishaps.front().copied().filter(|next| kinds.contains(next))?;
        self.mishaps.pop_front();
        Some(next)
    }

    /// One of these, by chance.
    fn chance(&mut self, kinds: &[Mishap]) -> Option<Mishap> {
        let (random, percent) = self.chance.as_mut()?;
        (random.u32(0..100) < *percent).then(|| *random.choice(kinds).unwrap())
    }
}

impl Made {
    /// Whether a scanner made it. Those of an image are its owner's.
    fn is_own(&self) -> bool {
        self.tags.get(scanner_policy::tags::SCANNER).is_some_and(|value| value == scanner_policy::tags::TRUE)
    }
}

fn not_found<T>(call: &'static str, id: &str) -> Result<T, AwsError> {
    Err(AwsError::NotFound { call, detail: format!("no {id}") })
}

impl Ec2 for Cloud {
    async fn instance(&self, id: &str) -> Result<Instance, AwsError> {
        self.lock().instances.get(id).cloned().map_or_else(|| not_found("ec2:DescribeInstances", id), Ok)
    }

    async fn volumes_of(&self, _instance: &str) -> Result<Vec<VolumeInfo>, AwsError> {
        Ok(self.lock().volumes.values().rev().cloned().collect())
    }

    async fn volume(&self, id: &str) -> Result<VolumeInfo, AwsError> {
        self.lock().volumes.get(id).cloned().map_or_else(|| not_found("ec2:DescribeVolumes", id), Ok)
    }

    async fn image(&self, id: &str) -> Result<Image, AwsError> {
        self.lock().images.get(id).cloned().map_or_else(|| not_found("ec2:DescribeImages", id), Ok)
    }

    async fn copy_snapshot(&self, snapshot: &str, tags: &Tags) -> Result<Snapshot, AwsError> {
        let volume = self.lock().snapshots.get(snapshot).map(|made| made.volume.clone());
        match volume {
            Some(volume) => self.make("ec2:CopySnapshot", &volume, tags).await,
            None => not_found("ec2:CopySnapshot", snapshot),
        }
    }

    async fn create_snapshot(&self, volume: &str, tags: &Tags) -> Result<Snapshot, AwsError> {
        self.make("ec2:CreateSnapshot", volume, tags).await
    }

    async fn snapshots(&self, ids: &[String]) -> Result<Vec<Snapshot>, AwsError> {
        let mut state = self.lock();
        state.looks += 1;
        let kinds = [Mishap::DescribeFails];
        if state.mishap(&kinds).or_else(|| state.chance(&kinds)).is_some() {
            return Err(AwsError::Failed { call: "ec2:DescribeSnapshots", detail: "told to".to_owned() });
        }
        let made = state.snapshots.clone();
        drop(state);
        ids.iter()
            .map(|id| {
                let made = made.get(id).map_or_else(|| not_found("ec2:DescribeSnapshots", id), Ok)?;
                Ok(self.describe(id, made))
            })
            .collect()
    }

    async fn snapshots_tagged(&self, tags: &Tags) -> Result<Vec<Snapshot>, AwsError> {
        if self.lock().chance(&[Mishap::DescribeFails]).is_some() {
            return Err(AwsError::Failed { call: "ec2:DescribeSnapshots", detail: "by chance".to_owned() });
        }
        let made = self.lock().snapshots.clone();
        Ok(made
            .iter()
            .filter(|(_, made)| made.at.elapsed() >= self.hidden)
            .filter(|(_, made)| tags.iter().all(|(key, value)| made.tags.get(key) == Some(value)))
            .map(|(id, made)| self.describe(id, made))
            .collect())
    }

    async fn delete_snapshot(&self, id: &str) -> Result<(), AwsError> {
        use Mishap::{DeleteAnswerLost, DeleteDenied, DeleteFails, DeleteNotKnownYet};
        let mut state = self.lock();
        let (call, detail) = ("ec2:DeleteSnapshot", "told to".to_owned());
        let mishap = state.mishap(&[DeleteAnswerLost, DeleteDenied, DeleteFails, DeleteNotKnownYet]);
        match mishap.or_else(|| state.chance(&[DeleteAnswerLost, DeleteFails])) {
            Some(DeleteNotKnownYet) => return not_found(call, id),
            Some(DeleteDenied) => return Err(AwsError::Denied { call, detail }),
            Some(DeleteAnswerLost) => {
                state.snapshots.remove(id);
                return Err(AwsError::Failed { call, detail });
            }
            Some(_) => return Err(AwsError::Failed { call, detail }),
            None => {}
        }
        state.snapshots.remove(id).map_or_else(|| not_found("ec2:DeleteSnapshot", id), |_| Ok(()))
    }
}

impl EbsDirect for Cloud {
    async fn list_blocks(&self, snapshot: &str, _page: Option<String>) -> Result<BlockPage, AwsError> {
        let content = self.content_of(snapshot);
        let blocks =
            (0..).zip(content.chunks(BLOCK)).filter(|(_, block)| block.iter().any(|&byte| byte != 0));
        Ok(BlockPage {
            blocks: blocks.map(|(index, _)| (index, format!("{snapshot}/{index}"))).collect(),
            block_size: Some(512 << 10),
            volume_gib: Some(self.gib_of(snapshot)),
            next: None,
        })
    }

    async fn get_block(
        &self,
        snapshot: &str,
        index: u32,
        token: &str,
        _: usize,
    ) -> Result<BlockData, AwsError> {
        assert_eq!(token, format!("{snapshot}/{index}"));
        self.lock().gets += 1;
        let content = self.content_of(snapshot);
        let bytes =
            Bytes::copy_from_slice(content.chunks(BLOCK).nth(usize::try_from(index).unwrap()).unwrap());
        let sha256 = Some(BASE64.encode(Sha256::digest(&bytes)));
        Ok(BlockData { bytes, length: Some(512 << 10), sha256 })
    }
}

impl Changes for Cloud {
    /// Three blocks a page.
    async fn changed_blocks(
        &self,
        before: &str,
        after: &str,
        page: Option<String>,
    ) -> Result<ChangedPage, AwsError> {
        let call = "ebs:ListChangedBlocks";
        if self.lock().mishap(&[Mishap::ChangesDenied]).is_some() {
            return Err(AwsError::Denied { call, detail: "told to".to_owned() });
        }
        for id in [before, after] {
            if !self.lock().snapshots.contains_key(id) {
                return not_found(call, id);
            }
        }
        let (old, new) = (self.content_of(before), self.content_of(after));
        let empty = vec![0; BLOCK];
        let block = |content: &[u8], index: usize| {
            content.chunks(BLOCK).nth(index).map_or_else(|| empty.clone(), <[u8]>::to_vec)
        };
        let count = old.len().max(new.len()).div_ceil(BLOCK);
        let changed: Vec<_> = (0..count)
            .filter(|&index| block(&old, index) != block(&new, index))
            .map(|index| {
                let token = (block(&new, index) != empty).then(|| format!("{after}/{index}"));
                (u32::try_from(index).unwrap(), token)
            })
            .collect();
        let start: usize = page.map_or(0, |page| page.parse().unwrap());
        Ok(ChangedPage {
            blocks: changed.iter().skip(start).take(3).cloned().collect(),
            block_size: Some(512 << 10),
            volume_gib: Some(self.gib_of(after)),
            next: (start + 3 < changed.len()).then(|| (start + 3).to_string()),
        })
    }
}
