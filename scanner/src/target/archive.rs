//! An archive behind a presigned URL as a source of blocks: only what is looked at is fetched.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use agentless_cache::{BlockError, BlockSource};
use agentless_core::number::{to_u64, to_usize};
use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use super::function::{Content, Origin};
use crate::aws::{AwsError, Download, DownloadError, Lambda, Package, Registry};

/// The blocks of one archive.
#[derive(Debug)]
pub struct ArchiveBlocks<C> {
    cloud: Arc<C>,
    content: Content,
    url: RwLock<Option<Arc<str>>>,
    /// Held while the URL is asked for, so that it is asked for once by all fetches that need it.
    renewal: Mutex<()>,
    /// Everything, from a server that knows no ranges.
    whole: OnceCell<Bytes>,
    /// Whether the server has answered with the range that was asked for.
    knows_ranges: AtomicBool,
    /// Held by a fetch until that is so: without ranges each fetch is of everything, and one is enough.
    probe: Mutex<()>,
}

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// AWS did not give its address.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// What is at its address cannot be read.
    #[error("it cannot be read: {0}")]
    Download(#[from] DownloadError),
    /// The connection broke, or the server failed, more than once.
    #[error("it could not be read in {attempts} attempts, the last time because {problem}")]
    Broken {
        /// How often it was tried.
        attempts: u32,
        /// What was wrong.
        problem: String,
    },
    /// It is not what it was.
    #[error("it changed while it was read: {problem}")]
    Changed {
        /// What is not as it was.
        problem: String,
    },
}

/// As small as makes few requests: the directory at the end of a zip, and the files next to each other in it.
const BLOCK_SIZE: u32 = 512 << 10;
/// What is taken of a server that knows no ranges. It is kept in memory.
const WHOLE: u64 = 64 << 20;
/// How often a block is fetched before it counts as unreadable.
const ATTEMPTS: u32 = 5;
/// The pause before the second attempt; it doubles from there.
const PAUSE: Duration = Duration::from_millis(100);

impl<C: Lambda + Registry + Download> ArchiveBlocks<C> {
    /// The blocks of an archive. Sends no request yet.
    pub fn new(cloud: Arc<C>, content: Content) -> Self {
        let url = RwLock::new(content.url.as_deref().map(Arc::from));
        let (renewal, probe, knows_ranges) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
        Self { cloud, content, url, renewal, whole: OnceCell::new(), knows_ranges, probe }
    }

    /// How many blocks it has.
    pub fn blocks(&self) -> u64 {
        self.content.size.div_ceil(u64::from(BLOCK_SIZE))
    }

    fn current(&self) -> Option<Arc<str>> {
        self.url.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An address in place of `stale`. Fetches that come late find it renewed already.
    async fn renew(&self, stale: Option<Arc<str>>) -> Result<Arc<str>, ArchiveError> {
        let _only_one = self.renewal.lock().await;
        if let Some(current) = self.current().filter(|current| Some(current) != stale.as_ref()) {
            return Ok(current);
        }
        let url: Arc<str> = match &self.content.origin {
            Origin::Function(name) => match name.ask(&*self.cloud).await?.package {
                Package::Zip(code)
                    if (code.size, code.sha256) == (self.content.size, self.content.sha256) =>
                {
                    code.url
                }
                _ => {
                    return Err(ArchiveError::Changed {
                        problem: "the function has other code now".to_owned(),
                    });
                }
            },
            Origin::Layer(arn) => self.cloud.layer(arn).await?.url,
            Origin::Image(repository, digest) => self.cloud.layer_url(repository, digest).await?,
        }
        .into();
        *self.url.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&url));
        Ok(url)
    }

    /// What lets one fetch after the other begin, until it is known that the server knows ranges.
    async fn until_known(&self) -> Option<MutexGuard<'_, ()>> {
        if self.knows_ranges.load(Ordering::Relaxed) {
            return None;
        }
        let alone = self.probe.lock().await;
        // Those that waited meanwhile need not go on one by one.
        (!self.knows_ranges.load(Ordering::Relaxed)).then_some(alone)
    }

    async fn fetch_block(&self, index: u64) -> Result<Bytes, ArchiveError> {
        let _alone = self.until_known().await;
        let start = index.saturating_mul(u64::from(BLOCK_SIZE));
        let range = start..self.content.size.min(start.saturating_add(u64::from(BLOCK_SIZE)));
        if let Some(whole) = self.whole.get() {
            return Ok(block_of(whole, start));
        }
        let mut url = match self.current() {
            Some(url) => url,
            None => self.renew(None).await?,
        };
        let (mut attempts, mut pause, mut renewed) = (0, PAUSE, false);
        loop {
            attempts += 1;
            let problem = match self.cloud.download(&url, range.clone(), WHOLE).await {
                Ok(part) if part.total != self.content.size => {
                    let problem = format!("it has {} bytes in place of {}", part.total, self.content.size);
                    return Err(ArchiveError::Changed { problem });
                }
                Ok(part)
                    if part.start == start && to_u64(part.bytes.len()) == range.end.saturating_sub(start) =>
                {
                    self.knows_ranges.store(true, Ordering::Relaxed);
                    return Ok(block_of(&part.bytes, 0));
                }
                Ok(part) if self.content.sha256.is_some_and(|sha256| !is_equal(&part.bytes, sha256)) => {
                    "what arrived does not have the SHA-256 that AWS gives for it".to_owned()
                }
                Ok(part) => {
                    let whole = self.whole.get_or_init(|| async { part.bytes }).await;
                    return Ok(block_of(whole, start));
                }
                Err(DownloadError::Expired { .. }) if !renewed => {
                    tracing::info!(origin = ?self.content.origin, "an address has expired, asking for it again");
                    url = self.renew(Some(url)).await?;
                    renewed = true;
                    continue;
                }
                Err(DownloadError::Passing { problem }) => problem,
                Err(error) => return Err(error.into()),
            };
            if attempts >= ATTEMPTS {
                return Err(ArchiveError::Broken { attempts, problem });
            }
            tracing::warn!(origin = ?self.content.origin, index, problem, "a part did not arrive, fetching it again");
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }
}

