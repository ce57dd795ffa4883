//! What functions, layers and container images hold, and the presigned URLs by which it is read.
//!
//! moto knows functions and layers, but serves no bytes of them; of ECR it knows neither digests that are right nor URLs of
//! layers. The code is learned from the calls that create functions and layers. Ranges and expiry are those of S3: "`GetObject`"
//! in its API reference, "Sharing objects with presigned URLs" in its user guide.
#![expect(clippy::indexing_slicing, reason = "what a JSON value does not have is null")]

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::reply::{Reply, ServiceError};
use super::request::{Request, hex};

/// The service under which reading by a presigned URL is recorded and met by faults; the action is `GetObject`.
pub(crate) const PRESIGNED: &str = "presigned";
/// How long a URL is valid ("`GetFunction`" in the Lambda API reference).
const VALID_FOR: Duration = Duration::from_mins(10);

/// What is behind presigned URLs.
#[derive(Debug, Default)]
pub(crate) struct Functions {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Zips, by the name of their function, or by the name and version of their layer.
    zips: BTreeMap<String, Bytes>,
    /// Manifests by repository and digest.
    manifests: BTreeMap<(String, String), String>,
    /// Layers of images by repository and digest.
    layers: BTreeMap<(String, String), Bytes>,
    urls: BTreeMap<String, (Bytes, SystemTime)>,
    knows_no_ranges: bool,
}

