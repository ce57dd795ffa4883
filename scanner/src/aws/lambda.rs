//! The few Lambda requests of a scan, as a trait that tests can stand in for.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use scanner_policy::{Call, actions};

use super::{Aws, AwsError, Tags};

/// What a scan needs of Lambda.
pub trait Lambda: fmt::Debug + Send + Sync + 'static {
    /// Looks a function up, by its name or ARN; without a qualifier, its unpublished version.
    fn function(
        &self,
        name: &str,
        qualifier: Option<&str>,
    ) -> impl Future<Output = Result<Function, AwsError>> + Send;

    /// Looks a version of a layer up, by its ARN.
    fn layer(&self, arn: &str) -> impl Future<Output = Result<Code, AwsError>> + Send;
}

/// What a scan needs to know of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Function {
    /// Its ARN, with the qualifier if it was asked for by one.
    pub arn: String,
    /// Its version, such as `$LATEST` or `7`.
    pub version: String,
    /// The managed runtime that it runs on, such as `python3.12`; none if it is a container image.
    pub runtime: Option<String>,
    /// The architecture of the processor that it runs on: `x86_64` or `arm64`.
    pub architecture: String,
    /// The SHA-256 of the code as Lambda gives it: in Base64 of a zip, in hexadecimal of an image.
    pub code_sha256: Option<String>,
    /// Its code.
    pub package: Package,
    /// The ARNs of its layers' versions, in the order in which they are unpacked.
    pub layers: Vec<String>,
    /// Its tags, if the caller may see them: Lambda leaves them out for who lacks `lambda:ListTags`.
    pub tags: Tags,
}

/// In what form a function's code comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Package {
    /// A zip.
    Zip(Code),
    /// A container image with this URI, with its digest if Lambda gave it.
    Image(String),
}

/// A zip of code.
#[derive(Clone, PartialEq, Eq)]
pub struct Code {
    /// A presigned URL. It expires after ten minutes ("`GetFunction`" and "`GetLayerVersion`" in the Lambda API reference).
    pub url: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Option<[u8; 32]>,
}

/// Without the URL: who has that may read the code.
impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Code").field("size", &self.size).field("sha256", &self.sha256).finish_non_exhaustive()
    }
}

impl Lambda for Aws {
    async fn function(&self, name: &str, qualifier: Option<&str>) -> Result<Function, AwsError> {
        let call = actions::LAMBDA_GET_FUNCTION;
        let request =
            self.lambda.get_function().function_name(name).set_qualifier(qualifier.map(str::to_owned));
        let answer = self.send(call, || request.clone().send()).await?;
        let lacks = |what| lacks(call, what);
        let (configuration, code) = answer
            .configuration()
            .zip(answer.code())
            .ok_or_else(|| lacks("the configuration or the code of the function"))?;
        let code_sha256 = configuration.code_sha256().map(str::to_owned);
        let image = code.resolved_image_uri().or_else(|| code.image_uri());
        let package = match (image, code.location()) {
            (Some(image), _) => Package::Image(image.to_owned()),
            (None, Some(url)) => Package::Zip(Code {
                url: url.to_owned(),
                size: size(call, configuration.code_size())?,
                sha256: digest(code_sha256.as_deref()),
            }),
            (None, None) => return Err(lacks("the address of the code")),
        };
        let arn = configuration.function_arn().ok_or_else(|| lacks("the function's ARN"))?;
        let layers = configuration.layers().iter().filter_map(|layer| layer.arn());
        Ok(Function {
            arn: arn.to_owned(),
            version: configuration.version().unwrap_or("$LATEST").to_owned(),
            runtime: configuration.runtime().map(|runtime| runtime.as_str().to_owned()),
            // "Lambda instruction set architectures": the default.
            architecture: configuration
                .architectures()
                .first()
                .map_or("x86_64", |architecture| architecture.as_str())
                .to_owned(),
            code_sha256,
            package,
            layers: layers.map(str::to_owned).collect(),
            tags: answer
                .tags()
                .into_iter()
                .flatten()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        })
    }

    async fn layer(&self, arn: &str) -> Result<Code, AwsError> {
        let call = actions::LAMBDA_GET_LAYER_VERSION;
        let version = arn.rsplit_once(':').and_then(|(layer, version)| Some((layer, version.parse().ok()?)));
        let (layer, version): (_, i64) = version.ok_or_else(|| AwsError::Response {
            call: call.name(),
            problem: format!("{arn} is no version of a layer"),
        })?;
        let request = self.lambda.get_layer_version().layer_name(layer).version_number(version);
        let answer = self.send(call, || request.clone().send()).await?;
        let content = answer.content().ok_or_else(|| lacks(call, "the content of the layer"))?;
        Ok(Code {
            url: content.location().ok_or_else(|| lacks(call, "the address of the layer"))?.to_owned(),
            size: size(call, content.code_size())?,
            sha256: digest(content.code_sha256()),
        })
    }
}

fn lacks(call: Call, what: &str) -> AwsError {
    AwsError::Response { call: call.name(), problem: format!("it lacks {what}") }
}

fn size(call: Call, size: i64) -> Result<u64, AwsError> {
    u64::try_from(size)
        .map_err(|_| AwsError::Response { call: call.name(), problem: format!("code of {size} bytes") })
}

fn digest(base64: Option<&str>) -> Option<[u8; 32]> {
    BASE64.decode(base64?).ok()?.try_into().ok()
}
