//! The few requests of a scan to ECR, Amazon's registry of container images, as a trait that tests can stand in for.

use aws_sdk_ecr::types::ImageIdentifier;
use scanner_policy::actions;

use super::{Aws, AwsError};

/// What a scan needs of ECR.
pub trait Registry: std::fmt::Debug + Send + Sync + 'static {
    /// The manifest of an image, or the index of images of several architectures, as its author wrote it.
    fn manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> impl Future<Output = Result<String, AwsError>> + Send;

    /// A presigned URL of a layer. It expires.
    fn layer_url(
        &self,
        repository: &Repository,
        digest: &str,
    ) -> impl Future<Output = Result<String, AwsError>> + Send;
}

/// A repository of container images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// The account that it belongs to.
    pub registry: String,
    /// Its name, such as `team/orders`.
    pub name: String,
}

/// What names an image in its repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// The SHA-256 of its manifest, with `sha256:` before it.
    Digest(String),
    /// A tag.
    Tag(String),
}

/// The forms of a manifest that a scan understands (Docker's "Image Manifest V2, Schema 2" and the OCI image format).
const ACCEPTED: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

impl Registry for Aws {
    async fn manifest(&self, repository: &Repository, reference: &Reference) -> Result<String, AwsError> {
        let call = actions::ECR_BATCH_GET_IMAGE;
        let id = match reference {
            Reference::Digest(digest) => ImageIdentifier::builder().image_digest(digest),
            Reference::Tag(tag) => ImageIdentifier::builder().image_tag(tag),
        };
        let request = self
            .ecr
            .batch_get_image()
            .registry_id(&repository.registry)
            .repository_name(&repository.name)
            .image_ids(id.build())
            .set_accepted_media_types(Some(ACCEPTED.map(str::to_owned).to_vec()));
        let answer = self.send(call, || request.clone().send()).await?;
        if let Some(manifest) = answer.images().first().and_then(|image| image.image_manifest()) {
            return Ok(manifest.to_owned());
        }
        let reason = answer.failures().first().and_then(|failure| failure.failure_reason());
        let detail = format!("no image in {}: {}", repository.name, reason.unwrap_or("no reason given"));
        Err(AwsError::NotFound { call: call.name(), detail })
    }

    async fn layer_url(&self, repository: &Repository, digest: &str) -> Result<String, AwsError> {
        let call = actions::ECR_GET_DOWNLOAD_URL_FOR_LAYER;
        let request = self
            .ecr
            .get_download_url_for_layer()
            .registry_id(&repository.registry)
            .repository_name(&repository.name)
            .layer_digest(digest);
        let answer = self.send(call, || request.clone().send()).await?;
        answer.download_url().map(str::to_owned).ok_or_else(|| AwsError::Response {
            call: call.name(),
            problem: "it lacks the address".to_owned(),
        })
    }
}
