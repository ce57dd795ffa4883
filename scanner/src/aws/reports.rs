//! The bucket that package lists are put into: one request, `s3:PutObject`.

use aws_config::Region;
use aws_config::retry::RetryConfig;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ServerSideEncryption};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_types::SdkConfig;
use bytes::Bytes;

use super::error::innermost;

/// A bucket that package lists are put into.
#[derive(Clone, Debug)]
pub struct ReportBucket {
    s3: aws_sdk_s3::Client,
    name: String,
    kms_key: Option<String>,
}

/// One object.
#[derive(Clone, Debug)]
pub struct ReportObject<'a> {
    /// Its key.
    pub key: &'a str,
    /// What its contents are.
    pub content_type: &'a str,
    /// What S3 keeps with it, as names and values that a header may have.
    pub metadata: &'a [(String, String)],
    /// Its contents.
    pub body: Bytes,
}

/// Why an object was not put, by what is to be done.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReportError {
    /// S3 does not want this object.
    #[error("{0}")]
    Object(String),
    /// The bucket, the key or the role are not right.
    #[error("{0}")]
    Bucket(String),
    /// It may succeed later.
    #[error("{0}")]
    Passing(String),
}

impl ReportBucket {
    /// The bucket of this name, in the region of the configuration unless another is given. Objects are encrypted with the
    /// KMS key of this ARN; without one as the bucket has it.
    ///
    /// A request is tried once: whoever calls keeps the object and comes again.
    pub fn new(config: &SdkConfig, name: String, region: Option<String>, kms_key: Option<String>) -> Self {
        let region = region.map(Region::new).or_else(|| config.region().cloned());
        // A stand-in for S3 seldom has names for its buckets.
        let is_stand_in = config.endpoint_url().is_some();
        let mut builder = aws_sdk_s3::config::Builder::from(config);
        builder.set_region(region);
        let config = builder.retry_config(RetryConfig::disabled()).force_path_style(is_stand_in).build();
        Self { s3: aws_sdk_s3::Client::from_conf(config), name, kms_key }
    }

    /// Puts an object there, with a checksum that S3 compares.
    pub async fn put(&self, object: ReportObject<'_>) -> Result<(), ReportError> {
        let mut request = self
            .s3
            .put_object()
            .bucket(&self.name)
            .key(object.key)
            .content_type(object.content_type)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .body(ByteStream::from(object.body));
        for (name, value) in object.metadata {
            request = request.metadata(name, value);
        }
        if let Some(key) = &self.kms_key {
            request = request.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id(key);
        }
        // The one place from which the request leaves.
        let answer = request.send().await;
        answer.map(drop).map_err(|error| self.sorted(&error))
    }

