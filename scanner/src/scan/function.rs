//! A Lambda function, its archives open while something is done with them.

use std::collections::BTreeMap;
use std::sync::Arc;

use agentless_cache::{CachedVolume, Traffic};
use agentless_core::number::to_u64;
use agentless_core::source::{Archive, DiskState, Source};
use agentless_core::volume::Volume;
use tokio::runtime::Handle;

use super::disks::{blocking, not_analysed};
use super::{Analysis, Options, Read, ScanError, VolumeCost};
use crate::aws::{Download, Function, Lambda, Registry};
use crate::report::RUNTIME;
use crate::target::Target;
use crate::target::archive::{ArchiveBlocks, is_intact};
use crate::target::function::{self, FunctionName, Part};

/// Analyses a function.
pub async fn with_function<C: Lambda + Registry + Download>(
    cloud: &Arc<C>,
    (target, name): (&Target, &FunctionName),
    options: &Options,
    analysis: impl Analysis,
) -> Result<Read, ScanError> {
    options.progress.step("looking the function up");
    let parts = tokio::select! {
        parts = function::parts(&**cloud, name) => parts,
        () = options.cancel.cancelled() => return Err(ScanError::Cancelled),
    };
    let (function, parts) =
        parts.map_err(|source| ScanError::Function { target: target.to_string(), source })?;
    options.progress.step("reading");
    let memory = options.limits.block_cache_bytes / to_u64(parts.len()).max(1);
    let (archives, opened): (Vec<_>, Vec<_>) =
        parts.into_iter().map(|part| open(cloud, part, memory, options)).unzip();
    let opened: Vec<_> = opened.into_iter().flatten().collect();

    let work = move || {
        let report = analysis(Source::Function(&archives));
        (report, opened.iter().find_map(Opened::damage), opened)
    };
    let (report, damage, opened) = blocking(&options.cancel, work).await?;
    let report = report.map_err(|source| not_analysed(target, source))?;
    if let Some(id) = damage {
        return Err(ScanError::Damaged { target: target.to_string(), id });
    }
    let costs = opened.into_iter().map(Opened::cost).collect();
    Ok(Read { report, about: about(function), time: None, local_bytes: None, costs })
}

/// What Lambda says of a function, under the names of properties in package lists.
fn about(function: Function) -> BTreeMap<&'static str, String> {
    let Function { arn, version, runtime, architecture, code_sha256, .. } = function;
    let all = [
        ("agentless-scanner:function:architecture", Some(architecture)),
        ("agentless-scanner:function:arn", Some(arn)),
        ("agentless-scanner:function:code-sha256", code_sha256),
        (RUNTIME, runtime),
        ("agentless-scanner:function:version", Some(version)),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// An archive whose blocks are being fetched.
struct Opened {
    id: String,
    volume: Arc<dyn Volume>,
    sha256: Option<[u8; 32]>,
    cost: VolumeCost,
    traffic: Arc<Traffic>,
}

/// Opens one archive. What cannot be opened costs itself alone.
fn open<C: Lambda + Registry + Download>(
    cloud: &Arc<C>,
    Part { id, place, format, content }: Part,
    memory: u64,
    options: &Options,
) -> (Archive, Option<Opened>) {
    let archive = |state| Archive { id: id.clone(), place, format, state };
    let content = match content {
        Ok(content) => content,
        Err(reason) => return (archive(DiskState::Unread { reason }), None),
    };
    if content.size == 0 {
        return (archive(DiskState::Empty { size: 0 }), None);
    }
    let sha256 = content.sha256;
    let blocks = ArchiveBlocks::new(Arc::clone(cloud), content);
    let traffic: Arc<Traffic> = Arc::default();
    options.progress.watch(Arc::clone(&traffic));
    let cost = VolumeCost {
        snapshot: None,
        block_size: u64::from(agentless_cache::BlockSource::block_size(&blocks)),
        allocated_blocks: blocks.blocks(),
        fetched_blocks: 0,
        fetched_bytes: 0,
    };
    let cache = options.cache(memory, &traffic);
    let volume: Arc<dyn Volume> = Arc::new(CachedVolume::new(blocks, cache, Handle::current()));
    let opened = Opened { id: id.clone(), volume: Arc::clone(&volume), sha256, cost, traffic };
    (archive(DiskState::Open(volume)), Some(opened))
}

impl Opened {
    /// Its id, if all of it was read and is not what AWS says it is. Of a part there is no checksum: what was read of it is
    /// protected on its way alone.
    fn damage(&self) -> Option<String> {
        let sha256 = self.sha256.as_ref().filter(|_| self.traffic.blocks() >= self.cost.allocated_blocks)?;
        let size = self.volume.size();
        // It was read once, so a failure now is one of this machine, and says nothing of the bytes.
        let is_intact = is_intact(sha256, size, |offset, piece| self.volume.read_at(offset, piece));
        is_intact.is_ok_and(|intact| !intact).then(|| self.id.clone())
    }

    fn cost(self) -> (String, VolumeCost) {
        let Self { id, mut cost, traffic, .. } = self;
        (cost.fetched_blocks, cost.fetched_bytes) = (traffic.blocks(), traffic.bytes());
        (id, cost)
    }
}
