//! Replies of the local AWS's own, in the form of each service's protocol.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper::body::{Body, Frame, SizeHint};

use super::credentials::Refusal;
use super::xml;

/// A reply in memory.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    /// Members that are null are left out: AWS does not send them.
    pub(crate) fn json(status: StatusCode, mut value: serde_json::Value) -> Self {
        if let Some(members) = value.as_object_mut() {
            members.retain(|_, member| !member.is_null());
        }
        let mut headers = HeaderMap::new();
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Self { status, headers, body: Bytes::from(value.to_string()) }
    }

    fn xml(status: StatusCode, body: String) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
        Self { status, headers, body: Bytes::from(body) }
    }

    /// The error code that the reply carries, for a reply that is not a success.
    pub(crate) fn error_code(&self) -> Option<String> {
        if self.status.is_success() {
            return None;
        }
        let header = self.headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok());
        let body = String::from_utf8_lossy(&self.body);
        header.or_else(|| xml::text(&body, "Code")).map(str::to_owned)
    }
}

/// An error as a service reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceError {
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl ServiceError {
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into() }
    }

    /// Too many requests, as `service` says it.
    pub(crate) fn throttled(service: &str) -> Self {
        match service {
            "ec2" => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "RequestLimitExceeded", "Request limit exceeded.")
            }
            "ebs" => Self::new(
                StatusCode::BAD_REQUEST,
                "RequestThrottledException",
                "The number of API requests has exceeded the maximum allowed.",
            ),
            _ => Self::new(StatusCode::BAD_REQUEST, "Throttling", "Rate exceeded"),
        }
    }

    /// No policy allows the call, as `service` says it.
    pub(crate) fn access_denied(service: &str, principal: &str, action: &str) -> Self {
        let code = match service {
            "ec2" => "UnauthorizedOperation",
            "ebs" => "AccessDeniedException",
            _ => "AccessDenied",
        };
        let message = format!("User: {principal} is not authorized to perform: {service}:{action}");
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// A failure inside the service.
    pub(crate) fn internal(service: &str, status: StatusCode) -> Self {
        let code = match (service, status) {
            ("ec2", StatusCode::SERVICE_UNAVAILABLE) => "Unavailable",
            ("ec2", _) => "InternalError",
            ("ebs", _) => "InternalServerException",
            (_, StatusCode::SERVICE_UNAVAILABLE) => "ServiceUnavailable",
            _ => "InternalFailure",
        };
        Self::new(status, code, "An internal error has occurred. Retry your request.")
    }

    /// Credentials that are missing or wrong, as `service` says it.
    pub(crate) fn refused(service: &str, refusal: Refusal) -> Self {
        let forbidden = StatusCode::FORBIDDEN;
        match (service, refusal) {
            (_, Refusal::Missing) => {
                Self::new(forbidden, "MissingAuthenticationToken", "Request is missing Authentication Token")
            }
            ("ec2", Refusal::Unknown | Refusal::BadSignature) => Self::new(
                StatusCode::UNAUTHORIZED,
                "AuthFailure",
                "AWS was not able to validate the provided access credentials",
            ),
            ("ec2", Refusal::Expired) => {
                Self::new(StatusCode::BAD_REQUEST, "RequestExpired", "Request has expired.")
            }
            ("ebs", Refusal::Expired) => Self::new(
                forbidden,
                "ExpiredTokenException",
                "The security token included in the request is expired",
            ),
            (_, Refusal::Expired) => {
                Self::new(forbidden, "ExpiredToken", "The security token included in the request is expired")
            }
            ("ebs", Refusal::Unknown) => Self::new(
                forbidden,
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            ),
            (_, Refusal::Unknown) => Self::new(
                forbidden,
                "InvalidClientTokenId",
                "The security token included in the request is invalid.",
            ),
            ("ebs", Refusal::BadSignature) => {
                Self::new(forbidden, "InvalidSignatureException", BAD_SIGNATURE)
            }
            (_, Refusal::BadSignature) => Self::new(forbidden, "SignatureDoesNotMatch", BAD_SIGNATURE),
        }
    }

    /// The error in the protocol of `service`: EC2's own XML, the Query protocol's, or JSON.
    pub(crate) fn reply(&self, service: &str) -> Reply {
        let request_id = uuid::Uuid::new_v4();
        let (code, message) = (xml::escape(&self.code), xml::escape(&self.message));
        match service {
            "ec2" => Reply::xml(
                self.status,
                format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Errors><Error><Code>{code}</Code><Message>{message}\
                     </Message></Error></Errors><RequestID>{request_id}</RequestID></Response>"
                ),
            ),
            "autoscaling" | "iam" | "sts" | "" => {
                let fault = if self.status.is_server_error() { "Receiver" } else { "Sender" };
                Reply::xml(
                    self.status,
                    format!(
                        "<ErrorResponse><Error><Type>{fault}</Type><Code>{code}</Code><Message>{message}</Message></Error>\
                         <RequestId>{request_id}</RequestId></ErrorResponse>"
                    ),
                )
            }
            _ => {
                let body = serde_json::json!({"__type": self.code, "Message": self.message, "message": self.message});
                let mut reply = Reply::json(self.status, body);
                if let Ok(code) = HeaderValue::from_str(&self.code) {
                    reply.headers.insert("x-amzn-errortype", code);
                }
                reply
            }
        }
    }
}

/// A body that is sent whole, or breaks off although more was announced.
#[derive(Debug)]
pub(crate) enum ReplyBody {
    Whole(Option<Bytes>),
    Truncated { announced: u64, sent: Option<Bytes>, flushed: bool },
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut *self {
            Self::Whole(body) => Poll::Ready(body.take().map(|body| Ok(Frame::data(body)))),
            Self::Truncated { sent, flushed, .. } => match sent.take() {
                Some(sent) => Poll::Ready(Some(Ok(Frame::data(sent)))),
                None if *flushed => Poll::Ready(Some(Err(Broken))),
                None => {
                    // hyper flushes what it has when the body has nothing more for now, and drops it when the body fails.
                    *flushed = true;
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(
                body.as_ref().map_or(0, |body| u64::try_from(body.len()).unwrap_or(u64::MAX)),
            ),
            Self::Truncated { announced, .. } => SizeHint::with_exact(*announced),
        }
    }
}

/// The connection is to be broken on purpose.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("connection broken by an injected fault")]
pub(crate) struct Broken;

const BAD_SIGNATURE: &str = "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
                             Access Key and signing method.";
