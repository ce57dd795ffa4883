//! A stand-in for the places that package lists are sent to: Datadog's SBOM intake, and an endpoint for CycloneDX JSON.
//!
//! It decodes every payload with its own definitions, checks it as the protocol says, keeps what it was sent, and answers as
//! it is told. It listens on `http://127.0.0.1`.

mod bom;
mod lists;
mod message;
mod sbom;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::response::Response;
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use message::Kind;

/// The only API key that it accepts.
pub const API_KEY: &str = "0123456789abcdef0123456789abcdef";
/// The only authorization that the endpoint for lists accepts.
pub const AUTHORIZATION: &str = "Bearer 0123456789";

/// A running server. It stops when it is dropped.
#[derive(Debug)]
pub struct Intake {
    origin: String,
    shared: Arc<Mutex<Shared>>,
    server: JoinHandle<()>,
}

/// An answer other than the right one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// This status, and when to come again, in seconds.
    Status(u16, Option<u64>),
    /// None: the connection stays open.
    Hang,
}

/// What the intake knows of one entity.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Known {
    /// Of its list. Empty if the scan failed.
    pub hash: String,
    /// When the list was made, in seconds since 1970.
    pub generated: i64,
    /// Names of the components in it, with their versions.
    pub components: Vec<String>,
    /// Why the last scan failed.
    pub error: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// How many heartbeats said that the list is still right.
    pub heartbeats: u32,
    /// Whether the list came anew, how often.
    pub lists: u32,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its path.
    pub path: &'static str,
    /// Its headers.
    pub headers: HeaderMap,
    /// How it was answered. `None` if it was not.
    pub status: Option<u16>,
    /// What it is about: an entity's id, or a target's ARN.
    pub subject: String,
    /// Whether it says that a list is still right.
    pub is_heartbeat: bool,
    /// Its body, without compression, as text wherever it is some.
    pub body: String,
}

#[derive(Debug, Default)]
struct Shared {
    script: VecDeque<Answer>,
    always: Option<Answer>,
    received: Vec<Received>,
    problems: Vec<String>,
    known: BTreeMap<(Kind, String), Known>,
    lists: BTreeMap<(String, String), serde_json::Value>,
}

/// What a payload came to.
struct Checked {
    subject: String,
    is_heartbeat: bool,
    /// How it would be answered if nothing else were to be.
    verdict: Verdict,
    /// What is known if it is accepted.
    news: News,
}

enum Verdict {
    Accept,
    /// The key is not right. No breach of the protocol.
    Denied(StatusCode),
    /// It is not as the protocol says.
    Breach(String),
}

enum News {
    None,
    Entity(Kind, Known),
    List(String, serde_json::Value),
}

type Handle = Arc<Mutex<Shared>>;

