//! Lambda functions as archives that can be read: the code and the layers of a zip function, or the layers of an image.

use std::fmt;

use agentless_core::source::{ArchiveFormat, Place};
use scanner_policy::tags;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::aws::{AwsError, Code, Function, Lambda, Package, Reference, Registry, Repository};

/// What names a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionName {
    /// What the user gave.
    given: String,
    /// Its name, or its ARN without a qualifier.
    name: String,
    /// A version or an alias.
    qualifier: Option<String>,
    /// The region that an ARN names.
    region: Option<String>,
}

impl FunctionName {
    /// Understands `lambda:NAME[:QUALIFIER]` and ARNs of functions; anything else is none. The characters are those of
    /// "`GetFunction`" in the Lambda API reference.
    pub fn parse(given: &str) -> Option<Self> {
        let is_name = |text: &str, more: &str| {
            let is_known = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c) || more.contains(c);
            (1..=128).contains(&text.len()) && text.chars().all(is_known)
        };
        let parts: Vec<&str> = given.split(':').collect();
        let (name, qualifier, region) = match parts.as_slice() {
            ["lambda", name, rest @ ..] if is_name(name, "") => ((*name).to_owned(), rest, None),
            ["arn", partition, "lambda", region, account, "function", name, rest @ ..]
                if is_name(partition, "")
                    && is_name(region, "")
                    && is_name(account, "")
                    && is_name(name, "") =>
            {
                let arn = ["arn", partition, "lambda", region, account, "function", name].join(":");
                (arn, rest, Some((*region).to_owned()))
            }
            _ => return None,
        };
        let qualifier = match qualifier {
            [] => None,
            [qualifier] if is_name(qualifier, "$") => Some((*qualifier).to_owned()),
            _ => return None,
        };
        Some(Self { given: given.to_owned(), name, qualifier, region })
    }

    /// The region that it names, if it is an ARN.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// Asks Lambda for the function.
    pub async fn ask(&self, cloud: &impl Lambda) -> Result<Function, AwsError> {
        cloud.function(&self.name, self.qualifier.as_deref()).await
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.given)
    }
}

/// One archive of a function, and how its bytes are had.
#[derive(Clone, Debug)]
pub struct Part {
    /// What to call it.
    pub id: String,
    /// Where it is unpacked.
    pub place: Place,
    /// How it is packed.
    pub format: ArchiveFormat,
    /// Where its bytes are; or why it cannot be read.
    pub content: Result<Content, String>,
}

/// The bytes of an archive.
#[derive(Clone, Debug)]
pub struct Content {
    /// Who knows its address.
    pub origin: Origin,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Option<[u8; 32]>,
    /// Its address, if that came with what else is known of it.
    pub url: Option<String>,
}

/// Who knows the address of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Lambda, of the code of this function.
    Function(FunctionName),
    /// Lambda, of this version of a layer.
    Layer(String),
    /// ECR, of the layer of an image with this digest.
    Image(Repository, String),
}

/// Why a function gives nothing to read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FunctionError {
    /// AWS did not answer, or said no.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// Its owner does not want it.
    #[error(
        "{id} must not be scanned: it has the tag {}={}, by which its owner opts out",
        tags::SCANNER,
        tags::FALSE
    )]
    OptedOut {
        /// The function.
        id: String,
    },
    /// Its image is not one that can be read.
    #[error("its image {uri} cannot be read: {problem}")]
    Image {
        /// The image.
        uri: String,
        /// What is wrong.
        problem: String,
    },
}

/// Finds the archives of a function, in the order in which they are unpacked.
pub async fn parts<C: Lambda + Registry>(
    cloud: &C,
    name: &FunctionName,
) -> Result<(Function, Vec<Part>), FunctionError> {
    let function = name.ask(cloud).await?;
    if function.tags.get(tags::SCANNER).is_some_and(|value| value == tags::FALSE) {
        return Err(FunctionError::OptedOut { id: name.to_string() });
    }
    let parts = match &function.package {
        Package::Zip(code) => zips(cloud, name, &function, code).await,
        Package::Image(uri) => layers_of_image(cloud, uri, &function.architecture).await?,
    };
    Ok((function, parts))
}

