//! EBS direct: blocks, pages, tokens, errors, faults.

use std::time::Duration;

use agentless_tests::local_aws::{BLOCK_SIZE, Effect, Fault, LocalAws, SnapshotOutcome};
use aws_sdk_ebs::Client;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::shared::{aws, block_size, code, completed_snapshot, image, own, start, write_blocks};

#[tokio::test]
async fn blocks_are_listed_and_read_as_written() {
    let aws = aws().await;
    let ebs = Client::new(&aws.sdk_config());
    let image = image(&[(0, 1), (7, 2), (2047, 3)]);
    let network = aws.create_network().await.unwrap();
    let host = aws.run_instance(&network, image.path(), true, &[("Name", "host")]).await.unwrap();
    let snapshot = completed_snapshot(aws, &host.volume_id).await;

    let listed = ebs.list_snapshot_blocks().snapshot_id(&snapshot).send().await.unwrap();
    assert_eq!(listed.block_size(), i32::try_from(BLOCK_SIZE).ok());
    assert_eq!(listed.volume_size(), Some(1));
    assert!(listed.next_token().is_none());
    assert!(listed.expiry_time().is_some());
    let indexes: Vec<i32> =
        listed.blocks().iter().filter_map(aws_sdk_ebs::types::Block::block_index).collect();
    assert_eq!(indexes, [0, 7, 2047]);

    for (block, byte) in listed.blocks().iter().zip([1, 2, 3]) {
        let read = ebs
            .get_snapshot_block()
            .snapshot_id(&snapshot)
            .block_index(block.block_index().unwrap())
            .block_token(block.block_token().unwrap())
            .send()
            .await
            .unwrap();
        assert_eq!(read.data_length(), i32::try_from(BLOCK_SIZE).ok());
        assert_eq!(read.checksum_algorithm().unwrap().as_str(), "SHA256");
        let checksum = read.checksum().unwrap().to_owned();
        let data = read.block_data.collect().await.unwrap().into_bytes();
        assert_eq!(data, vec![byte; block_size()]);
        assert_eq!(checksum, STANDARD.encode(Sha256::digest(&data)));
    }
}

#[tokio::test]
async fn changed_blocks_are_those_that_differ_either_way() {
    let aws = aws().await;
    let ebs = Client::new(&aws.sdk_config());
    let day_one = image(&[(0, 1), (7, 1), (9, 1)]);
    let network = aws.create_network().await.unwrap();
    let host = aws.run_instance(&network, day_one.path(), false, &[]).await.unwrap();
    let first = completed_snapshot(aws, &host.volume_id).await;
    let day_two = image(&[(0, 1), (7, 2), (20, 1)]);
    aws.set_volume_content(&host.volume_id, day_two.path());
    let second = completed_snapshot(aws, &host.volume_id).await;

    let changed = ebs.list_changed_blocks().first_snapshot_id(&first).second_snapshot_id(&second);
    let changed = changed.send().await.unwrap();
    let found: Vec<(i32, bool, bool)> = changed
        .changed_blocks()
        .iter()
        .map(|block| {
            (
                block.block_index().unwrap(),
                block.first_block_token().is_some(),
                block.second_block_token().is_some(),
            )
        })
        .collect();
    assert_eq!(found, [(7, true, true), (9, true, false), (20, false, true)]);

    let token = changed.changed_blocks()[0].second_block_token().unwrap();
    let get = ebs.get_snapshot_block().snapshot_id(&second).block_index(7).block_token(token);
    let data = get.send().await.unwrap().block_data.collect().await.unwrap().into_bytes();
    assert_eq!(data[0], 2);

    let all = ebs.list_changed_blocks().second_snapshot_id(&second).send().await.unwrap();
    assert_eq!(all.changed_blocks().len(), 3);

    let other = aws.run_instance(&network, day_one.path(), false, &[]).await.unwrap();
    let unrelated = completed_snapshot(aws, &other.volume_id).await;
    let request = ebs.list_changed_blocks().first_snapshot_id(&unrelated).second_snapshot_id(&second);
    let error = request.send().await.unwrap_err().into_service_error();
    assert!(matches!(
        error,
        aws_sdk_ebs::operation::list_changed_blocks::ListChangedBlocksError::ValidationException(refused)
            if refused.reason().unwrap().as_str() == "UNRELATED_SNAPSHOTS"
    ));
}

