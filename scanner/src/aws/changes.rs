//! Which blocks of a volume have changed between two of its snapshots.

use std::fmt;

use scanner_policy::actions;

use super::ec2::next_page;
use super::{Aws, AwsError};

/// What an incremental scan needs of the EBS direct APIs beside [`EbsDirect`](super::EbsDirect).
pub trait Changes: fmt::Debug + Send + Sync + 'static {
    /// One page of the blocks in which `after` differs from `before`, in ascending order. Both are snapshots of one volume.
    /// `page` is the token of the page before.
    fn changed_blocks(
        &self,
        before: &str,
        after: &str,
        page: Option<String>,
    ) -> impl Future<Output = Result<ChangedPage, AwsError>> + Send;
}

/// One page of changed blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangedPage {
    /// Index of each block, and the token with which it is read from the later snapshot: none if that no longer has it. May
    /// be empty although there are further pages.
    pub blocks: Vec<(u32, Option<String>)>,
    /// The size of every block in bytes.
    pub block_size: Option<u64>,
    /// The size of the volume in GiB.
    pub volume_gib: Option<u64>,
    /// Asks for the next page.
    pub next: Option<String>,
}

/// The most that one page can hold ("`ListChangedBlocks`" in the EBS direct APIs reference).
const PAGE: i32 = 10_000;

impl Changes for Aws {
    async fn changed_blocks(
        &self,
        before: &str,
        after: &str,
        page: Option<String>,
    ) -> Result<ChangedPage, AwsError> {
        let call = actions::EBS_LIST_CHANGED_BLOCKS;
        let request = self
            .ebs
            .list_changed_blocks()
            .first_snapshot_id(before)
            .second_snapshot_id(after)
            .max_results(PAGE)
            .set_next_token(page);
        let answer = self.send(call, || request.clone().send()).await?;
        let blocks = answer.changed_blocks().iter().map(|block| {
            let index = block.block_index().and_then(|index| u32::try_from(index).ok())?;
            Some((index, block.second_block_token().map(str::to_owned)))
        });
        Ok(ChangedPage {
            blocks: blocks.collect::<Option<_>>().ok_or_else(|| AwsError::Response {
                call: call.name(),
                problem: "a block has no index".to_owned(),
            })?,
            block_size: answer.block_size().and_then(|size| u64::try_from(size).ok()),
            volume_gib: answer.volume_size().and_then(|size| u64::try_from(size).ok()),
            next: next_page(answer.next_token()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::aws;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn changed_blocks_have_the_token_of_the_later_snapshot() {
        let answer = r#"{"ChangedBlocks":[{"BlockIndex":1,"FirstBlockToken":"a","SecondBlockToken":"b"},
            {"BlockIndex":7,"FirstBlockToken":"c"}],"BlockSize":524288,"VolumeSize":8,"NextToken":"n"}"#;
        let aws = aws([(200, answer.to_owned()), (200, r#"{"ChangedBlocks":[{}]}"#.to_owned())]).await;
        let page = aws.changed_blocks("snap-1", "snap-2", None).await.unwrap();
        assert_eq!(page.blocks, [(1, Some("b".to_owned())), (7, None)]);
        assert_eq!((page.block_size, page.volume_gib), (Some(524_288), Some(8)));
        assert_eq!(page.next.as_deref(), Some("n"));
        let error = aws.changed_blocks("snap-1", "snap-2", page.next).await.unwrap_err();
        assert!(error.to_string().contains("no index"), "{error}");
    }
}