/// The code, and the layers that it uses. A layer that cannot be looked up costs itself alone.
async fn zips(cloud: &impl Lambda, name: &FunctionName, function: &Function, code: &Code) -> Vec<Part> {
    let zip =
        |id: &str, place, content| Part { id: id.to_owned(), place, format: ArchiveFormat::Zip, content };
    let content =
        |origin, code: Code| Content { origin, size: code.size, sha256: code.sha256, url: Some(code.url) };
    let origin = Origin::Function(name.clone());
    let mut parts = vec![zip(&function.arn, Place::Task, Ok(content(origin, code.clone())))];
    for arn in &function.layers {
        let layer = cloud.layer(arn).await.map(|code| content(Origin::Layer(arn.clone()), code));
        parts.push(zip(arn, Place::Opt, layer.map_err(|error| crate::chain(&error))));
    }
    parts
}

/// A manifest of an image, or an index of such (OCI image format specification, "Image Manifest" and "Image Index"; Docker's
/// forms have the same fields).
#[derive(Debug, Deserialize)]
struct Manifest {
    #[serde(default)]
    manifests: Vec<Described>,
    #[serde(default)]
    layers: Vec<Described>,
}

#[derive(Debug, Deserialize)]
struct Described {
    digest: String,
    size: u64,
    platform: Option<Platform>,
}

#[derive(Debug, Deserialize)]
struct Platform {
    architecture: String,
}

/// More layers than any engine takes.
const MAX_LAYERS: usize = 512;

async fn layers_of_image(
    cloud: &impl Registry,
    uri: &str,
    architecture: &str,
) -> Result<Vec<Part>, FunctionError> {
    let wrong = |problem: String| FunctionError::Image { uri: uri.to_owned(), problem };
    let (repository, reference) =
        image(uri).ok_or_else(|| wrong("it is in no registry of ECR".to_owned()))?;
    let read = async |reference: &Reference| {
        let text = cloud.manifest(&repository, reference).await?;
        if let Reference::Digest(digest) = reference
            && sha256_of(digest) != Some(Sha256::digest(&text).into())
        {
            return Err(wrong(format!("its manifest is not that with the digest {digest}")));
        }
        serde_json::from_str::<Manifest>(&text)
            .map_err(|error| wrong(format!("its manifest makes no sense: {error}")))
    };
    let mut manifest = read(&reference).await?;
    if !manifest.manifests.is_empty() {
        // The names of the Go language, which images use.
        let wanted = if architecture == "arm64" { "arm64" } else { "amd64" };
        let is_wanted = |one: &&Described| one.platform.as_ref().is_some_and(|is| is.architecture == wanted);
        let chosen = manifest.manifests.iter().find(is_wanted);
        let chosen = chosen.ok_or_else(|| wrong(format!("it has no image for {wanted}")))?;
        manifest = read(&Reference::Digest(chosen.digest.clone())).await?;
    }
    if manifest.layers.is_empty() || manifest.layers.len() > MAX_LAYERS {
        return Err(wrong(format!("its manifest has {} layers", manifest.layers.len())));
    }
    let layer = |layer: Described| Part {
        id: layer.digest.clone(),
        place: Place::Root,
        format: ArchiveFormat::Tar,
        content: match sha256_of(&layer.digest) {
            None => Err("its digest is no SHA-256, so that it could not be checked".to_owned()),
            sha256 => Ok(Content {
                origin: Origin::Image(repository.clone(), layer.digest),
                size: layer.size,
                sha256,
                url: None,
            }),
        },
    };
    Ok(manifest.layers.into_iter().map(layer).collect())
}