#[tokio::test]
async fn a_snapshot_holds_what_the_volume_held() {
    let aws = own().await;
    let ebs = Client::new(&aws.sdk_config());
    let image = image(&[(1, 1)]);
    let network = aws.create_network().await.unwrap();
    let host = aws.run_instance(&network, image.path(), false, &[]).await.unwrap();
    let snapshot = completed_snapshot(&aws, &host.volume_id).await;
    write_blocks(image.path(), &[(1, 9), (2, 9)]);

    let listed = ebs.list_snapshot_blocks().snapshot_id(&snapshot).send().await.unwrap();
    assert_eq!(listed.blocks().len(), 1);
    let token = listed.blocks()[0].block_token().unwrap();
    let read = ebs.get_snapshot_block().snapshot_id(&snapshot).block_index(1).block_token(token).send().await;
    match read {
        // The filesystem can share extents.
        Ok(read) => assert_eq!(read.block_data.collect().await.unwrap().into_bytes()[0], 1),
        // It cannot: the harness refuses rather than serve another time's content.
        Err(error) => assert_eq!(code(&error), "LocalAwsFailure"),
    }
}

#[tokio::test]
async fn pages() {
    let aws = own().await;
    let ebs = Client::new(&aws.sdk_config());
    let blocks: Vec<(u64, u8)> = (0..250).map(|index| (index * 2, 1)).collect();
    let image = image(&blocks);
    let network = aws.create_network().await.unwrap();
    let host = aws.run_instance(&network, image.path(), false, &[]).await.unwrap();
    let snapshot = completed_snapshot(&aws, &host.volume_id).await;
    let list_blocks = || ebs.list_snapshot_blocks().snapshot_id(&snapshot);

    let first = list_blocks().max_results(100).send().await.unwrap();
    assert_eq!(first.blocks().len(), 100);
    let token = first.next_token().unwrap();
    let second = list_blocks().max_results(100).next_token(token).send().await.unwrap();
    assert_eq!(second.blocks()[0].block_index(), Some(200));
    let last = list_blocks().max_results(100).next_token(second.next_token().unwrap()).send().await.unwrap();
    assert_eq!((last.blocks().len(), last.next_token()), (50, None));

    let from = list_blocks().starting_block_index(401).send().await.unwrap();
    assert_eq!(from.blocks()[0].block_index(), Some(402));

    for out_of_bounds in [99, 10_001] {
        let error = list_blocks().max_results(out_of_bounds).send().await.unwrap_err();
        assert_eq!(code(&error), "ValidationException");
    }
    let changed = ebs.list_changed_blocks().second_snapshot_id(&snapshot).next_token(token).send().await;
    assert_eq!(code(&changed.unwrap_err()), "ValidationException");

    aws.inject(Fault::on("ebs", "ListSnapshotBlocks", Effect::SmallPages(3)));
    let pages: Vec<_> = list_blocks().into_paginator().send().collect::<Result<_, _>>().await.unwrap();
    assert_eq!(pages.len(), 84);
    aws.clear_faults();

    aws.clock().advance(Duration::from_hours(1));
    assert_eq!(code(&list_blocks().next_token(token).send().await.unwrap_err()), "ValidationException");
}

#[tokio::test]
async fn block_tokens_are_bound_and_expire() {
    let aws = own().await;
    let ebs = Client::new(&aws.sdk_config());
    let image = image(&[(3, 1), (4, 1)]);
    let network = aws.create_network().await.unwrap();
    let host = aws.run_instance(&network, image.path(), false, &[]).await.unwrap();
    let snapshot = completed_snapshot(&aws, &host.volume_id).await;
    let other = completed_snapshot(&aws, &host.volume_id).await;
    let listed = ebs.list_snapshot_blocks().snapshot_id(&snapshot).send().await.unwrap();
    let token = listed.blocks()[0].block_token().unwrap();
    let get = |snapshot: &str, index, token: &str| {
        ebs.get_snapshot_block().snapshot_id(snapshot).block_index(index).block_token(token).send()
    };

    get(&snapshot, 3, token).await.unwrap();
    for refused in [get(&snapshot, 4, token), get(&other, 3, token), get(&snapshot, 3, "bogus")] {
        assert_eq!(code(&refused.await.unwrap_err()), "ValidationException");
    }
    aws.clock().advance(Duration::from_hours(7 * 24));
    assert_eq!(code(&get(&snapshot, 3, token).await.unwrap_err()), "ValidationException");
}

