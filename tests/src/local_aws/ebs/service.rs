//! The three reading actions of EBS direct.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::token::{Purpose, Tokens};
use super::{BLOCK_SIZE, Content, Contents, Snapshot};
use crate::local_aws::clock::{Clock, epoch_seconds};
use crate::local_aws::moto::{Moto, MotoError};
use crate::local_aws::proxy::HARNESS_FAILURE;
use crate::local_aws::reply::Reply;
use crate::local_aws::request::Request;

/// EBS direct of one local AWS.
#[derive(Debug)]
pub(crate) struct Service {
    contents: Arc<Contents>,
    moto: Moto,
    clock: Clock,
    tokens: Tokens,
    /// Snapshots known to be complete, with their volume's size in GiB: they stay so until they are deleted.
    complete: Mutex<HashMap<Location, u64>>,
    changed: Mutex<HashMap<(String, String), Indexes>>,
}

/// Block indexes, ascending, computed once.
type Indexes = Arc<Vec<u32>>;

/// Where a snapshot is: account, region, id.
type Location = (String, String, String);

/// An error of EBS direct: its type, and the reason that the type's `Reason` member names.
#[derive(Debug)]
struct EbsError {
    status: StatusCode,
    kind: &'static str,
    reason: Option<&'static str>,
    message: String,
}

impl Service {
    pub(crate) fn new(contents: Arc<Contents>, moto: Moto, clock: Clock) -> Self {
        let (complete, changed) = (Mutex::default(), Mutex::default());
        Self { contents, moto, clock, tokens: Tokens::new(), complete, changed }
    }

    /// Answer a call from `account`. `page_limit` is an injected upper bound of a page.
    pub(crate) async fn answer(&self, request: &Request, account: &str, page_limit: Option<u16>) -> Reply {
        let call = Call { service: self, request, account, page_limit };
        let answer = match request.action.as_str() {
            "ListSnapshotBlocks" => call.list_snapshot_blocks().await,
            "ListChangedBlocks" => call.list_changed_blocks().await,
            "GetSnapshotBlock" => call.get_snapshot_block().await,
            other => Err(EbsError {
                status: StatusCode::NOT_IMPLEMENTED,
                kind: "NotImplemented",
                reason: None,
                message: format!("the local AWS serves EBS direct's reading actions only, not {other}"),
            }),
        };
        answer.unwrap_or_else(EbsError::into_reply)
    }

    /// Forget that a snapshot is complete: it was deleted.
    pub(crate) fn forget(&self, snapshot: &str) {
        let mut complete = self.complete.lock().unwrap_or_else(PoisonError::into_inner);
        complete.retain(|(_, _, id), _| id != snapshot);
    }
}

struct Call<'a> {
    service: &'a Service,
    request: &'a Request,
    account: &'a str,
    page_limit: Option<u16>,
}

