//! The EBS direct APIs: which blocks a snapshot has, and their bytes.

use aws_sdk_ebs::operation::get_snapshot_block::GetSnapshotBlockError;
use aws_sdk_ebs::operation::list_snapshot_blocks::ListSnapshotBlocksError;
use aws_sdk_ebs::types::error::ValidationException;
use aws_sdk_ebs::types::{
    AccessDeniedExceptionReason, ChecksumAlgorithm, ResourceNotFoundExceptionReason,
    ValidationExceptionReason,
};
use bytes::{Bytes, BytesMut};
use scanner_policy::actions;

use super::ec2::next_page;
use super::error::innermost;
use super::{Aws, AwsError};

/// What a scan needs of the EBS direct APIs.
pub trait EbsDirect: std::fmt::Debug + Send + Sync + 'static {
    /// One page of the blocks that a snapshot holds, in ascending order. `page` is the token of the page before.
    fn list_blocks(
        &self,
        snapshot: &str,
        page: Option<String>,
    ) -> impl Future<Output = Result<BlockPage, AwsError>> + Send;

    /// The bytes of one block, at most `limit` of them, as they arrived: the caller checks them.
    fn get_block(
        &self,
        snapshot: &str,
        index: u32,
        token: &str,
        limit: usize,
    ) -> impl Future<Output = Result<BlockData, AwsError>> + Send;
}

/// One page of a snapshot's blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockPage {
    /// Index and token of each block. May be empty although there are further pages.
    pub blocks: Vec<(u32, String)>,
    /// The size of every block in bytes.
    pub block_size: Option<u64>,
    /// The size of the volume in GiB.
    pub volume_gib: Option<u64>,
    /// Asks for the next page.
    pub next: Option<String>,
}

/// One block as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockData {
    /// The bytes.
    pub bytes: Bytes,
    /// How many bytes there should be.
    pub length: Option<u64>,
    /// Base64 of the SHA-256 that the bytes should have.
    pub sha256: Option<String>,
}

/// The most that one page can hold ("`ListSnapshotBlocks`" in the EBS direct APIs reference).
const PAGE: i32 = 10_000;

impl EbsDirect for Aws {
    async fn list_blocks(&self, snapshot: &str, page: Option<String>) -> Result<BlockPage, AwsError> {
        let call = actions::EBS_LIST_SNAPSHOT_BLOCKS;
        let request =
            self.ebs.list_snapshot_blocks().snapshot_id(snapshot).max_results(PAGE).set_next_token(page);
        let answer = self.send_raw(call, || request.clone().send()).await.map_err(|error| {
            match error.as_service_error() {
                Some(ListSnapshotBlocksError::ValidationException(refusal)) if is_stale(refusal) => {
                    AwsError::Token { call: call.name(), detail: detail(refusal) }
                }
                _ => AwsError::from_sdk(call, error),
            }
        })?;
        let damaged = |problem: &str| AwsError::Response { call: call.name(), problem: problem.to_owned() };
        let blocks = answer.blocks().iter().map(|block| {
            let index = block.block_index().and_then(|index| u32::try_from(index).ok());
            index.zip(block.block_token().map(str::to_owned))
        });
        Ok(BlockPage {
            blocks: blocks
                .collect::<Option<_>>()
                .ok_or_else(|| damaged("a block has no index or no token"))?,
            block_size: answer.block_size().and_then(|size| u64::try_from(size).ok()),
            volume_gib: answer.volume_size().and_then(|size| u64::try_from(size).ok()),
            next: next_page(answer.next_token()),
        })
    }

    async fn get_block(
        &self,
        snapshot: &str,
        index: u32,
        token: &str,
        limit: usize,
    ) -> Result<BlockData, AwsError> {
        let call = actions::EBS_GET_SNAPSHOT_BLOCK;
        let damaged = |problem: String| AwsError::Response { call: call.name(), problem };
        let number =
            i32::try_from(index).map_err(|_| damaged(format!("block {index} cannot be asked for")))?;
        let request =
            self.ebs.get_snapshot_block().snapshot_id(snapshot).block_index(number).block_token(token);
        let answer = self.send_raw(call, || request.clone().send()).await.map_err(|error| {
            match error.as_service_error() {
                Some(GetSnapshotBlockError::ValidationException(refusal)) if is_stale(refusal) => {
                    AwsError::Token { call: call.name(), detail: detail(refusal) }
                }
                Some(refusal) if is_of_the_key(refusal) => AwsError::key(call, refusal),
                _ => AwsError::from_sdk(call, error),
            }
        })?;
        let length = answer.data_length().and_then(|length| u64::try_from(length).ok());
        let sha256 = match answer.checksum_algorithm() {
            Some(ChecksumAlgorithm::ChecksumAlgorithmSha256) => answer.checksum().map(str::to_owned),
            _ => None,
        };
        let mut body = answer.block_data;
        let mut bytes = BytesMut::with_capacity(limit);
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|error| damaged(innermost(&error)))?;
            if bytes.len().saturating_add(piece.len()) > limit {
                return Err(damaged(format!("it is longer than a block, which has {limit} bytes")));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(BlockData { bytes: bytes.freeze(), length, sha256 })
    }
}

/// Whether a token was refused: it expired, or belongs to something else.
fn is_stale(refusal: &ValidationException) -> bool {
    matches!(
        refusal.reason(),
        Some(ValidationExceptionReason::InvalidBlockToken | ValidationExceptionReason::InvalidPageToken)
    )
}

/// Whether it is the key of an encrypted snapshot that cannot be used: KMS, on which EBS depends for it, said no, or knows
/// no such key.
fn is_of_the_key(refusal: &GetSnapshotBlockError) -> bool {
    match refusal {
        GetSnapshotBlockError::AccessDeniedException(refusal) => {
            *refusal.reason() == AccessDeniedExceptionReason::DependencyAccessDenied
        }
        GetSnapshotBlockError::ResourceNotFoundException(refusal) => {
            refusal.reason() == Some(&ResourceNotFoundExceptionReason::DependencyResourceNotFound)
        }
        GetSnapshotBlockError::ValidationException(refusal) => {
            refusal.reason() == Some(&ValidationExceptionReason::InvalidCustomerKey)
        }
        _ => false,
    }
}

fn detail(refusal: &ValidationException) -> String {
    refusal.message().unwrap_or("no reason given").to_owned()
}