#[tokio::test]
async fn only_completed_snapshots_that_exist_can_be_read() {
    let aws = start().await;
    let (ec2, ebs) = (aws_sdk_ec2::Client::new(&aws.sdk_config()), Client::new(&aws.sdk_config()));
    let image = image(&[(0, 1)]);
    let network = aws.create_network().await.unwrap();
    let host = aws.run_instance(&network, image.path(), false, &[]).await.unwrap();
    let list = |id: &str| ebs.list_snapshot_blocks().snapshot_id(id).send();
    let state = async |id: &str| {
        let described = ec2.describe_snapshots().snapshot_ids(id).send().await.unwrap();
        described.snapshots()[0].state().unwrap().as_str().to_owned()
    };

    assert_eq!(code(&list("snap-00000000000000000").await.unwrap_err()), "ResourceNotFoundException");

    aws.set_snapshot_outcome(SnapshotOutcome::Completed { pending_describes: 2 }).await.unwrap();
    let taken = ec2.create_snapshot().volume_id(&host.volume_id).send().await.unwrap();
    assert_eq!(taken.state().unwrap().as_str(), "pending");
    let id = taken.snapshot_id().unwrap();
    assert_eq!(code(&list(id).await.unwrap_err()), "ValidationException");
    assert_eq!([state(id).await, state(id).await, state(id).await], ["pending", "pending", "completed"]);
    list(id).await.unwrap();
    ec2.delete_snapshot().snapshot_id(id).send().await.unwrap();
    assert_eq!(code(&list(id).await.unwrap_err()), "ResourceNotFoundException");

    aws.set_snapshot_outcome(SnapshotOutcome::Error { pending_describes: 1 }).await.unwrap();
    let failing = ec2.create_snapshot().volume_id(&host.volume_id).send().await.unwrap();
    let id = failing.snapshot_id().unwrap();
    assert_eq!([state(id).await, state(id).await], ["pending", "error"]);
    assert_eq!(code(&list(id).await.unwrap_err()), "ValidationException");
    aws.assert_no_unimplemented();
}

#[tokio::test]
async fn damaged_replies() {
    let aws = own().await;
    let ebs = Client::new(&aws.sdk_config());
    let (snapshot, token) = one_block(&aws, &ebs).await;
    let get = || ebs.get_snapshot_block().snapshot_id(&snapshot).block_index(0).block_token(&token).send();

    aws.inject(Fault::on("ebs", "GetSnapshotBlock", Effect::TruncateBody(1000)).times(1));
    get().await.unwrap().block_data.collect().await.unwrap_err();

    aws.inject(Fault::on("ebs", "GetSnapshotBlock", Effect::CorruptBody).times(1));
    let read = get().await.unwrap();
    let checksum = read.checksum().unwrap().to_owned();
    let data = read.block_data.collect().await.unwrap().into_bytes();
    assert_eq!(data.len(), block_size());
    assert_ne!(checksum, STANDARD.encode(Sha256::digest(&data)));

    aws.inject(Fault::on("ebs", "GetSnapshotBlock", Effect::WrongChecksum).times(1));
    let read = get().await.unwrap();
    let checksum = read.checksum().unwrap().to_owned();
    let data = read.block_data.collect().await.unwrap().into_bytes();
    assert_ne!(checksum, STANDARD.encode(Sha256::digest(&data)));
}

async fn one_block(aws: &LocalAws, ebs: &Client) -> (String, String) {
    let image = image(&[(0, 1)]);
    let network = aws.create_network().await.expect("a network");
    let host = aws.run_instance(&network, image.path(), false, &[]).await.expect("an instance");
    let snapshot = completed_snapshot(aws, &host.volume_id).await;
    let listed = ebs.list_snapshot_blocks().snapshot_id(&snapshot).send().await.expect("a list");
    let token = listed.blocks()[0].block_token().expect("a token").to_owned();
    (snapshot, token)
}