impl Call<'_> {
    async fn list_snapshot_blocks(&self) -> Result<Reply, EbsError> {
        let id = self.required("snapshotId")?;
        let (snapshot, volume_size) = self.readable(id).await?;
        let indexes = snapshot.content.as_ref().map_or(&[][..], |content| content.allocated());
        let page = self.page(Purpose::ListPage, id, indexes)?;
        let now = self.service.clock.now();
        let token = |index: u32| self.service.tokens.issue(Purpose::Block, id, u64::from(index), now);
        let blocks: Vec<Value> = page
            .indexes
            .iter()
            .map(|index| json!({"BlockIndex": index, "BlockToken": token(*index)}))
            .collect();
        Ok(self.list_reply("Blocks", &blocks, volume_size, page.next.as_deref()))
    }

    async fn list_changed_blocks(&self) -> Result<Reply, EbsError> {
        let second_id = self.required("secondSnapshotId")?;
        let first_id = self.request.parameters.get("firstSnapshotId").map(String::as_str);
        let (second, volume_size) = self.readable(second_id).await?;
        let first = match first_id {
            Some(id) => Some(self.readable(id).await?.0),
            None => None,
        };
        if first.as_ref().is_some_and(|first| first.lineage != second.lineage) {
            let message = "The first and second snapshots are not of the same volume.";
            return Err(EbsError::validation("UNRELATED_SNAPSHOTS", message));
        }
        let changed = self.changed_blocks(first_id.zip(first.as_ref()), (second_id, &second)).await?;
        let subject = format!("{}-{second_id}", first_id.unwrap_or_default());
        let page = self.page(Purpose::ChangedPage, &subject, &changed)?;
        let now = self.service.clock.now();
        let token = |(id, snapshot): (&str, &Snapshot), index: u32| {
            let content = snapshot.content.as_ref()?;
            content.allocated().binary_search(&index).ok()?;
            Some(self.service.tokens.issue(Purpose::Block, id, u64::from(index), now))
        };
        let blocks = page.indexes.iter().map(|index| {
            let first_token = first_id.zip(first.as_ref()).and_then(|first| token(first, *index));
            let second_token = token((second_id, &second), *index);
            let tokens = [("FirstBlockToken", first_token), ("SecondBlockToken", second_token)];
            let tokens = tokens.into_iter().filter_map(|(name, token)| Some((name, Value::from(token?))));
            [("BlockIndex", Value::from(*index))].into_iter().chain(tokens).collect::<Value>()
        });
        let blocks: Vec<Value> = blocks.collect();
        Ok(self.list_reply("ChangedBlocks", &blocks, volume_size, page.next.as_deref()))
    }

    async fn get_snapshot_block(&self) -> Result<Reply, EbsError> {
        let id = self.required("snapshotId")?;
        let index = self.number("blockIndex")?.unwrap_or_default();
        let (snapshot, _) = self.readable(id).await?;
        let now = self.service.clock.now();
        let token = self.required("blockToken")?;
        if self.service.tokens.open(token, Purpose::Block, id, now) != Some(index) {
            return Err(EbsError::validation(
                "INVALID_BLOCK_TOKEN",
                "The block token is invalid or has expired.",
            ));
        }
        // A token exists only for a block that was listed.
        let content = snapshot
            .content
            .ok_or_else(|| EbsError::validation("INVALID_BLOCK", "There is no such block."))?;
        let index = u32::try_from(index)
            .map_err(|_| EbsError::validation("INVALID_BLOCK", "There is no such block."))?;
        let block = blocking(move || content.read(index)).await?;
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/octet-stream"));
        headers.insert("x-amz-data-length", HeaderValue::from(block.len()));
        headers.insert("x-amz-checksum-algorithm", HeaderValue::from_static("SHA256"));
        if let Ok(checksum) = HeaderValue::from_str(&STANDARD.encode(Sha256::digest(&block))) {
            headers.insert("x-amz-checksum", checksum);
        }
        Ok(Reply { status: StatusCode::OK, headers, body: Bytes::from(block) })
    }

    /// A snapshot that can be read: it exists for this account, and is complete. With its volume's size in GiB.
    async fn readable(&self, id: &str) -> Result<(Snapshot, u64), EbsError> {
        #[derive(serde::Deserialize)]
        struct State {
            status: String,
            volume_size: u64,
        }
        let (account, region) = (self.account.to_owned(), self.request.region().to_owned());
        let location = (account, region, id.to_owned());
        let known =
            self.service.complete.lock().unwrap_or_else(PoisonError::into_inner).get(&location).copied();
        let volume_size = if let Some(size) = known {
            size
        } else {
            let asked = json!({"account": location.0, "region": location.1, "snapshot": id});
            let state: Option<State> = self.service.moto.control("snapshot", &asked).await?;
            let state = state.ok_or_else(|| EbsError::no_snapshot(id))?;
            if state.status != "completed" {
                let message = format!("The snapshot '{id}' is {}, not completed.", state.status);
                return Err(EbsError::validation("INVALID_SNAPSHOT_ID", message));
            }
            let mut complete = self.service.complete.lock().unwrap_or_else(PoisonError::into_inner);
            complete.insert(location, state.volume_size);
            state.volume_size
        };
        let empty = || Snapshot { content: None, lineage: id.to_owned() };
        Ok((self.service.contents.snapshot(id).unwrap_or_else(empty), volume_size))
    }

    /// The indexes at which the snapshots differ: in bytes, or in whether the block is allocated at all.
    async fn changed_blocks(
        &self,
        first: Option<(&str, &Snapshot)>,
        second: (&str, &Snapshot),
    ) -> Result<Indexes, EbsError> {
        let key = (first.map(|(id, _)| id.to_owned()).unwrap_or_default(), second.0.to_owned());
        if let Some(known) = self.service.changed.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(known));
        }
        let first = first.and_then(|(_, snapshot)| snapshot.content.clone());
        let second = second.1.content.clone();
        let changed = Arc::new(blocking(move || compare(first.as_deref(), second.as_deref())).await?);
        self.service.changed.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&changed));
        Ok(changed)
    }

    fn page(&self, purpose: Purpose, subject: &str, indexes: &[u32]) -> Result<Page, EbsError> {
        let max_results = self.number("maxResults")?.unwrap_or(MAX_PAGE);
        if !(MIN_PAGE..=MAX_PAGE).contains(&max_results) {
            let message = format!("MaxResults must be between {MIN_PAGE} and {MAX_PAGE}.");
            return Err(EbsError::validation("INVALID_PARAMETER_VALUE", message));
        }
        let start = match self.request.parameters.get("pageToken") {
            Some(token) => self
                .service
                .tokens
                .open(token, purpose, subject, self.service.clock.now())
                .ok_or_else(|| {
                    EbsError::validation("INVALID_PAGE_TOKEN", "The page token is invalid or has expired.")
                })?,
            None => self.number("startingBlockIndex")?.unwrap_or_default(),
        };
        let size = self.page_limit.map_or(max_results, |limit| max_results.min(u64::from(limit)));
        let mut rest = indexes.iter().copied().skip_while(|index| u64::from(*index) < start);
        let page = rest.by_ref().take(usize::try_from(size).unwrap_or(usize::MAX)).collect();
        let next = rest.next().map(|index| {
            self.service.tokens.issue(purpose, subject, u64::from(index), self.service.clock.now())
        });
        Ok(Page { indexes: page, next })
    }

    fn list_reply(&self, name: &str, blocks: &[Value], volume_size: u64, next: Option<&str>) -> Reply {
        let expires =
            epoch_seconds(self.service.clock.now()).saturating_add(Purpose::Block.lifetime().as_secs());
        let body = json!({
            name: blocks,
            "ExpiryTime": expires,
            "VolumeSize": volume_size,
            "BlockSize": BLOCK_SIZE,
            "NextToken": next,
        });
        Reply::json(StatusCode::OK, body)
    }

    fn required(&self, name: &str) -> Result<&str, EbsError> {
        let missing = || EbsError::validation("INVALID_PARAMETER_VALUE", format!("{name} is required."));
        self.request.parameters.get(name).map(String::as_str).ok_or_else(missing)
    }

    fn number(&self, name: &str) -> Result<Option<u64>, EbsError> {
        let invalid =
            |_| EbsError::validation("INVALID_PARAMETER_VALUE", format!("{name} must be a number."));
        self.request.parameters.get(name).map(|text| text.parse().map_err(invalid)).transpose()
    }
}

