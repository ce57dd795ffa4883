//! What the tests have in common.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use agentless_tests::local_aws::{BLOCK_SIZE, LocalAws, Options};
use tempfile::NamedTempFile;
use tokio::sync::OnceCell;

/// The local AWS that tests share when they change nothing but resources of their own.
pub(crate) async fn aws() -> &'static LocalAws {
    static AWS: OnceCell<LocalAws> = OnceCell::const_new();
    AWS.get_or_init(start).await
}

/// A local AWS for a test that injects faults, advances the clock or reads the calls, in front of the same moto.
pub(crate) async fn own() -> LocalAws {
    aws().await.share(Options::default()).expect("another local AWS")
}

/// A local AWS for a test that changes how moto behaves, or counts all there is.
pub(crate) async fn start() -> LocalAws {
    LocalAws::start(Options::default()).await.expect("the local AWS starts")
}

/// A sparse image with the given blocks, each filled with one byte.
pub(crate) fn image(blocks: &[(u64, u8)]) -> NamedTempFile {
    let image = NamedTempFile::new().expect("a temporary file");
    image.as_file().set_len(1 << 30).expect("a sparse file");
    write_blocks(image.path(), blocks);
    image
}

/// Fill blocks of an image.
pub(crate) fn write_blocks(image: &Path, blocks: &[(u64, u8)]) {
    let mut file = std::fs::OpenOptions::new().write(true).open(image).expect("the image");
    for (index, byte) in blocks {
        file.seek(SeekFrom::Start(index * BLOCK_SIZE)).expect("a seek");
        file.write_all(&vec![*byte; block_size()]).expect("a write");
    }
}

/// The length of a block.
pub(crate) fn block_size() -> usize {
    usize::try_from(BLOCK_SIZE).expect("a block fits in memory")
}

/// The code of an SDK error that a service answered.
pub(crate) fn code<E, R>(error: &aws_sdk_ec2::error::SdkError<E, R>) -> String
where
    E: aws_sdk_ec2::error::ProvideErrorMetadata,
{
    let code = error.as_service_error().and_then(|error| error.code());
    code.map_or_else(|| "not answered by the service".to_owned(), str::to_owned)
}

/// The message of an SDK error that a service answered.
pub(crate) fn message<E, R>(error: &aws_sdk_ec2::error::SdkError<E, R>) -> String
where
    E: aws_sdk_ec2::error::ProvideErrorMetadata,
{
    error.as_service_error().and_then(|error| error.message()).unwrap_or_default().to_owned()
}

/// The snapshots completed: as any client must, describe until it is so.
pub(crate) async fn completed_snapshot(aws: &LocalAws, volume_id: &str) -> String {
    let ec2 = aws_sdk_ec2::Client::new(&aws.sdk_config());
    let snapshot = ec2.create_snapshot().volume_id(volume_id).send().await.expect("CreateSnapshot");
    let id = snapshot.snapshot_id().expect("an id").to_owned();
    let described = ec2.describe_snapshots().snapshot_ids(&id).send().await.expect("DescribeSnapshots");
    let state = described.snapshots()[0].state().expect("a state");
    assert_eq!(state.as_str(), "completed");
    id
}