    fn sorted(&self, error: &SdkError<PutObjectError, HttpResponse>) -> ReportError {
        let bucket = &self.name;
        let SdkError::ServiceError(answer) = error else {
            return ReportError::Passing(format!("no answer from the bucket {bucket}: {}", innermost(error)));
        };
        let status = answer.raw().status().as_u16();
        let code = answer.err().code().unwrap_or_default();
        let said = answer.err().message().unwrap_or_default();
        let said = format!("the bucket {bucket} refused it (HTTP status {status} {code}: {said})");
        // The codes are in "Error responses" of the Amazon S3 API.
        match (code, status) {
            ("EntityTooLarge" | "KeyTooLongError" | "MetadataTooLarge" | "InvalidArgument", _) => {
                ReportError::Object(said)
            }
            (
                "RequestTimeout"
                | "ExpiredToken"
                | "RequestTimeTooSkewed"
                | "BadDigest"
                | "XAmzContentSHA256Mismatch"
                | "IncompleteBody"
                | "TemporaryRedirect"
                | "SlowDown",
                _,
            ) => ReportError::Passing(said),
            ("NoSuchBucket", _) => {
                ReportError::Bucket(format!("{said}: check `sinks.s3.bucket` and `sinks.s3.region`"))
            }
            (
                "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException",
                _,
            ) => ReportError::Bucket(format!("{said}: set `sinks.s3.region` to the bucket's region")),
            (_, 403) => ReportError::Bucket(format!(
                "{said}: the scanner's role must be allowed s3:PutObject under the prefix, and kms:GenerateDataKey for the \
                 key; so must the bucket's policy"
            )),
            (_, 300..=499) if !matches!(status, 408 | 409 | 429) => {
                ReportError::Bucket(format!("{said}: check `sinks.s3`"))
            }
            _ => ReportError::Passing(said),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use aws_config::BehaviorVersion;
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use aws_smithy_runtime_api::client::http::{
        HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
    };
    use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
    use aws_smithy_types::body::SdkBody;

    use super::*;

    /// Answers requests in order, without a network, and keeps them.
    #[derive(Clone, Debug, Default)]
    struct Script {
        answers: Arc<Mutex<VecDeque<(u16, &'static str)>>>,
        requests: Arc<Mutex<Vec<HttpRequest>>>,
    }

    impl HttpConnector for Script {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            self.requests.lock().unwrap().push(request);
            let (status, code) = self.answers.lock().unwrap().pop_front().unwrap_or((200, ""));
            let body = format!("<Error><Code>{code}</Code><Message>it is so</Message></Error>");
            let body = if status == 200 { SdkBody::empty() } else { SdkBody::from(body) };
            HttpConnectorFuture::ready(Ok(HttpResponse::new(status.try_into().unwrap(), body)))
        }
    }

    impl Script {
        fn bucket(&self, kms_key: Option<&str>) -> ReportBucket {
            let script = self.clone();
            let credentials = Credentials::new("key", "secret", None, None, "test");
            let config = SdkConfig::builder()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .region(Region::new("eu-central-1"))
                .credentials_provider(SharedCredentialsProvider::new(credentials))
                .http_client(http_client_fn(move |_, _| SharedHttpConnector::new(script.clone())))
                .build();
            let region = Some("eu-west-1".to_owned());
            ReportBucket::new(&config, "reports".to_owned(), region, kms_key.map(str::to_owned))
        }
    }

    async fn put(bucket: &ReportBucket) -> Result<(), ReportError> {
        let metadata = [("scan".to_owned(), "s-1".to_owned())];
        let body = Bytes::from_static(b"{}");
        let object = ReportObject {
            key: "sbom/a/list.cdx.json",
            content_type: "application/json",
            metadata: &metadata,
            body,
        };
        bucket.put(object).await
    }

    #[tokio::test]
    async fn an_object_is_put_encrypted_and_with_a_checksum() {
        let script = Script::default();
        let key = "arn:aws:kms:eu-west-1:111111111111:key/1";
        put(&script.bucket(Some(key))).await.unwrap();
        put(&script.bucket(None)).await.unwrap();
        let requests = script.requests.lock().unwrap();
        let header = |index: usize, name: &str| requests[index].headers().get(name).map(str::to_owned);
        assert_eq!(requests[0].method(), "PUT");
        assert!(
            requests[0].uri().starts_with("https://reports.s3.eu-west-1.amazonaws.com/sbom/a/list.cdx.json")
        );
        assert_eq!(header(0, "x-amz-server-side-encryption").as_deref(), Some("aws:kms"));
        assert_eq!(header(0, "x-amz-server-side-encryption-aws-kms-key-id").as_deref(), Some(key));
        assert!(header(0, "x-amz-checksum-sha256").is_some());
        assert_eq!(header(0, "x-amz-meta-scan").as_deref(), Some("s-1"));
        assert_eq!(header(1, "x-amz-server-side-encryption"), None);
    }

    #[tokio::test]
    async fn errors_are_sorted_by_what_is_to_be_done() {
        let script = Script::default();
        let bucket = script.bucket(None);
        let mut fail = async |status, code| {
            script.answers.lock().unwrap().push_back((status, code));
            put(&bucket).await.unwrap_err()
        };
        for (status, code) in [
            (403, "AccessDenied"),
            (404, "NoSuchBucket"),
            (301, "PermanentRedirect"),
            (400, "KMS.DisabledException"),
        ] {
            let error = fail(status, code).await;
            assert!(matches!(&error, ReportError::Bucket(reason) if reason.contains(code)), "{error:?}");
        }
        for (status, code) in [(400, "EntityTooLarge"), (400, "KeyTooLongError")] {
            let error = fail(status, code).await;
            assert!(matches!(error, ReportError::Object(_)), "{error:?}");
        }
        for (status, code) in [
            (503, "SlowDown"),
            (500, "InternalError"),
            (400, "RequestTimeout"),
            (400, "ExpiredToken"),
            (409, "Conflict"),
        ] {
            let error = fail(status, code).await;
            assert!(matches!(error, ReportError::Passing(_)), "{error:?}");
        }
        assert_eq!(script.requests.lock().unwrap().len(), 11, "one attempt each");
    }
}
