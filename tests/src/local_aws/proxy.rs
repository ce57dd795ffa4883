//! The proxy in front of moto: checks credentials, records, injects faults, and serves EBS direct itself.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::credentials::{HARNESS_KEY, Keys, Principal, Refusal, SessionCredentials};
use super::fault::{Effect, Plan};
use super::functions::{Functions, PRESIGNED};
use super::moto::Moto;
use super::record::Calls;
use super::reply::{Broken, Reply, ReplyBody, ServiceError};
use super::request::Request;
use super::{ebs, signature, xml};

/// Everything that the proxy's connections share.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) moto: Moto,
    pub(crate) clock: Clock,
    pub(crate) keys: Keys,
    pub(crate) calls: Calls,
    pub(crate) faults: Plan,
    pub(crate) contents: Arc<ebs::Contents>,
    pub(crate) ebs: ebs::Service,
    pub(crate) functions: Functions,
    /// Where the proxy is.
    pub(crate) endpoint: String,
    pub(crate) check_credentials: bool,
    /// Calls that moto could not answer.
    pub(crate) unimplemented: Mutex<Vec<String>>,
}

/// Serve connections until `stop`.
pub(crate) async fn serve(proxy: Arc<Proxy>, listener: TcpListener, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        if let Ok((stream, _)) = accepted {
            tokio::spawn(serve_connection(Arc::clone(&proxy), stream));
        }
    }
}