/// The repository of an image's URI, and what names it there: `ACCOUNT.dkr.ecr.REGION.…/NAME@sha256:…` or `…/NAME:TAG`.
/// The registry's dual-stack endpoint begins with `ACCOUNT.dkr-ecr.` ("Getting started with making requests over IPv6").
fn image(uri: &str) -> Option<(Repository, Reference)> {
    let (host, path) = uri.split_once('/')?;
    let (registry, rest) = host.split_once('.')?;
    if registry.len() != 12 || !["dkr.ecr", "dkr-ecr"].iter().any(|start| rest.starts_with(start)) {
        return None;
    }
    let (name, reference) = if let Some((name, digest)) = path.split_once('@') {
        // A tag before a digest says nothing more.
        (name.split(':').next()?, Reference::Digest(digest.to_owned()))
    } else {
        let (name, tag) = path.split_once(':').unwrap_or((path, "latest"));
        (name, Reference::Tag(tag.to_owned()))
    };
    Some((Repository { registry: registry.to_owned(), name: name.to_owned() }, reference))
}

/// The bytes of a digest such as `sha256:…`.
fn sha256_of(digest: &str) -> Option<[u8; 32]> {
    let hexadecimal = digest.strip_prefix("sha256:").filter(|text| text.len() == 64 && text.is_ascii())?;
    let mut bytes = [0; 32];
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hexadecimal.get(place * 2..place * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_arns_of_functions_are_understood() {
        let arn = "arn:aws:lambda:eu-central-1:111122223333:function:orders";
        for (given, name, qualifier, region) in [
            ("lambda:orders", "orders", None, None),
            ("lambda:orders:$LATEST", "orders", Some("$LATEST"), None),
            ("lambda:orders:7", "orders", Some("7"), None),
            (arn, arn, None, Some("eu-central-1")),
            (&format!("{arn}:live"), arn, Some("live"), Some("eu-central-1")),
        ] {
            let parsed = FunctionName::parse(given).unwrap();
            assert_eq!(
                (&*parsed.name, parsed.qualifier.as_deref(), parsed.region()),
                (name, qualifier, region)
            );
            assert_eq!(parsed.to_string(), given);
        }
        for wrong in
            ["lambda:", "lambda:a b", "lambda:a:b:c", "lambda:a:", "orders", "arn:aws:lambda:x:y:layer:z:1"]
        {
            assert_eq!(FunctionName::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn images_are_found_in_their_repository() {
        let of = |uri: &str| {
            image(uri).map(|(repository, reference)| (repository.registry, repository.name, reference))
        };
        let host = "111122223333.dkr.ecr.eu-central-1.amazonaws.com";
        let tagged = |tag: &str| Reference::Tag(tag.to_owned());
        let expected = |reference| Some(("111122223333".to_owned(), "team/orders".to_owned(), reference));
        assert_eq!(of(&format!("{host}/team/orders:7")), expected(tagged("7")));
        assert_eq!(of(&format!("{host}/team/orders")), expected(tagged("latest")));
        let dual_stack = "111122223333.dkr-ecr.eu-central-1.on.aws";
        assert_eq!(of(&format!("{dual_stack}/team/orders:7")), expected(tagged("7")));
        let digest = Reference::Digest("sha256:ab".to_owned());
        assert_eq!(of(&format!("{host}/team/orders:7@sha256:ab")), expected(digest));
        assert_eq!(of("docker.io/library/debian:12"), None);
    }

    #[test]
    fn digests_have_64_digits() {
        assert_eq!(sha256_of(&format!("sha256:{}", "0a".repeat(32))), Some([10; 32]));
        for wrong in [
            "sha256:0a".to_owned(),
            format!("sha512:{}", "0a".repeat(32)),
            format!("sha256:{}", "zz".repeat(32)),
        ] {
            assert_eq!(sha256_of(&wrong), None, "{wrong}");
        }
    }
}
