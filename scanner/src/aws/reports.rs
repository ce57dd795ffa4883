//! Package lists, stored in S3 with the scanner's own identity.

use std::collections::HashMap;
use std::sync::Arc;

use aws_config::Region;
use aws_sdk_s3::types::{ChecksumAlgorithm, ServerSideEncryption};
use aws_smithy_types::byte_stream::ByteStream;
use bytes::Bytes;
use scanner_policy::{ReportStore, actions};

use super::config::once;
use super::{AwsError, Home};

/// A bucket, what the keys in it begin with, and how objects there are encrypted.
#[derive(Clone, Debug)]
pub struct Bucket {
    home: Arc<Home>,
    client: aws_sdk_s3::Client,
    store: ReportStore,
}

impl Bucket {
    /// `region` is that of the bucket, if it is not the scanner's own.
    pub fn new(home: Arc<Home>, store: ReportStore, region: Option<String>) -> Self {
        let region = region.unwrap_or_else(|| home.region().to_owned());
        let config = aws_sdk_s3::config::Builder::from(&home.config)
            .region(Region::new(region))
            // Names of buckets are no host names where the endpoint is not AWS's.
            .force_path_style(home.config.endpoint_url().is_some())
            .interceptor(home.sender.interceptor())
            .retry_config(once());
        let client = aws_sdk_s3::Client::from_conf(config.build());
        Self { home, client, store }
    }

    /// Stores an object under the prefix and `name`, in place of one of this name. S3 encrypts it with the key of the
    /// store, or without one with that of the bucket.
    ///
    /// `metadata` are names and values that a header may have; S3 keeps them with the object. S3 compares a checksum.
    pub async fn put(
        &self,
        name: &str,
        content_type: &str,
        metadata: &[(String, String)],
        bytes: Bytes,
    ) -> Result<(), AwsError> {
        let metadata: HashMap<_, _> = metadata.iter().cloned().collect();
        let key = self.store.kms_key.as_ref();
        let send = || {
            self.client
                .put_object()
                .bucket(self.store.bucket.as_str())
                .key(format!("{}{name}", self.store.prefix))
                .content_type(content_type)
                .set_metadata(Some(metadata.clone()))
                .checksum_algorithm(ChecksumAlgorithm::Sha256)
                .set_server_side_encryption(key.map(|_| ServerSideEncryption::AwsKms))
                .set_ssekms_key_id(key.map(ToString::to_string))
                .body(ByteStream::from(bytes.clone()))
                .send()
        };
        Box::pin(self.home.sender.send(actions::S3_PUT_OBJECT, send)).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Script;
    use super::*;

    const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd";

    async fn bucket(script: &Script, key: Option<&str>) -> Bucket {
        let store = ReportStore {
            bucket: "reports".parse().unwrap(),
            prefix: "scans/".parse().unwrap(),
            kms_key: key.map(|key| key.parse().unwrap()),
        };
        Bucket::new(Arc::new(script.home().await), store, Some("eu-west-1".to_owned()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_report_is_stored_under_the_prefix_and_encrypted() {
        let script = Script::new([(503, String::new()), (200, String::new()), (200, String::new())]);
        for key in [Some(KEY), None] {
            let bucket = bucket(&script, key).await;
            bucket
                .put(
                    "a/b.json",
                    "application/json",
                    &[("scan".to_owned(), "1".to_owned())],
                    Bytes::from_static(b"{}"),
                )
                .await
                .unwrap();
        }
        let asked = script.asked();
        let [_, encrypted, plain] = &asked[..] else { panic!("{asked:?}") };
        assert_eq!(encrypted.method, "PUT");
        let address = "https://reports.s3.eu-west-1.amazonaws.com/scans/a/b.json";
        assert!(encrypted.uri.starts_with(address), "{}", encrypted.uri);
        assert_eq!(encrypted.header("x-amz-meta-scan"), "1");
        assert_eq!(encrypted.header("x-amz-server-side-encryption"), "aws:kms");
        assert_eq!(encrypted.header("x-amz-server-side-encryption-aws-kms-key-id"), KEY);
        assert_eq!(plain.header("x-amz-server-side-encryption"), "");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_names_the_permission() {
        let refusal = |code: &str, message: &str| {
            (403, format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>"))
        };
        let script = Script::new([
            refusal("AccessDenied", "Access Denied"),
            refusal("AccessDenied", "not authorized to perform: kms:GenerateDataKey"),
            (404, "<Error><Code>NoSuchBucket</Code></Error>".to_owned()),
        ]);
        let bucket = bucket(&script, Some(KEY)).await;
        for expected in ["must contain s3:PutObject", "must contain kms:GenerateDataKey", "found nothing"] {
            let error = bucket.put("a", "text/plain", &[], Bytes::new()).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
