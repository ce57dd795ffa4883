//! The client of the moto server behind the proxy.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;

use super::credentials::HARNESS_KEY;
use super::reply::Reply;
use super::request::{Request, percent_encode};

/// Why moto could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum MotoError {
    /// No connection, or one that broke.
    #[error("the local AWS's moto server did not answer: {0}")]
    Unreachable(String),
    /// An answer that the harness does not understand.
    #[error("the local AWS's moto server answered {status} to {asked}: {body}")]
    Unexpected {
        /// What it was asked.
        asked: String,
        /// The HTTP status.
        status: StatusCode,
        /// The body.
        body: String,
    },
}

/// Sends requests to moto.
#[derive(Clone, Debug)]
pub(crate) struct Moto {
    client: Client<HttpConnector, Full<Bytes>>,
    port: u16,
}

impl Moto {
    pub(crate) fn new(port: u16) -> Self {
        // moto closes each connection after one reply.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        Self { client, port }
    }

    /// Pass a client's request on as it is, but for its target.
    pub(crate) async fn forward(&self, request: &Request) -> Result<Reply, MotoError> {
        let path = request.parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut outgoing = http::Request::new(Full::new(request.body.clone()));
        *outgoing.method_mut() = request.parts.method.clone();
        *outgoing.uri_mut() = self.uri(path)?;
        *outgoing.headers_mut() = request.parts.headers.clone();
        for hop_by_hop in ["connection", "keep-alive", "transfer-encoding", "te", "upgrade", "host", "expect"]
        {
            outgoing.headers_mut().remove(hop_by_hop);
        }
        self.send(outgoing).await
    }

    /// Call an action of the Query protocol in the harness's name. The reply is XML.
    pub(crate) async fn query(
        &self,
        service: &str,
        region: &str,
        parameters: &[(&str, &str)],
    ) -> Result<String, MotoError> {
        let form: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{name}={}", percent_encode(value))).collect();
        let credential = format!("{}/20260101/{region}/{service}/aws4_request", HARNESS_KEY.access_key_id);
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=none");
        let mut request = http::Request::new(Full::new(Bytes::from(form.join("&"))));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri("/")?;
        let headers = request.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
        let authorization = HeaderValue::from_str(&authorization);
        headers.insert(
            "authorization",
            authorization.map_err(|error| MotoError::Unreachable(error.to_string()))?,
        );
        let reply = self.send(request).await?;
        if !reply.status.is_success() {
            return Err(unexpected(&form.join("&"), &reply));
        }
        Ok(String::from_utf8_lossy(&reply.body).into_owned())
    }

    /// Use the overlay's side door (`tests/local-aws/overlay/control.py`).
    pub(crate) async fn control<T: DeserializeOwned>(
        &self,
        name: &str,
        request: &serde_json::Value,
    ) -> Result<T, MotoError> {
        let mut outgoing = http::Request::new(Full::new(Bytes::from(request.to_string())));
        *outgoing.method_mut() = Method::POST;
        *outgoing.uri_mut() = self.uri(&format!("/local-aws/{name}"))?;
        let reply = self.send(outgoing).await?;
        let parsed = serde_json::from_slice(&reply.body);
        parsed.map_err(|_| unexpected(name, &reply))
    }

    fn uri(&self, path: &str) -> Result<Uri, MotoError> {
        let uri = format!("http://127.0.0.1:{}{path}", self.port);
        uri.parse().map_err(|error| MotoError::Unreachable(format!("{uri}: {error}")))
    }

    async fn send(&self, request: http::Request<Full<Bytes>>) -> Result<Reply, MotoError> {
        let unreachable = |error: &dyn std::error::Error| {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            MotoError::Unreachable(format!("{error}{cause}"))
        };
        let response = self.client.request(request).await.map_err(|error| unreachable(&error))?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| unreachable(&error))?.to_bytes();
        let mut headers = parts.headers;
        for hop_by_hop in
            ["connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"]
        {
            headers.remove(hop_by_hop);
        }
        Ok(Reply { status: parts.status, headers, body })
    }
}

fn unexpected(asked: &str, reply: &Reply) -> MotoError {
    let body = String::from_utf8_lossy(&reply.body).chars().take(2000).collect();
    MotoError::Unexpected { asked: asked.to_owned(), status: reply.status, body }
}