async fn serve_connection(proxy: Arc<Proxy>, stream: TcpStream) {
    let Ok((stream, abort)) = with_abort(stream) else { return };
    let service = service_fn(move |request| {
        let proxy = Arc::clone(&proxy);
        let abort = Arc::clone(&abort);
        async move {
            // In a task of its own: a call that reached AWS takes effect even when the caller has gone.
            let answered = tokio::spawn(proxy.answer(request)).await;
            answered.unwrap_or(Err(Broken)).inspect_err(|Broken| reset_on_close(&abort))
        }
    });
    // Clients may leave at any time, and injected faults end connections: neither is news.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// The stream, and a second handle of its socket through which it can be told to close with a reset.
fn with_abort(stream: TcpStream) -> std::io::Result<(TcpStream, Arc<TcpStream>)> {
    let stream = stream.into_std()?;
    let abort = TcpStream::from_std(stream.try_clone()?)?;
    Ok((TcpStream::from_std(stream)?, Arc::new(abort)))
}

/// Let the connection's end be a TCP reset.
fn reset_on_close(socket: &TcpStream) {
    // Without it the connection ends with FIN, which breaks the call just as well.
    let _ = socket.set_zero_linger();
}

impl Proxy {
    async fn answer(
        self: Arc<Self>,
        request: http::Request<Incoming>,
    ) -> Result<Response<ReplyBody>, Broken> {
        let (parts, body) = request.into_parts();
        let Ok(body) = Limited::new(body, LARGEST_REQUEST).collect().await else { return Err(Broken) };
        let mut request = Request::new(parts, body.to_bytes());
        let access_key_id = request.scope.as_ref().map_or("", |scope| &scope.access_key_id);
        let key = self.keys.get(access_key_id);
        let principal = key.map(|key| key.principal);
        if access_key_id == HARNESS_KEY.access_key_id {
            let reply = self.carry_out(&request, principal.as_ref(), None).await;
            return respond(reply, None);
        }

        let sequence = self.calls.arrived(&request, principal.clone(), self.clock.now());
        if let Err(refusal) = self.check(&request) {
            let reply = ServiceError::refused(&request.service, refusal).reply(&request.service);
            self.calls.answered(sequence, &reply);
            return respond(reply, None);
        }
        let effect = self.faults.effect_on(&request);
        if effect.is_some() {
            self.calls.faulted(sequence);
        }
        let reply = match self.before(&mut request, principal.as_ref(), effect.as_ref()).await? {
            Some(refusal) => refusal,
            None => self.carry_out(&request, principal.as_ref(), effect.as_ref()).await,
        };
        self.calls.answered(sequence, &reply);
        after(reply, effect).await
    }

    fn check(&self, request: &Request) -> Result<(), Refusal> {
        if request.service == PRESIGNED {
            // The URL is the permission.
            return Ok(());
        }
        let scope = request.scope.as_ref().ok_or(Refusal::Missing)?;
        if !self.check_credentials {
            return Ok(());
        }
        let key = self.keys.get(&scope.access_key_id).ok_or(Refusal::Unknown)?;
        key.check_session(request.header("x-amz-security-token"), self.clock.now())?;
        if !signature::is_valid(request, scope, &key.secret_access_key) {
            return Err(Refusal::BadSignature);
        }
        Ok(())
    }

    /// The part of a fault that comes before the call is carried out. `Some` is a refusal instead of the call.
    async fn before(
        &self,
        request: &mut Request,
        principal: Option<&Principal>,
        effect: Option<&Effect>,
    ) -> Result<Option<Reply>, Broken> {
        let service = request.service.as_str();
        let error = match effect {
            Some(Effect::Throttle) => ServiceError::throttled(service),
            Some(Effect::AccessDenied) => {
                let arn = principal.map_or("unknown", |principal| &principal.arn);
                ServiceError::access_denied(service, arn, &request.action)
            }
            Some(Effect::Error(status, code, message)) => {
                let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST);
                ServiceError::new(status, code, *message)
            }
            Some(Effect::InternalError) => ServiceError::internal(service, StatusCode::INTERNAL_SERVER_ERROR),
            Some(Effect::Unavailable) => ServiceError::internal(service, StatusCode::SERVICE_UNAVAILABLE),
            Some(Effect::ResetRequest) => return Err(Broken),
            Some(Effect::HoldRequest(hold)) => {
                hold.wait().await;
                return Ok(None);
            }
            Some(Effect::SmallPages(limit)) if service != "ebs" => {
                limit_page(request, *limit);
                return Ok(None);
            }
            _ => return Ok(None),
        };
        Ok(Some(error.reply(service)))
    }

    async fn carry_out(
        &self,
        request: &Request,
        principal: Option<&Principal>,
        effect: Option<&Effect>,
    ) -> Reply {
        if request.service == "ebs" {
            let account = principal.map_or(super::credentials::ACCOUNT, |principal| &principal.account);
            let page_limit = match effect {
                Some(Effect::SmallPages(limit)) => Some(*limit),
                _ => None,
            };
            let reply = self.ebs.answer(request, account, page_limit).await;
            return self.reject_unimplemented(request, reply);
        }
        match request.service.as_str() {
            PRESIGNED => return self.functions.answer_presigned(request, self.clock.now()),
            "autoscaling" => {
                if let Some(reply) = hook(request) {
                    return reply;
                }
            }
            "ecr" => return self.functions.answer_ecr(request, &self.endpoint, self.clock.now()),
            _ => {}
        }
        if request.parts.uri.path().starts_with("/local-aws/") {
            return ServiceError::new(StatusCode::NOT_FOUND, "NotFound", "no such path")
                .reply(&request.service);
        }
        let reply = match self.moto.forward(request).await {
            Ok(reply) => reply,
            Err(error) => ServiceError::new(StatusCode::NOT_IMPLEMENTED, HARNESS_FAILURE, error.to_string())
                .reply(&request.service),
        };
        if reply.status.is_success() {
            self.follow(request, &reply);
        }
        let reply = if request.service == "lambda" && reply.status.is_success() {
            self.functions.follow(request, reply, &self.endpoint, self.clock.now())
        } else {
            reply
        };
        self.reject_unimplemented(request, reply)
    }

    /// Learn from a successful call what the proxy must know.
    fn follow(&self, request: &Request, reply: &Reply) {
        match request.service.as_str() {
            "sts" => {
                if let Some((credentials, mut principal)) =
                    issued_credentials(&String::from_utf8_lossy(&reply.body))
                {
                    principal.role_arn = request.parameters.get("RoleArn").cloned();
                    self.keys.learn(&credentials, principal);
                }
            }
            "ec2" => {
                if let Err(error) = self.contents.follow(request, reply) {
                    self.note_unimplemented(format!("{}: the volume's image: {error}", request.action));
                }
                if let ("DeleteSnapshot", Some(id)) =
                    (request.action.as_str(), request.parameters.get("SnapshotId"))
                {
                    self.ebs.forget(id);
                }
            }
            _ => {}
        }
    }

    /// A call that moto does not implement is an HTTP 500 with a page of HTML, which SDKs retry. Make it an error that says
    /// what happened and is not retried, and remember it: the run must fail.
    fn reject_unimplemented(&self, request: &Request, reply: Reply) -> Reply {
        if !reply.status.is_server_error() {
            return reply;
        }
        let call = format!("{}:{}", request.service, request.action);
        if reply.error_code().as_deref() == Some(HARNESS_FAILURE) {
            self.note_unimplemented(format!("{call}: {}", String::from_utf8_lossy(&reply.body)));
            return reply;
        }
        let failure = reply.headers.get("x-local-aws-failure").and_then(|value| value.to_str().ok());
        let message =
            format!("The local AWS does not implement {call}: {}", failure.unwrap_or("no exception"));
        self.note_unimplemented(message.clone());
        ServiceError::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message).reply(&request.service)
    }

    fn note_unimplemented(&self, what: String) {
        self.unimplemented.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }
}