impl<C: Lambda + Registry + Download> BlockSource for ArchiveBlocks<C> {
    fn block_size(&self) -> u32 {
        BLOCK_SIZE
    }

    fn size(&self) -> u64 {
        self.content.size
    }

    fn contains(&self, index: u64) -> bool {
        index < self.blocks()
    }

    async fn fetch(&self, index: u64) -> Result<Bytes, BlockError> {
        self.fetch_block(index).await.map_err(BlockError::new)
    }
}

/// One whole block of bytes, with zeros behind their end.
fn block_of(bytes: &Bytes, start: u64) -> Bytes {
    let (start, size) = (to_usize_or_end(start, bytes.len()), to_usize(BLOCK_SIZE));
    let end = start.saturating_add(size).min(bytes.len());
    let mut block = BytesMut::from(bytes.get(start..end).unwrap_or_default());
    block.resize(size, 0);
    block.freeze()
}

fn is_equal(bytes: &[u8], sha256: [u8; 32]) -> bool {
    <[u8; 32]>::from(Sha256::digest(bytes)) == sha256
}

fn to_usize_or_end(place: u64, end: usize) -> usize {
    usize::try_from(place).map_or(end, |place| place.min(end))
}

/// Whether the bytes that `read` gives, piece by piece in order, are those with this SHA-256.
pub fn is_intact<E>(
    sha256: &[u8; 32],
    size: u64,
    mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
) -> Result<bool, E> {
    let mut hash = Sha256::new();
    let mut piece = vec![0; to_usize(BLOCK_SIZE)];
    let mut offset = 0;
    while offset < size {
        let length = to_usize_or_end(size.saturating_sub(offset), piece.len());
        let Some(piece) = piece.get_mut(..length) else { break };
        read(offset, piece)?;
        hash.update(&*piece);
        offset = offset.saturating_add(to_u64(length));
    }
    Ok(<[u8; 32]>::from(hash.finalize()) == *sha256)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::ops::Range;

    use super::*;
    use crate::aws::{Code, Function, Part, Reference, Repository, Tags};
    use crate::target::function::FunctionName;

    /// What a server does with one request.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Act {
        Ranges,
        Whole,
        Breaks,
        Expired,
        Refuses,
        Grows,
    }

    #[derive(Debug, Default)]
    struct Fake {
        bytes: Vec<u8>,
        acts: std::sync::Mutex<VecDeque<Act>>,
        asked: std::sync::Mutex<(u32, u32)>,
        /// Downloads that are under way, and the most that were.
        at_once: std::sync::Mutex<(u32, u32)>,
        changes: bool,
    }

    impl Lambda for Fake {
        async fn function(&self, _: &str, _: Option<&str>) -> Result<Function, AwsError> {
            self.asked.lock().unwrap().0 += 1;
            let size = to_u64(self.bytes.len()) + u64::from(self.changes);
            let url = "new".to_owned();
            Ok(Function {
                arn: "arn".to_owned(),
                version: "1".to_owned(),
                runtime: None,
                architecture: "arm64".to_owned(),
                code_sha256: None,
                package: Package::Zip(Code { url, size, sha256: None }),
                layers: Vec::new(),
                tags: Tags::new(),
            })
        }

        async fn layer(&self, _: &str) -> Result<Code, AwsError> {
            unreachable!()
        }
    }

    impl Registry for Fake {
        async fn manifest(&self, _: &Repository, _: &Reference) -> Result<String, AwsError> {
            unreachable!()
        }

        async fn layer_url(&self, _: &Repository, _: &str) -> Result<String, AwsError> {
            unreachable!()
        }
    }

    impl Download for Fake {
        async fn download(&self, url: &str, range: Range<u64>, _: u64) -> Result<Part, DownloadError> {
            self.asked.lock().unwrap().1 += 1;
            {
                let mut at_once = self.at_once.lock().unwrap();
                at_once.0 += 1;
                at_once.1 = at_once.1.max(at_once.0);
            }
            // Long enough for all that may begin to do so.
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            self.at_once.lock().unwrap().0 -= 1;
            let all = Bytes::from(self.bytes.clone());
            let total = to_u64(all.len());
            let act = self.acts.lock().unwrap().pop_front().unwrap_or(Act::Ranges);
            match act {
                Act::Expired => Err(DownloadError::Expired { status: 403 }),
                Act::Refuses => Err(DownloadError::Refused { status: 404 }),
                Act::Breaks => Err(DownloadError::Passing { problem: format!("{url} is gone") }),
                Act::Whole => Ok(Part { start: 0, bytes: all, total }),
                Act::Ranges | Act::Grows => {
                    let bytes = all.slice(
                        to_usize_or_end(range.start, all.len())..to_usize_or_end(range.end, all.len()),
                    );
                    Ok(Part { start: range.start, bytes, total: total + u64::from(act == Act::Grows) })
                }
            }
        }
    }

    fn blocks(acts: &[Act], changes: bool) -> ArchiveBlocks<Fake> {
        let bytes: Vec<u8> = (0..u32::MAX).flat_map(u32::to_le_bytes).take((512 << 10) + 100).collect();
        let origin = Origin::Function(FunctionName::parse("lambda:orders").unwrap());
        let content =
            Content { origin, size: to_u64(bytes.len()), sha256: None, url: Some("old".to_owned()) };
        let acts = std::sync::Mutex::new(acts.iter().copied().collect());
        ArchiveBlocks::new(Arc::new(Fake { bytes, acts, changes, ..Fake::default() }), content)
    }

    #[tokio::test(start_paused = true)]
    async fn blocks_come_whole_whatever_the_server_does() {
        use Act::{Breaks, Expired, Whole};
        for (acts, asked) in [
            (&[][..], (0, 2)),
            (&[Whole], (0, 1)),
            (&[Breaks, Breaks, Breaks, Breaks], (0, 6)),
            (&[Expired], (1, 3)),
            (&[Breaks, Expired, Whole], (1, 3)),
        ] {
            let blocks = blocks(acts, false);
            assert_eq!((blocks.blocks(), blocks.contains(1), blocks.contains(2)), (2, true, false));
            let (first, last) = (blocks.fetch(0).await.unwrap(), blocks.fetch(1).await.unwrap());
            let bytes = &blocks.cloud.bytes;
            assert_eq!(first, bytes[..512 << 10], "{acts:?}");
            assert_eq!((&last[..100], last.len()), (&bytes[512 << 10..], 512 << 10));
            assert!(last[100..].iter().all(|byte| *byte == 0));
            assert_eq!(*blocks.cloud.asked.lock().unwrap(), asked, "{acts:?}");
        }
    }

    #[tokio::test]
    async fn everything_is_fetched_once_by_all_who_ask_at_once() {
        for (acts, asked) in [(&[Act::Whole][..], 1), (&[], 2)] {
            let blocks = blocks(acts, false);
            let (first, last) = tokio::join!(blocks.fetch(0), blocks.fetch(1));
            assert!(first.is_ok() && last.is_ok());
            assert_eq!(blocks.cloud.asked.lock().unwrap().1, asked, "{acts:?}");
        }
    }

    #[tokio::test]
    async fn only_the_first_fetch_is_waited_for() {
        let blocks = blocks(&[], false);
        let (first, second, third) = tokio::join!(blocks.fetch(0), blocks.fetch(1), blocks.fetch(0));
        assert!(first.is_ok() && second.is_ok() && third.is_ok());
        assert_eq!(*blocks.cloud.at_once.lock().unwrap(), (0, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn what_stays_wrong_is_an_error() {
        use Act::{Breaks, Expired, Grows, Refuses};
        for (acts, changes, expected) in [
            (&[Breaks; 5][..], false, "in 5 attempts, the last time because old is gone"),
            (&[Expired, Expired], false, "has expired"),
            (&[Expired], true, "the function has other code now"),
            (&[Grows], false, "it changed while it was read"),
            (&[Refuses], false, "HTTP status 404"),
        ] {
            let error = blocks(acts, changes).fetch(0).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn damage_is_seen_in_what_was_read_whole() {
        let bytes = vec![7; (512 << 10) + 5];
        let sha256 = Sha256::digest(&bytes).into();
        let read = |offset: u64, piece: &mut [u8]| -> Result<(), std::convert::Infallible> {
            let offset = usize::try_from(offset).unwrap();
            piece.copy_from_slice(&bytes[offset..offset + piece.len()]);
            Ok(())
        };
        assert!(is_intact(&sha256, to_u64(bytes.len()), read).unwrap());
        assert!(!is_intact(&sha256, to_u64(bytes.len()) - 1, read).unwrap());
    }
}
