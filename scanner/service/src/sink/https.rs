//! Package lists to any HTTPS endpoint, as CycloneDX JSON.

use futures_util::future::BoxFuture;
use reqwest::{Client, StatusCode, Url};
use time::OffsetDateTime;

use super::answer::{self, Meaning};
use super::document::documents;
use super::{Credential, Payload, SendError, Sink};
use crate::report::Report;

/// Posts each package list, and each failure, to one address. Headers say what it is of:
///
/// | header | |
/// |---|---|
/// | `X-Agentless-Target` | the target's ARN |
/// | `X-Agentless-Scan` | the scan's id |
/// | `X-Agentless-Scanner` | the scanner's id |
/// | `X-Agentless-Subject` | `target`, or the image of a container on it |
/// | `X-Agentless-Hash` | SHA-256 of the list without its time: the same packages have the same |
/// | `X-Agentless-Complete` | `true`, or `false` where something could not be read |
///
/// A failure has the first three, and is `application/json`.
#[derive(Clone, Debug)]
pub struct Https {
    client: Client,
    url: Url,
    authorization: Option<Credential>,
}

impl Https {
    /// Posts to `url`, with `authorization` as the header of that name. The client must not follow redirections.
    pub fn new(client: Client, url: Url, authorization: Option<Credential>) -> Self {
        Self { client, url, authorization }
    }
}

impl Sink for Https {
    fn name(&self) -> &'static str {
        "https"
    }

    fn render(&self, report: &Report, _now: OffsetDateTime) -> Vec<Payload> {
        let payloads = documents(report).into_iter().map(|document| {
            let headers =
                document.labels.into_iter().map(|(label, value)| (format!("X-Agentless-{label}"), value));
            Payload {
                key: document.path,
                content_type: document.content_type.to_owned(),
                headers: headers.collect(),
                note: String::new(),
                body: document.body,
            }
        });
        payloads.collect()
    }

    fn send<'a>(&'a self, payload: &'a Payload) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(async move {
            let mut request = self
                .client
                .post(self.url.clone())
                .header(http::header::CONTENT_TYPE, &payload.content_type)
                .body(payload.body.clone());
            for (name, value) in &payload.headers {
                request = request.header(name, value);
            }
            if let Some(authorization) = &self.authorization {
                let value = authorization.header().ok_or_else(|| {
                    SendError::misconfigured(
                        "`sinks.https.authorization` has characters that no header may have",
                    )
                })?;
                request = request.header(http::header::AUTHORIZATION, value);
            }
            answer::send(request, meaning).await
        })
    }
}

fn meaning(status: StatusCode) -> Meaning {
    match status.as_u16() {
        200..=299 => Meaning::Accepted,
        400 | 413 | 415 | 422 => Meaning::Refused,
        300..=399 | 401 | 403 | 404 | 405 => Meaning::Misconfigured,
        _ => Meaning::Passing,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::http::{Network, Redirects, client};
    use crate::report::Outcome;
    use crate::sink::test_reports::{NOW, listed, report};
    use crate::sink::test_server::Server;

    fn sink(server: &Server) -> Https {
        let client = client(&Network::default(), Redirects::Refused).unwrap();
        let url = server.url("/lists");
        Https::new(client, url, Some(Credential::fixed("Bearer abc".to_owned())))
    }

    #[tokio::test]
    async fn a_list_goes_with_headers_that_say_what_it_is_of() {
        let server = Server::start().await;
        let sink = sink(&server);
        for payload in sink.render(&listed("i-1"), NOW) {
            sink.send(&payload).await.unwrap();
        }
        let failed = report("i-1", Outcome::Failed("gone".to_owned()));
        for payload in sink.render(&failed, NOW) {
            sink.send(&payload).await.unwrap();
        }
        let requests = server.requests();
        let header = |index: usize, name: &str| requests[index].header(name);
        assert_eq!(header(0, "content-type"), "application/vnd.cyclonedx+json; version=1.6");
        assert_eq!(header(0, "authorization"), "Bearer abc");
        assert!(header(0, "user-agent").starts_with("agentless-scanner/"));
        assert_eq!(header(0, "x-agentless-target"), "arn:aws:ec2:eu-central-1:111111111111:instance/i-1");
        assert_eq!(header(0, "x-agentless-complete"), "true");
        assert_eq!(header(0, "x-agentless-hash"), "aa".repeat(32));
        assert_eq!(header(0, "x-agentless-subject"), "target");
        assert_eq!(header(1, "content-type"), "application/json");
        assert_eq!(header(1, "x-agentless-scan"), "00000000-0000-0000-0000-000000000007");
    }

    #[tokio::test]
    async fn answers_are_sorted_by_what_is_to_be_done() {
        let server = Server::start().await;
        let sink = sink(&server);
        let payload = sink.render(&listed("i-1"), NOW).remove(0);
        for status in [400, 413, 415, 422] {
            server.answer(status, &[], "not this one");
            let error = sink.send(&payload).await.unwrap_err();
            let SendError::Permanent { reason, is_about_payload: true } = &error else { panic!("{error:?}") };
            assert!(reason.contains("not this one"), "{reason}");
        }
        for status in [401, 403, 404, 405] {
            server.answer(status, &[], "");
            let error = sink.send(&payload).await.unwrap_err();
            assert!(matches!(error, SendError::Permanent { is_about_payload: false, .. }), "{error:?}");
        }
        for status in [408, 409, 429, 500, 502, 503] {
            server.answer(status, &[("retry-after", "7")], "");
            let error = sink.send(&payload).await.unwrap_err();
            let SendError::Passing { retry_after, .. } = error else { panic!("{error:?}") };
            assert_eq!(retry_after, Some(Duration::from_secs(7)));
        }
        server.answer(503, &[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")], "");
        let error = sink.send(&payload).await.unwrap_err();
        assert!(matches!(error, SendError::Passing { retry_after: Some(Duration::ZERO), .. }), "{error:?}");
        server.answer(302, &[("location", "https://elsewhere.example/")], "");
        let error = sink.send(&payload).await.unwrap_err();
        assert!(error.to_string().contains("redirects to https://elsewhere.example/"), "{error}");
        assert_eq!(server.requests().len(), 16);
    }

    #[tokio::test]
    async fn no_server_is_a_passing_error_without_the_address() {
        let client = client(&Network::default(), Redirects::Refused).unwrap();
        let url = "http://user:password@127.0.0.1:1/".parse().unwrap();
        let sink = Https::new(client, url, None);
        let payload = sink.render(&listed("i-1"), NOW).remove(0);
        let error = sink.send(&payload).await.unwrap_err();
        assert!(matches!(&error, SendError::Passing { .. }), "{error:?}");
        assert!(!error.to_string().contains("password"), "{error}");
    }
}
