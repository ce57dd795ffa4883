//! An EBS snapshot as a source of blocks: list once, fetch by token, verify.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use agentless_cache::{BlockError, BlockSource};
use agentless_core::number::{to_u64, to_usize};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use crate::aws::{AwsError, BlockData, EbsDirect};

/// The blocks of one completed snapshot.
#[derive(Debug)]
pub struct SnapshotBlocks<E> {
    ebs: Arc<E>,
    snapshot: String,
    block_size: u32,
    size: u64,
    list: RwLock<Arc<BlockList>>,
    /// Held while the list is renewed, so that it is renewed once for all fetches that found it stale.
    renewal: Mutex<()>,
}

/// Why a snapshot cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// AWS did not answer, or said no.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The answers do not describe a disk.
    #[error("the list of blocks of {snapshot} makes no sense: {problem}")]
    List {
        /// The snapshot.
        snapshot: String,
        /// What is wrong.
        problem: String,
    },
    /// A block arrived damaged, more than once.
    #[error("block {index} of {snapshot} arrived damaged {attempts} times, the last time because {problem}")]
    Damaged {
        /// The snapshot.
        snapshot: String,
        /// The block.
        index: u64,
        /// How often it was fetched.
        attempts: u32,
        /// What was wrong with it.
        problem: String,
    },
}

/// Today's blocks have 512 KiB ("Key concepts" of the EBS direct APIs). The answer is believed within these bounds, so
/// that it can neither waste memory nor make millions of requests.
const BLOCK_SIZES: std::ops::RangeInclusive<u64> = 512..=16 << 20;
/// The largest volume that EBS has is 64 TiB.
const MAX_VOLUME_GIB: u64 = 64 << 10;
/// How often a block is fetched before it counts as damaged.
const ATTEMPTS: u32 = 4;
/// The pause before the second attempt; it doubles from there.
const PAUSE: Duration = Duration::from_millis(100);

impl<E: EbsDirect> SnapshotBlocks<E> {
    /// Lists the blocks of `snapshot`, which must be completed.
    pub async fn open(ebs: Arc<E>, snapshot: String) -> Result<Self, SnapshotError> {
        let (list, block_size, size) = read_list(&*ebs, &snapshot).await?;
        tracing::debug!(snapshot, size, block_size, blocks = list.len(), "listed the blocks");
        let list = RwLock::new(Arc::new(list));
        Ok(Self { ebs, snapshot, block_size, size, list, renewal: Mutex::default() })
    }

    /// How many blocks the snapshot holds. The others are zeros.
    pub fn allocated_blocks(&self) -> u64 {
        to_u64(self.current().len())
    }