struct Page {
    indexes: Vec<u32>,
    next: Option<String>,
}

impl EbsError {
    fn validation(reason: &'static str, message: impl Into<String>) -> Self {
        let status = StatusCode::BAD_REQUEST;
        Self { status, kind: "ValidationException", reason: Some(reason), message: message.into() }
    }

    fn no_snapshot(id: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            kind: "ResourceNotFoundException",
            reason: Some("SNAPSHOT_NOT_FOUND"),
            message: format!("The snapshot '{id}' does not exist."),
        }
    }

    /// A failure of the harness itself. Not a status that clients retry.
    fn harness(message: String) -> Self {
        Self { status: StatusCode::NOT_IMPLEMENTED, kind: HARNESS_FAILURE, reason: None, message }
    }

    fn into_reply(self) -> Reply {
        let body = json!({"Message": self.message, "Reason": self.reason});
        let mut reply = Reply::json(self.status, body);
        reply.headers.insert("x-amzn-errortype", HeaderValue::from_static(self.kind));
        reply
    }
}

impl From<MotoError> for EbsError {
    fn from(error: MotoError) -> Self {
        Self::harness(error.to_string())
    }
}

fn compare(first: Option<&Content>, second: Option<&Content>) -> std::io::Result<Vec<u32>> {
    let allocated = |content: Option<&Content>| -> HashSet<u32> {
        content.map(|content| content.allocated().iter().copied().collect()).unwrap_or_default()
    };
    let (in_first, in_second) = (allocated(first), allocated(second));
    let mut changed: Vec<u32> = in_first.symmetric_difference(&in_second).copied().collect();
    if let (Some(first), Some(second)) = (first, second) {
        for index in in_first.intersection(&in_second) {
            if first.read(*index)? != second.read(*index)? {
                changed.push(*index);
            }
        }
    }
    changed.sort_unstable();
    Ok(changed)
}

/// Read files off the proxy's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, EbsError> {
    let result = tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other).flatten();
    result.map_err(|error| EbsError::harness(error.to_string()))
}

/// Bounds of `MaxResults` (EBS direct API reference).
const MIN_PAGE: u64 = 100;
const MAX_PAGE: u64 = 10_000;
