//! What can be asked, and what can be ordered.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use tracing::info;

use super::access::Token;
use super::control::{Accepted, Control, Refused};
use super::metrics;
use crate::board::{Board, Filter};

/// How many of the newest results come with the whole board. `/targets` has the others.
const RESULTS: usize = 50;

/// The longest name of a target: that of a function may have 170 characters, with what leads to it.
const NAME: usize = 512;

/// What answers are made of.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) board: Arc<Board>,
    pub(super) control: Arc<dyn Control>,
    pub(super) clock: fn() -> OffsetDateTime,
    pub(super) token: Token,
}

/// Every address. Whoever has no token does not even learn which there are.
pub(super) fn router(shared: Shared, body: usize) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/status", get(status))
        .route("/scans", get(scans))
        .route("/targets", get(targets))
        .route("/sinks", get(sinks))
        .route("/due", get(due))
        .route("/metrics", get(metrics))
        .route("/scan", post(scan))
        .route("/cancel", post(cancel))
        .fallback(async || refusal(StatusCode::NOT_FOUND, "there is nothing at this address"))
        .method_not_allowed_fallback(async || {
            refusal(StatusCode::METHOD_NOT_ALLOWED, "this address takes another method")
        })
        .layer(DefaultBodyLimit::max(body))
        .layer(middleware::from_fn_with_state(shared.clone(), authorised))
        .with_state(shared)
}

/// Lets those pass who have the token.
async fn authorised(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let mut response = match bearer(request.headers()) {
        Some(token) if shared.token.is(token) => next.run(request).await,
        Some(_) => refusal(StatusCode::FORBIDDEN, "this is not the token"),
        None => {
            let mut response =
                refusal(StatusCode::UNAUTHORIZED, "the token is missing: Authorization: Bearer TOKEN");
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        }
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The token that is given, if exactly one is.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let (Some(given), None) = (given.next(), given.next()) else { return None };
    let (scheme, token) = given.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

async fn health(State(shared): State<Shared>) -> Response {
    let view = shared.view(0);
    let status = if view.health.healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({ "healthy": view.health.healthy, "phase": view.phase, "reasons": view.health.reasons });
    answer(status, &body)
}

async fn status(State(shared): State<Shared>) -> Response {
    answer(StatusCode::OK, &shared.view(RESULTS))
}

async fn scans(State(shared): State<Shared>) -> Response {
    let view = shared.view(0);
    answer(StatusCode::OK, &json!({ "queue": view.queue, "scans": view.scans }))
}

async fn targets(State(shared): State<Shared>, filter: Result<Query<Filter>, QueryRejection>) -> Response {
    match filter {
        Ok(Query(filter)) => {
            let (fitting, results) = shared.board.results(&filter);
            answer(StatusCode::OK, &json!({ "fitting": fitting, "results": results }))
        }
        Err(rejection) => refusal(StatusCode::BAD_REQUEST, &rejection.body_text()),
    }
}

async fn sinks(State(shared): State<Shared>) -> Response {
    answer(StatusCode::OK, &json!({ "sinks": shared.view(0).sinks }))
}

async fn due(State(shared): State<Shared>) -> Response {
    answer(StatusCode::OK, &json!({ "due": shared.view(0).due }))
}

async fn metrics(State(shared): State<Shared>) -> Response {
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(CONTENT_TYPE, kind)], metrics::page(&shared.view(0))).into_response()
}

async fn scan(State(shared): State<Shared>, body: Result<Bytes, BytesRejection>) -> Response {
    match order(body) {
        Ok(target) => {
            info!(%target, "a scan was asked for");
            outcome(shared.control.scan_now(&target).await)
        }
        Err(refused) => refused.into_response(),
    }
}

async fn cancel(State(shared): State<Shared>, body: Result<Bytes, BytesRejection>) -> Response {
    match order(body) {
        Ok(target) => {
            info!(%target, "the cancellation of a scan was asked for");
            outcome(shared.control.cancel(&target).await)
        }
        Err(refused) => refused.into_response(),
    }
}

/// What an order names, in one of two ways.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    arn: Option<String>,
    id: Option<String>,
}

/// An order that is not one.
struct NoOrder(StatusCode, String);

impl NoOrder {
    fn invalid(text: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, text.into())
    }
}

impl IntoResponse for NoOrder {
    fn into_response(self) -> Response {
        let Self(status, text) = self;
        refusal(status, &text)
    }
}

/// The target of an order.
fn order(body: Result<Bytes, BytesRejection>) -> Result<String, NoOrder> {
    let body = body.map_err(|rejection| NoOrder(rejection.status(), rejection.body_text()))?;
    let order: Order = serde_json::from_slice(&body).map_err(|error| {
        NoOrder::invalid(format!("the body is not {{\"arn\": \"…\"}} or {{\"id\": \"…\"}}: {error}"))
    })?;
    let ((Some(target), None) | (None, Some(target))) = (order.arn, order.id) else {
        return Err(NoOrder::invalid("either arn or id is to be given"));
    };
    // Names of AWS have nothing else, and what is in a log is read on terminals.
    if target.is_empty() || target.len() > NAME || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(NoOrder::invalid("this is not the name of a target"));
    }
    Ok(target)
}

fn outcome(result: Result<Accepted, Refused>) -> Response {
    match result {
        Ok(accepted) => answer(StatusCode::ACCEPTED, &accepted),
        Err(refused) => {
            let status = match refused {
                Refused::Invalid(_) => StatusCode::BAD_REQUEST,
                Refused::Unknown(_) => StatusCode::NOT_FOUND,
                Refused::Excluded(_) => StatusCode::CONFLICT,
                Refused::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            refusal(status, &refused.to_string())
        }
    }
}

impl Shared {
    fn view(&self, results: usize) -> crate::board::View {
        self.board.view((self.clock)(), results)
    }
}

fn refusal(status: StatusCode, error: &str) -> Response {
    answer(status, &json!({ "error": error }))
}

fn answer(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(json) => {
            (status, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], json).into_response()
        }
        // A time before the year 0 has no text.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