impl Functions {
    /// Put an image into a repository: its layers, and a manifest. Returns the manifest's digest.
    pub(crate) fn push(&self, repository: &str, layers: &[Bytes]) -> String {
        let mut described = Vec::new();
        let mut state = self.locked();
        for layer in layers {
            let digest = digest(layer);
            described.push(json!({
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": layer.len()
            }));
            state.layers.insert((repository.to_owned(), digest), layer.clone());
        }
        let config = json!({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(b"{}"), "size": 2});
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config,
            "layers": described,
        })
        .to_string();
        let manifest_digest = digest(manifest.as_bytes());
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [
                {"digest": digest(b"another"), "size": 7, "platform": {"os": "linux", "architecture": "arm64"}},
                {"digest": manifest_digest, "size": manifest.len(), "platform": {"os": "linux", "architecture": "amd64"}},
            ],
        })
        .to_string();
        let index_digest = digest(index.as_bytes());
        state.manifests.insert((repository.to_owned(), manifest_digest), manifest);
        state.manifests.insert((repository.to_owned(), index_digest.clone()), index);
        index_digest
    }

    /// Whether presigned URLs give everything, whatever range is asked for.
    pub(crate) fn set_knows_no_ranges(&self, is_so: bool) {
        self.locked().knows_no_ranges = is_so;
    }

    /// Let every URL that was given out have expired.
    pub(crate) fn expire(&self) {
        for (_, expires) in self.locked().urls.values_mut() {
            *expires = SystemTime::UNIX_EPOCH;
        }
    }

    /// Learn from a successful call to Lambda, and give its reply the URL that moto has not.
    pub(crate) fn follow(
        &self,
        request: &Request,
        mut reply: Reply,
        endpoint: &str,
        now: SystemTime,
    ) -> Reply {
        let (Ok(asked), Ok(mut answer)) = (
            serde_json::from_slice::<Value>(if request.body.is_empty() { b"{}" } else { &request.body }),
            serde_json::from_slice::<Value>(&reply.body),
        ) else {
            return reply;
        };
        let zip = |value: &Value| Some(Bytes::from(BASE64.decode(value.as_str()?).ok()?));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match request.action.as_str() {
            "CreateFunction" => {
                if let Some(zip) = zip(&asked["Code"]["ZipFile"]) {
                    self.locked().zips.insert(text(&answer["FunctionName"]), zip);
                }
            }
            "PublishLayerVersion" => {
                if let Some(zip) = zip(&asked["Content"]["ZipFile"]) {
                    self.locked().zips.insert(text(&answer["LayerVersionArn"]), zip);
                }
            }
            "GetFunction" if answer["Configuration"]["PackageType"] == "Image" => {
                // moto makes a digest up.
                if let Some(code) = answer["Code"].as_object_mut() {
                    let uri = code.get("ImageUri").cloned().unwrap_or_default();
                    code.insert("ResolvedImageUri".to_owned(), uri);
                }
            }
            "GetFunction" => {
                let name = text(&answer["Configuration"]["FunctionName"]);
                answer["Code"]["Location"] = self.url_of_zip(&name, endpoint, now);
            }
            "GetLayerVersion" => {
                let arn = text(&answer["LayerVersionArn"]);
                answer["Content"]["Location"] = self.url_of_zip(&arn, endpoint, now);
            }
            _ => return reply,
        }
        reply.body = Bytes::from(answer.to_string());
        reply
    }

    /// Answer a request to ECR.
    pub(crate) fn answer_ecr(&self, request: &Request, endpoint: &str, now: SystemTime) -> Reply {
        let parameter = |name: &str| request.parameters.get(name).cloned().unwrap_or_default();
        let repository = parameter("repositoryName");
        let refused =
            |code, message: &str| ServiceError::new(StatusCode::BAD_REQUEST, code, message).reply("ecr");
        match request.action.as_str() {
            "BatchGetImage" => {
                let asked = parameter("imageIds.1.imageDigest");
                let manifest = self.locked().manifests.get(&(repository.clone(), asked.clone())).cloned();
                let (mut images, mut failures) = (Vec::new(), Vec::new());
                match manifest {
                    Some(manifest) => images.push(json!({
                        "registryId": parameter("registryId"),
                        "repositoryName": repository,
                        "imageId": {"imageDigest": asked},
                        "imageManifest": manifest,
                    })),
                    None => failures.push(json!({
                        "imageId": {"imageDigest": asked},
                        "failureCode": "ImageNotFound",
                        "failureReason": "Requested image not found",
                    })),
                }
                Reply::json(StatusCode::OK, json!({"images": images, "failures": failures}))
            }
            "GetDownloadUrlForLayer" => {
                let digest = parameter("layerDigest");
                let layer = self.locked().layers.get(&(repository, digest.clone())).cloned();
                let Some(layer) = layer else {
                    return refused("LayersNotFoundException", "The specified layer was not found");
                };
                let url = self.give_out(layer, endpoint, now);
                Reply::json(StatusCode::OK, json!({"downloadUrl": url, "layerDigest": digest}))
            }
            _ => refused("UnknownOperationException", "the local AWS serves images by their digest alone"),
        }
    }

    /// Answer a request by a presigned URL.
    pub(crate) fn answer_presigned(&self, request: &Request, now: SystemTime) -> Reply {
        let refused = |code, message: &str| ServiceError::new(StatusCode::FORBIDDEN, code, message).reply("");
        if request.scope.is_some() || request.header("x-amz-security-token").is_some() {
            let status = StatusCode::BAD_REQUEST;
            return ServiceError::new(status, "InvalidArgument", "Only one auth mechanism allowed").reply("");
        }
        let state = self.locked();
        let token = request.parts.uri.path().rsplit('/').next().unwrap_or_default();
        let Some((bytes, expires)) = state.urls.get(token) else {
            return refused("SignatureDoesNotMatch", "The request signature does not match");
        };
        if now >= *expires {
            return refused("AccessDenied", "Request has expired");
        }
        let range = request.header("range").filter(|_| !state.knows_no_ranges);
        let Some(range) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) else {
            return Reply { status: StatusCode::OK, headers: HeaderMap::new(), body: bytes.clone() };
        };
        let number = |text: &str| text.parse::<usize>().ok();
        let (Some(first), Some(last)) = (number(range.0), number(range.1)) else {
            return refused("InvalidArgument", "not a range");
        };
        let end = last.saturating_add(1).min(bytes.len());
        if first >= end {
            let status = StatusCode::RANGE_NOT_SATISFIABLE;
            return ServiceError::new(status, "InvalidRange", "The requested range is not satisfiable")
                .reply("");
        }
        let content_range = format!("bytes {first}-{}/{}", end - 1, bytes.len());
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_str(&content_range) {
            headers.insert(http::header::CONTENT_RANGE, value);
        }
        Reply { status: StatusCode::PARTIAL_CONTENT, headers, body: bytes.slice(first..end) }
    }

    fn url_of_zip(&self, name: &str, endpoint: &str, now: SystemTime) -> Value {
        let zip = self.locked().zips.get(name).cloned();
        zip.map_or(Value::Null, |zip| Value::String(self.give_out(zip, endpoint, now)))
    }

    fn give_out(&self, bytes: Bytes, endpoint: &str, now: SystemTime) -> String {
        let token = uuid::Uuid::new_v4().simple().to_string();
        let url = format!("{endpoint}{PATH}{token}");
        self.locked().urls.insert(token, (bytes, now + VALID_FOR));
        url
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where presigned URLs lead.
pub(crate) const PATH: &str = "/presigned/";

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}
