//! Which of the kept blocks are still what the volume has.

use std::collections::HashSet;

use agentless_core::number::to_u64;

use super::file::{About, Reader};
use crate::aws::{AwsError, Changes};

/// Why the kept blocks of a volume cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChangesError {
    #[error(transparent)]
    Aws(#[from] AwsError),
    #[error("the volume or its blocks do not have the size that they had")]
    Resized,
    #[error("the list of changed blocks makes no sense: {0}")]
    List(&'static str),
}

/// The blocks of a file that did not change until `snapshot` was made, which has blocks and a size like these.
pub(super) async fn unchanged(
    aws: &impl Changes,
    reader: &Reader,
    snapshot: &str,
    (block_size, size): (u32, u64),
) -> Result<HashSet<u32>, ChangesError> {
    let About { snapshot: before, block_size: kept_block_size, size: kept_size, .. } = reader.about();
    if (*kept_block_size, *kept_size) != (block_size, size) {
        return Err(ChangesError::Resized);
    }
    let most = size / u64::from(block_size).max(1);
    let mut blocks: HashSet<u32> = reader.blocks().collect();
    let (mut count, mut page) = (0_u64, None);
    loop {
        let answer = aws.changed_blocks(before, snapshot, page.clone()).await?;
        let (page_block_size, page_gib) = answer
            .block_size
            .zip(answer.volume_gib)
            .ok_or(ChangesError::List("it gives no size of the blocks or of the volume"))?;
        if page_block_size != u64::from(block_size) || page_gib.checked_mul(1 << 30) != Some(size) {
            return Err(ChangesError::Resized);
        }
        count = count.saturating_add(to_u64(answer.blocks.len()));
        if count > most {
            return Err(ChangesError::List("it has more blocks than the volume"));
        }
        for (index, _) in &answer.blocks {
            blocks.remove(index);
        }
        if answer.next.is_some() && answer.next == page {
            return Err(ChangesError::List("a page leads to itself"));
        }
        page = answer.next;
        if page.is_none() {
            tracing::info!(before, changed = count, unchanged = blocks.len(), "listed what has changed");
            return Ok(blocks);
        }
    }
}
