//! Reading what presigned URLs lead to, in ranges.
//!
//! The URL itself is the permission: nothing of the caller's credentials goes with the request.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use bytes::{Bytes, BytesMut};

use super::Aws;
use super::error::innermost;
use super::http::Http;

/// What a scan needs of whatever holds code and layers.
pub trait Download: fmt::Debug + Send + Sync + 'static {
    /// Asks for bytes of what a URL leads to. A server that knows no ranges sends everything instead, of which no more than
    /// `most` bytes are taken.
    fn download(
        &self,
        url: &str,
        range: Range<u64>,
        most: u64,
    ) -> impl Future<Output = Result<Part, DownloadError>> + Send;
}

/// What a server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where it begins.
    pub start: u64,
    /// The bytes.
    pub bytes: Bytes,
    /// The size of the whole in bytes.
    pub total: u64,
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// The URL is one that is not followed.
    #[error("it was to be read without encryption, or from no address at all")]
    Address,
    /// The URL has expired.
    #[error("its address has expired (HTTP status {status})")]
    Expired {
        /// What the server said.
        status: u16,
    },
    /// Something that may be better in a moment.
    #[error("{problem}")]
    Passing {
        /// What it was.
        problem: String,
    },
    /// The server said no.
    #[error("the server refused it (HTTP status {status})")]
    Refused {
        /// What the server said.
        status: u16,
    },
    /// The server knows no ranges, and sent more than is taken.
    #[error("the server sends only all of it, which is more than {most} bytes")]
    TooLong {
        /// What is taken in bytes.
        most: u64,
    },
}

/// The time until a whole answer is there.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The connections over which presigned URLs are read.
#[derive(Clone, Debug)]
pub(super) struct Downloader {
    http: Http,
    /// Whether what is at a loopback address may be read without encryption: the services of AWS are there too.
    is_loopback: bool,
}

impl Downloader {
    /// `endpoint` is where the requests to AWS go, if not to AWS itself.
    pub(super) fn new(http: Http, endpoint: Option<&str>) -> Self {
        Self { http, is_loopback: endpoint.is_some_and(is_loopback) }
    }

    async fn get(&self, url: &str, range: Range<u64>, most: u64) -> Result<Part, DownloadError> {
        let is_private = url.starts_with("https://") || (self.is_loopback && is_loopback(url));
        if !is_private {
            return Err(DownloadError::Address);
        }
        let passing = |problem: String| DownloadError::Passing { problem };
        let last = range.end.saturating_sub(1);
        let mut request = HttpRequest::new(SdkBody::empty());
        request.set_uri(url).map_err(|_| DownloadError::Address)?;
        request.headers_mut().insert("range", format!("bytes={}-{last}", range.start));
        let answer = self.http.call(request).await.map_err(|error| passing(innermost(&error)))?;
        match answer.status().as_u16() {
            206 => {
                let (start, total) = content_range(&answer)
                    .filter(|&(start, _)| start == range.start)
                    .ok_or_else(|| passing("the answer is not of the range that was asked for".to_owned()))?;
                let most = range.end.saturating_sub(range.start);
                let bytes = body(answer, most).await?;
                let expected = range.end.min(total).saturating_sub(start);
                if u64::try_from(bytes.len()) != Ok(expected) {
                    return Err(passing(format!("{} bytes arrived in place of {expected}", bytes.len())));
                }
                Ok(Part { start, bytes, total })
            }
            200 => {
                let announced =
                    answer.headers().get("content-length").and_then(|length| length.parse::<u64>().ok());
                if announced.is_some_and(|length| length > most) {
                    return Err(DownloadError::TooLong { most });
                }
                let bytes = body(answer, most).await?;
                let total = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                Ok(Part { start: 0, bytes, total })
            }
            // S3 answers a presigned URL that is too old with 403, and one signed with an expired token with 400.
            status @ (400 | 401 | 403) => Err(DownloadError::Expired { status }),
            status if status == 429 || status >= 500 => Err(passing(format!("HTTP status {status}"))),
            status => Err(DownloadError::Refused { status }),
        }
    }
}

impl Download for Aws {
    async fn download(&self, url: &str, range: Range<u64>, most: u64) -> Result<Part, DownloadError> {
        tokio::time::timeout(TIMEOUT, self.downloader.get(url, range, most))
            .await
            .unwrap_or_else(|_| Err(DownloadError::Passing { problem: "it took too long".to_owned() }))
    }
}

/// Whether a URL is one of plain HTTP on this machine.
fn is_loopback(url: &str) -> bool {
    ["http://127.0.0.1", "http://[::1]"].iter().filter_map(|host| url.strip_prefix(host)).any(|rest| {
        // Not the beginning of a longer name, nor of what is before an `@`.
        let rest =
            rest.strip_prefix(':').map_or(rest, |port| port.trim_start_matches(|c: char| c.is_ascii_digit()));
        rest.is_empty() || rest.starts_with('/')
    })
}

/// First byte and size of the whole, of a header such as `bytes 0-99/1000` (RFC 9110, section 14.4).
fn content_range(answer: &HttpResponse) -> Option<(u64, u64)> {
    let (range, total) = answer.headers().get("content-range")?.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, total.parse().ok()?))
}

async fn body(answer: HttpResponse, most: u64) -> Result<Bytes, DownloadError> {
    let mut stream = ByteStream::new(answer.into_body());
    let mut bytes = BytesMut::new();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| DownloadError::Passing { problem: innermost(&error) })?;
        if u64::try_from(bytes.len().saturating_add(piece.len())).is_ok_and(|length| length > most) {
            return Err(DownloadError::TooLong { most });
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        for url in ["http://127.0.0.1:4566/x", "http://127.0.0.1/x", "http://[::1]:80"] {
            assert!(is_loopback(url), "{url}");
        }
        for url in
            ["http://127.0.0.1.example.com/", "http://127.0.0.1:80@example.com/", "http://example.com/"]
        {
            assert!(!is_loopback(url), "{url}");
        }
    }

    #[tokio::test]
    async fn what_is_not_encrypted_is_not_read() {
        let downloader = Downloader::new(Http::default(), None);
        for url in ["http://127.0.0.1:1/x", "http://example.com/x", "file:///etc/passwd", ""] {
            let error = downloader.get(url, 0..1, 1).await.unwrap_err();
            assert!(matches!(error, DownloadError::Address), "{url}: {error}");
        }
    }
}