impl Intake {
    /// Starts one, on a port of the system's choice.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let origin = format!("http://{}", listener.local_addr()?);
        let shared = Handle::default();
        let app = Router::new()
            .route(SBOM, post(sbom_handler))
            .route(LISTS, post(lists_handler))
            .layer(DefaultBodyLimit::max(LONGEST_BODY))
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                tracing::error!(%error, "the intake stopped");
            }
        });
        Ok(Self { origin, shared, server })
    }

    /// Where the SBOM intake is, as `sinks.datadog.url` wants it.
    pub fn url(&self) -> String {
        format!("{}{SBOM}", self.origin)
    }

    /// Where CycloneDX JSON goes, as `sinks.https.url` wants it.
    pub fn lists_url(&self) -> String {
        format!("{}{LISTS}", self.origin)
    }

    /// The next request that has no answer yet gets this one.
    pub fn answer(&self, answer: Answer) {
        lock(&self.shared).script.push_back(answer);
    }

    /// Every request gets this answer from now on; `None` for the right one.
    pub fn answer_always(&self, answer: Option<Answer>) {
        lock(&self.shared).always = answer;
    }

    /// Every request, in the order of arrival.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.shared).received.clone()
    }

    /// Every breach of the protocol, in words.
    pub fn problems(&self) -> Vec<String> {
        lock(&self.shared).problems.clone()
    }

    /// What it knows of each entity, from what it accepted.
    pub fn known(&self) -> BTreeMap<(Kind, String), Known> {
        lock(&self.shared).known.clone()
    }

    /// The documents that the endpoint for lists accepted, the last of each target's ARN and subject.
    pub fn lists(&self) -> BTreeMap<(String, String), serde_json::Value> {
        lock(&self.shared).lists.clone()
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn sbom_handler(State(shared): State<Handle>, headers: HeaderMap, body: Bytes) -> Response {
    let checked = sbom::check(&lock(&shared).known, &headers, &body);
    let plain = sbom::plain(&body).unwrap_or_default();
    respond(&shared, SBOM, (headers, &plain), checked).await
}

async fn lists_handler(State(shared): State<Handle>, headers: HeaderMap, body: Bytes) -> Response {
    let checked = lists::check(&headers, &body);
    respond(&shared, LISTS, (headers, &body), checked).await
}

async fn respond(
    shared: &Handle,
    path: &'static str,
    (headers, body): (HeaderMap, &[u8]),
    checked: Checked,
) -> Response {
    let body = String::from_utf8_lossy(body).into_owned();
    let answer = note(&mut lock(shared), path, (headers, body), checked);
    match answer {
        Some((status, retry_after, text)) => {
            let mut response = Response::new(Body::from(text));
            *response.status_mut() = status;
            if let Some(seconds) = retry_after {
                response.headers_mut().insert(http::header::RETRY_AFTER, seconds.into());
            }
            response
        }
        None => std::future::pending().await,
    }
}

/// Notes a request, and says how to answer it.
fn note(
    shared: &mut Shared,
    path: &'static str,
    (headers, body): (HeaderMap, String),
    checked: Checked,
) -> Option<(StatusCode, Option<u64>, String)> {
    let Checked { subject, is_heartbeat, verdict, news } = checked;
    if let Verdict::Breach(problem) = &verdict {
        shared.problems.push(format!("{path} {subject}: {problem}"));
    }
    let told = shared.script.pop_front().or(shared.always);
    let answer = match (told, verdict) {
        (Some(Answer::Hang), _) => None,
        (Some(Answer::Status(status, retry_after)), _) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Some((status, retry_after, "as told".to_owned()))
        }
        (None, Verdict::Accept) => Some((StatusCode::ACCEPTED, None, String::new())),
        (None, Verdict::Denied(status)) => Some((status, None, "the key is not right".to_owned())),
        (None, Verdict::Breach(problem)) => Some((StatusCode::BAD_REQUEST, None, problem)),
    };
    if answer.as_ref().is_some_and(|(status, ..)| status.is_success()) {
        learn(shared, &subject, is_heartbeat, news);
    }
    let status = answer.as_ref().map(|(status, ..)| status.as_u16());
    shared.received.push(Received { path, headers, status, subject, is_heartbeat, body });
    answer
}

fn learn(shared: &mut Shared, subject: &str, is_heartbeat: bool, news: News) {
    match news {
        News::None => {}
        News::List(part, document) => {
            shared.lists.insert((subject.to_owned(), part), document);
        }
        News::Entity(kind, mut news) => {
            let place = (kind, subject.to_owned());
            if let Some(before) = shared.known.get(&place) {
                (news.lists, news.heartbeats) = (before.lists, before.heartbeats);
                if is_heartbeat {
                    // The list, and its age, stay.
                    news.generated = before.generated;
                    news.components.clone_from(&before.components);
                }
            }
            if is_heartbeat {
                news.heartbeats = news.heartbeats.saturating_add(1);
            } else if news.error.is_none() {
                news.lists = news.lists.saturating_add(1);
            }
            shared.known.insert(place, news);
        }
    }
}

/// The value of a header, empty where there is none.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

const SBOM: &str = "/api/v2/sbom";
const LISTS: &str = "/lists";
const LONGEST_BODY: usize = 64 << 20;
