//! Documents behind an HTTPS address.

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};
use minisign_verify::PublicKey;
use reqwest::{Client, Url};

use super::record::{Record, digest};
use super::{Document, Found, Seen, Shared, SourceError, lock};
use crate::tasks::document::{MAX_DOCUMENT, parse};
use crate::tasks::signature::{ENDING, MAX_SIGNATURE, verify};

/// An address, and what is known of the document behind it.
#[derive(Debug)]
pub(super) struct Address {
    document: Url,
    signature: Url,
    shown: String,
    client: Client,
    /// The entity tag of the document that was taken last.
    tag: Option<HeaderValue>,
}

impl Address {
    pub(super) fn new(text: &str, client: Client) -> Result<Self, SourceError> {
        let document = Url::parse(text).map_err(|_| SourceError::Address)?;
        let host =
            document.host_str().filter(|_| document.scheme() == "https").ok_or(SourceError::Address)?;
        let port = document.port().map_or_else(String::new, |it| format!(":{it}"));
        let shown = format!("https://{host}{port}{}", document.path());
        let mut signature = document.clone();
        signature.set_path(&format!("{}{ENDING}", document.path()));
        Ok(Self { document, signature, shown, client, tag: None })
    }

    /// The address without what could be secret in it: user, password and query.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Fetches the document if it changed.
    pub(super) async fn poll(&mut self, key: Option<&PublicKey>, record: &Shared<Record>) -> Found {
        match self.fetch_changed(key, record).await {
            Ok(document) => Found { documents: document.into_iter().collect(), errors: Vec::new() },
            Err(error) => Found { documents: Vec::new(), errors: vec![error] },
        }
    }

    /// The document with this entity tag was taken.
    pub(super) fn confirm(&mut self, tag: Option<HeaderValue>) {
        self.tag = tag;
    }

    async fn fetch_changed(
        &mut self,
        key: Option<&PublicKey>,
        record: &Shared<Record>,
    ) -> Result<Option<Document>, SourceError> {
        let name = self.shown.clone();
        let Some((contents, tag)) = self.fetch(&self.document, self.tag.as_ref(), MAX_DOCUMENT).await? else {
            return Ok(None);
        };
        let digest = digest(&contents);
        if lock(record).has(&name, &digest) {
            self.tag = tag;
            return Ok(None);
        }
        if let Some(key) = key {
            let signature = match self.fetch(&self.signature, None, MAX_SIGNATURE).await {
                Ok(signature) => signature.map(|(it, _)| it).unwrap_or_default(),
                Err(SourceError::Status { status: StatusCode::NOT_FOUND, .. }) => {
                    return Err(SourceError::NoSignature { name });
                }
                Err(error) => return Err(error),
            };
            verify(key, &contents, &signature)
                .map_err(|source| SourceError::Signature { name: name.clone(), source })?;
        }
        // Up to 8 MiB of JSON: not between other tasks of the runtime.
        let Ok(batch) = tokio::task::spawn_blocking(move || parse(&contents)).await else {
            return Ok(None);
        };
        let batch = match batch {
            Ok(batch) => batch,
            Err(source) => {
                // It stays what it is until it changes.
                self.tag = tag;
                return Err(SourceError::Document { name, source });
            }
        };
        Ok(Some(Document { name, batch, digest, seen: Seen::Address(tag) }))
    }

    /// The body behind an address and its entity tag. None if it still has the given tag.
    async fn fetch(
        &self,
        url: &Url,
        tag: Option<&HeaderValue>,
        max: usize,
    ) -> Result<Option<(Arc<[u8]>, Option<HeaderValue>)>, SourceError> {
        let failed = |error: reqwest::Error| SourceError::Fetch {
            address: self.shown.clone(),
            // The address may have secrets in it.
            source: error.without_url(),
        };
        let too_much = || SourceError::TooMuch { address: self.shown.clone(), max };
        let mut request = self.client.get(url.clone());
        if let Some(tag) = tag {
            request = request.header(header::IF_NONE_MATCH, tag);
        }
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        if status == StatusCode::NOT_MODIFIED && tag.is_some() {
            return Ok(None);
        }
        if status != StatusCode::OK {
            return Err(SourceError::Status { address: self.shown.clone(), status });
        }
        let is_too_long = |length: u64| usize::try_from(length).is_ok_and(|it| it > max);
        if response.content_length().is_some_and(is_too_long) {
            return Err(too_much());
        }
        let tag = response.headers().get(header::ETAG).cloned();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() > max {
                return Err(too_much());
            }
        }
        Ok(Some((body.into(), tag)))
    }
}