/// The answer of a lifecycle hook, of which moto knows none: as if it waited for the instance that the request names. `None` for
/// every other request.
fn hook(request: &Request) -> Option<Reply> {
    let action = request.action.as_str();
    if !matches!(action, "CompleteLifecycleAction" | "RecordLifecycleActionHeartbeat") {
        return None;
    }
    let given = |name: &str| request.parameters.get(name).is_some_and(|value| !value.is_empty());
    let outcome = request.parameters.get("LifecycleActionResult").map(String::as_str);
    let is_complete = ["AutoScalingGroupName", "LifecycleHookName", "InstanceId"].into_iter().all(given)
        && (action != "CompleteLifecycleAction" || matches!(outcome, Some("CONTINUE" | "ABANDON")));
    if !is_complete {
        let message = format!("{action} lacks a parameter, or has one that is not valid");
        let error = ServiceError::new(StatusCode::BAD_REQUEST, "ValidationError", message);
        return Some(error.reply(&request.service));
    }
    let namespace = "http://autoscaling.amazonaws.com/doc/2011-01-01/";
    let body = format!("<{action}Response xmlns=\"{namespace}\"><{action}Result/></{action}Response>");
    let mut headers = http::HeaderMap::new();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    Some(Reply { status: StatusCode::OK, headers, body: Bytes::from(body) })
}

/// The part of a fault that comes after the call was carried out.
async fn after(mut reply: Reply, effect: Option<Effect>) -> Result<Response<ReplyBody>, Broken> {
    match effect {
        Some(Effect::ResetReply) => return Err(Broken),
        Some(Effect::HoldReply(hold)) => hold.wait().await,
        Some(Effect::TruncateBody(length)) => return respond(reply, Some(length)),
        Some(Effect::CorruptBody) => {
            let mut body = reply.body.to_vec();
            if let Some(byte) = body.first_mut() {
                *byte ^= 1;
            }
            reply.body = Bytes::from(body);
        }
        Some(Effect::WrongChecksum) => {
            // The SHA-256 of nothing, in Base64.
            let checksum = HeaderValue::from_static("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
            reply.headers.insert("x-amz-checksum", checksum);
        }
        _ => {}
    }
    respond(reply, None)
}

fn respond(reply: Reply, truncate_at: Option<usize>) -> Result<Response<ReplyBody>, Broken> {
    let announced = u64::try_from(reply.body.len()).map_err(|_| Broken)?;
    let body = match truncate_at {
        Some(length) if length < reply.body.len() => {
            ReplyBody::Truncated { announced, sent: Some(reply.body.slice(..length)), flushed: false }
        }
        _ => ReplyBody::Whole(Some(reply.body).filter(|body| !body.is_empty())),
    };
    let mut response = Response::new(body);
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    Ok(response)
}

/// Ask for a smaller page, where the call is one that can be paged: a description of everything, not of given ids.
fn limit_page(request: &mut Request, limit: u16) {
    let by_id = request.parameters.keys().any(|name| {
        name.split_once("Id.").is_some_and(|(_, number)| number.chars().all(|digit| digit.is_ascii_digit()))
    });
    if by_id {
        return;
    }
    let name = if request.service == "autoscaling" { "MaxRecords" } else { "MaxResults" };
    let asked = request.parameters.get(name).and_then(|asked| asked.parse::<u16>().ok());
    request.set_form_parameter(name, &asked.map_or(limit, |asked| asked.min(limit)).to_string());
}

/// The credentials in a reply of `AssumeRole` and its kin, and whom they stand for.
pub(crate) fn issued_credentials(document: &str) -> Option<(SessionCredentials, Principal)> {
    let expiration = OffsetDateTime::parse(xml::text(document, "Expiration")?, &Rfc3339).ok()?;
    let credentials = SessionCredentials {
        access_key_id: xml::text(document, "AccessKeyId")?.to_owned(),
        secret_access_key: xml::text(document, "SecretAccessKey")?.to_owned(),
        session_token: xml::text(document, "SessionToken")?.to_owned(),
        expiration: expiration.into(),
    };
    let arn = xml::text(document, "Arn")?.to_owned();
    let account = arn.split(':').nth(4)?.to_owned();
    Some((credentials, Principal { arn, account, role_arn: None }))
}

/// The code of errors that are the harness's own, not AWS's.
pub(crate) const HARNESS_FAILURE: &str = "LocalAwsFailure";
/// The largest request that AWS's Query APIs take is far smaller.
const LARGEST_REQUEST: usize = 16 * 1024 * 1024;