    fn current(&self) -> Arc<BlockList> {
        Arc::clone(&self.list.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A list with new tokens in place of `stale`. Fetches that come late find it renewed already.
    async fn renew(&self, stale: &Arc<BlockList>) -> Result<Arc<BlockList>, SnapshotError> {
        let _only_one = self.renewal.lock().await;
        let current = self.current();
        if !Arc::ptr_eq(&current, stale) {
            return Ok(current);
        }
        tracing::info!(snapshot = self.snapshot, "the block tokens have expired, listing the blocks again");
        let (list, block_size, size) = read_list(&*self.ebs, &self.snapshot).await?;
        if (block_size, size) != (self.block_size, self.size) || list.indexes != stale.indexes {
            let problem = "it changed while the snapshot was read".to_owned();
            return Err(SnapshotError::List { snapshot: self.snapshot.clone(), problem });
        }
        let list = Arc::new(list);
        *self.list.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&list);
        Ok(list)
    }

    async fn fetch_verified(&self, index: u64) -> Result<Bytes, SnapshotError> {
        let mut list = self.current();
        let mut renewed = false;
        let (mut attempts, mut pause) = (0, PAUSE);
        loop {
            let (number, token) = list.token(index).ok_or_else(|| SnapshotError::List {
                snapshot: self.snapshot.clone(),
                problem: format!("block {index} is not in it"),
            })?;
            attempts += 1;
            let answer = self.ebs.get_block(&self.snapshot, number, token, to_usize(self.block_size)).await;
            let problem = match answer {
                Ok(block) => match verify(&block, self.block_size) {
                    Ok(()) => return Ok(block.bytes),
                    Err(problem) => problem,
                },
                Err(AwsError::Token { .. }) if !renewed => {
                    list = self.renew(&list).await?;
                    renewed = true;
                    continue;
                }
                // The SDK repeats requests, but not when the connection breaks within the answer's body.
                Err(AwsError::Response { problem, .. }) => problem,
                Err(error) => return Err(error.into()),
            };
            if attempts >= ATTEMPTS {
                let snapshot = self.snapshot.clone();
                return Err(SnapshotError::Damaged { snapshot, index, attempts, problem });
            }
            tracing::warn!(
                snapshot = self.snapshot,
                index,
                problem,
                "a block arrived damaged, fetching it again"
            );
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }
}

impl<E: EbsDirect> BlockSource for SnapshotBlocks<E> {
    fn block_size(&self) -> u32 {
        self.block_size
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn contains(&self, index: u64) -> bool {
        self.current().token(index).is_some()
    }

    async fn fetch(&self, index: u64) -> Result<Bytes, BlockError> {
        self.fetch_verified(index).await.map_err(BlockError::new)
    }
}

/// The blocks of a snapshot and their tokens. A full disk of 1 TiB has two million of them, so the tokens stand in one
/// text instead of one allocation each, from the first page on.
#[derive(Debug, Default)]
struct BlockList {
    /// Ascending, once all pages are read.
    indexes: Vec<u32>,
    /// Where the token of the block at the same place ends. It begins where the one before it ends.
    ends: Vec<usize>,
    tokens: String,
}

impl BlockList {
    fn len(&self) -> usize {
        self.indexes.len()
    }

    fn push(&mut self, index: u32, token: &str) {
        self.indexes.push(index);
        self.tokens.push_str(token);
        self.ends.push(self.tokens.len());
    }

    /// The blocks in ascending order, in which AWS documents that they come.
    fn sorted(self) -> Self {
        if self.indexes.is_sorted() {
            return self;
        }
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_unstable_by_key(|&place| self.indexes.get(place));
        let mut sorted = Self::default();
        for place in order {
            if let Some((index, token)) = self.at(place) {
                sorted.push(index, token);
            }
        }
        sorted
    }

    /// The block at this place of the list, and its token.
    fn at(&self, place: usize) -> Option<(u32, &str)> {
        let start = match place.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        Some((*self.indexes.get(place)?, self.tokens.get(start..*self.ends.get(place)?)?))
    }

    fn token(&self, index: u64) -> Option<(u32, &str)> {
        let number = u32::try_from(index).ok()?;
        self.at(self.indexes.binary_search(&number).ok()?)
    }
}

/// Reads all pages of a snapshot's blocks, with the size of a block and of the volume in bytes.
async fn read_list(ebs: &impl EbsDirect, snapshot: &str) -> Result<(BlockList, u32, u64), SnapshotError> {
    let wrong = |problem: String| SnapshotError::List { snapshot: snapshot.to_owned(), problem };
    let mut list = BlockList::default();
    let mut geometry = None;
    let mut page = None;
    loop {
        let answer = ebs.list_blocks(snapshot, page.clone()).await?;
        let (block_size, volume_gib) = answer
            .block_size
            .zip(answer.volume_gib)
            .ok_or_else(|| wrong("it gives no size of the blocks or of the volume".to_owned()))?;
        if !BLOCK_SIZES.contains(&block_size) || !block_size.is_power_of_two() {
            return Err(wrong(format!("blocks of {block_size} bytes")));
        }
        if volume_gib > MAX_VOLUME_GIB {
            return Err(wrong(format!("a volume of {volume_gib} GiB")));
        }
        if *geometry.get_or_insert((block_size, volume_gib)) != (block_size, volume_gib) {
            return Err(wrong("its pages differ in the size of the blocks or of the volume".to_owned()));
        }
        for (index, token) in &answer.blocks {
            list.push(*index, token);
        }
        let most = (volume_gib << 30) / block_size;
        if to_u64(list.len()) > most {
            return Err(wrong(format!("more than the {most} blocks of the volume")));
        }
        if answer.next.is_some() && answer.next == page {
            return Err(wrong("a page leads to itself".to_owned()));
        }
        page = answer.next;
        if page.is_none() {
            break;
        }
    }
    let (block_size, volume_gib) = geometry.unwrap_or_default();
    let size = volume_gib << 30;
    let list = list.sorted();
    if let Some(index) = list.indexes.last().filter(|&&index| u64::from(index) >= size / block_size) {
        return Err(wrong(format!("block {index} lies beyond the end of the volume")));
    }
    if let Some((index, _)) = list.indexes.iter().zip(list.indexes.iter().skip(1)).find(|(a, b)| a == b) {
        return Err(wrong(format!("block {index} is in it twice")));
    }
    let block_size = u32::try_from(block_size).map_err(|_| wrong(format!("blocks of {block_size} bytes")))?;
    Ok((list, block_size, size))
}

/// Checks that a block is whole.
fn verify(block: &BlockData, block_size: u32) -> Result<(), String> {
    let length = to_u64(block.bytes.len());
    if length != u64::from(block_size) || block.length.is_some_and(|said| said != length) {
        return Err(format!("it has {length} bytes"));
    }
    let Some(expected) = &block.sha256 else {
        return Err("it came without a SHA-256 checksum".to_owned());
    };
    let found = BASE64.encode(Sha256::digest(&block.bytes));
    if *expected != found {
        return Err(format!("its SHA-256 is {found} and not {expected}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::aws::BlockPage;

    const BLOCK: usize = 512;

    /// Answers from scripts: pages in order, and for blocks what `misbehave` says before telling the truth.
    #[derive(Debug, Default)]
    struct Fake {
        pages: std::sync::Mutex<VecDeque<BlockPage>>,
        misbehave: std::sync::Mutex<VecDeque<Misbehaviour>>,
        gets: std::sync::Mutex<Vec<(u32, String)>>,
        lists: std::sync::Mutex<u32>,
    }

    #[derive(Clone, Copy, Debug)]
    enum Misbehaviour {
        WrongChecksum,
        NoChecksum,
        Short,
        Broken,
        Denied,
    }

    impl EbsDirect for Fake {
        async fn list_blocks(&self, _snapshot: &str, _page: Option<String>) -> Result<BlockPage, AwsError> {
            *self.lists.lock().unwrap() += 1;
            Ok(self.pages.lock().unwrap().pop_front().unwrap())
        }

        async fn get_block(
            &self,
            _: &str,
            index: u32,
            token: &str,
            limit: usize,
        ) -> Result<BlockData, AwsError> {
            assert_eq!(limit, BLOCK);
            self.gets.lock().unwrap().push((index, token.to_owned()));
            let bytes = Bytes::from(vec![u8::try_from(index).unwrap(); BLOCK]);
            let mut block =
                BlockData { sha256: Some(BASE64.encode(Sha256::digest(&bytes))), length: Some(512), bytes };
            let call = "ebs:GetSnapshotBlock";
            // So that fetches that are started together are under way together.
            tokio::task::yield_now().await;
            if token == "expired" {
                return Err(AwsError::Token { call, detail: "expired".to_owned() });
            }
            let script = self.misbehave.lock().unwrap().pop_front();
            match script {
                None => {}
                Some(Misbehaviour::WrongChecksum) => block.sha256 = Some(BASE64.encode([0; 32])),
                Some(Misbehaviour::NoChecksum) => block.sha256 = None,
                Some(Misbehaviour::Short) => block.bytes = block.bytes.slice(..100),
                Some(Misbehaviour::Broken) => {
                    return Err(AwsError::Response { call, problem: "connection reset".to_owned() });
                }
                Some(Misbehaviour::Denied) => {
                    return Err(AwsError::Denied { call, detail: "no".to_owned() });
                }
            }
            Ok(block)
        }
    }

    fn page(indexes: &[u32], next: Option<&str>) -> BlockPage {
        BlockPage {
            blocks: indexes.iter().map(|&index| (index, format!("token-{index}"))).collect(),
            block_size: Some(512),
            volume_gib: Some(1),
            next: next.map(str::to_owned),
        }
    }

    async fn open(pages: impl IntoIterator<Item = BlockPage>) -> Result<SnapshotBlocks<Fake>, SnapshotError> {
        let fake = Fake { pages: std::sync::Mutex::new(pages.into_iter().collect()), ..Fake::default() };
        SnapshotBlocks::open(Arc::new(fake), "snap-1".to_owned()).await
    }

    async fn open_misbehaving(script: &[Misbehaviour]) -> SnapshotBlocks<Fake> {
        let blocks = open([page(&[7], None), page(&[7], None)]).await.unwrap();
        blocks.ebs.misbehave.lock().unwrap().extend(script);
        blocks
    }

    #[tokio::test]
    async fn all_pages_are_read_also_empty_ones_and_in_any_order() {
        let pages = [page(&[9, 5], Some("a")), page(&[], Some("b")), page(&[2, 1000], None)];
        let blocks = open(pages).await.unwrap();
        assert_eq!((blocks.size(), blocks.block_size(), blocks.allocated_blocks()), (1 << 30, 512, 4));
        for index in [2, 5, 9, 1000] {
            assert!(blocks.contains(index));
            let token = format!("token-{index}");
            assert_eq!(blocks.current().token(index).unwrap().1, token);
        }
        assert!(!blocks.contains(3) && !blocks.contains(u64::MAX));
        assert_eq!(blocks.fetch(5).await.unwrap(), vec![5; BLOCK]);
    }

    #[tokio::test]
    async fn lists_that_make_no_sense_are_refused() {
        let odd = |change: fn(&mut BlockPage)| {
            let mut page = page(&[1], None);
            change(&mut page);
            page
        };
        for (pages, expected) in [
            (vec![odd(|page| page.block_size = Some(513))], "blocks of 513 bytes"),
            (vec![odd(|page| page.block_size = Some(1 << 30))], "blocks of 1073741824 bytes"),
            (vec![odd(|page| page.block_size = None)], "no size"),
            (vec![odd(|page| page.volume_gib = Some(1 << 40))], "a volume of"),
            (vec![odd(|page| page.blocks[0].0 = 1 << 22)], "beyond the end"),
            (vec![page(&[1], Some("a")), page(&[1], None)], "twice"),
            (vec![page(&[1], Some("a")), page(&[2], Some("a"))], "leads to itself"),
            (vec![page(&[1], Some("a")), odd(|page| page.volume_gib = Some(2))], "differ"),
        ] {
            let error = open(pages).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_damaged_block_is_fetched_again() {
        use Misbehaviour::{Broken, Short, WrongChecksum};
        let blocks = open_misbehaving(&[WrongChecksum, Short, Broken]).await;
        assert_eq!(blocks.fetch(7).await.unwrap(), vec![7; BLOCK]);
        assert_eq!(blocks.ebs.gets.lock().unwrap().len(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_block_that_stays_damaged_is_an_error() {
        for (misbehaviour, expected) in [
            (Misbehaviour::WrongChecksum, "its SHA-256 is"),
            (Misbehaviour::NoChecksum, "without a SHA-256"),
            (Misbehaviour::Short, "it has 100 bytes"),
            (Misbehaviour::Broken, "connection reset"),
        ] {
            let blocks = open_misbehaving(&[misbehaviour; 4]).await;
            let error = blocks.fetch(7).await.unwrap_err().to_string();
            assert!(error.contains("block 7 of snap-1 arrived damaged 4 times"), "{error}");
            assert!(error.contains(expected), "{error}");
        }
    }

    #[tokio::test]
    async fn an_error_of_aws_is_passed_on_at_once() {
        let blocks = open_misbehaving(&[Misbehaviour::Denied]).await;
        assert!(blocks.fetch(7).await.unwrap_err().to_string().contains("is not allowed"));
        assert_eq!(blocks.ebs.gets.lock().unwrap().len(), 1);
    }

    fn expired_page() -> BlockPage {
        BlockPage { blocks: vec![(7, "expired".to_owned())], ..page(&[], None) }
    }

    #[tokio::test]
    async fn expired_tokens_are_renewed_once_for_all() {
        let blocks = open([expired_page(), page(&[7], None)]).await.unwrap();
        let (a, b, c) = tokio::join!(blocks.fetch(7), blocks.fetch(7), blocks.fetch(7));
        assert!(a.is_ok() && b.is_ok() && c.is_ok());
        assert_eq!(*blocks.ebs.lists.lock().unwrap(), 2);
    }

    #[tokio::test]
    async fn a_token_that_is_refused_after_renewal_is_an_error() {
        let blocks = open([expired_page(), expired_page()]).await.unwrap();
        assert!(blocks.fetch(7).await.unwrap_err().to_string().contains("no longer accepts the token"));
    }

    #[tokio::test]
    async fn a_renewed_list_must_be_of_the_same_disk() {
        let blocks = open([expired_page(), page(&[7, 8], None)]).await.unwrap();
        assert!(blocks.fetch(7).await.unwrap_err().to_string().contains("it changed"));
    }
}
