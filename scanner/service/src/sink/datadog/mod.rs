//! Package lists to Datadog's SBOM intake: protocol buffers, compressed, one entity a request.
//!
//! A list that is the same as the one the intake accepted within 24 hours goes as a heartbeat, without the list.

mod entity;
mod heartbeats;
pub mod proto;
mod site;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use prost::Message as _;
use reqwest::{Client, StatusCode, Url};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use time::OffsetDateTime;
use tokio::task::spawn_blocking;

pub use site::{Site, SiteError};

use super::answer::{self, Meaning};
use super::{Credential, Payload, SendError, Sink};
use crate::report::{Outcome, Report};
use entity::Entity;
use heartbeats::Heartbeats;
use proto::{Sbom, SbomPayload, Status};

/// How the intake is reached, and what it is told about the scanner.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where requests go: [`Site::intake`], or an address of the user's own.
    pub url: Url,
    /// The API key.
    pub api_key: Credential,
    /// The environment, `env` in Datadog.
    pub env: Option<String>,
    /// Where the scanner runs: its host name, or the id of its instance.
    pub host: String,
    /// Where it is remembered which lists the intake has.
    pub directory: PathBuf,
}

/// Datadog's SBOM intake.
#[derive(Debug)]
pub struct Datadog {
    client: Client,
    settings: Settings,
    heartbeats: Arc<Mutex<Heartbeats>>,
}

impl Datadog {
    /// The intake. The client must not follow redirections. Blocks while it reads what is remembered.
    pub fn new(client: Client, settings: Settings) -> Self {
        let heartbeats = Arc::new(Mutex::new(Heartbeats::open(settings.directory.clone())));
        Self { client, settings, heartbeats }
    }

    fn payload(&self, entity: Entity, note: String) -> Payload {
        let key = entity.key();
        let message = SbomPayload {
            version: PROTOCOL,
            host: self.settings.host.clone(),
            source: SOURCE.to_owned(),
            entities: vec![entity.0],
            dd_env: self.settings.env.clone().filter(|env| !env.is_empty()),
        };
        let encoded = message.encode_to_vec();
        let body = compress_to_vec(encoded.as_slice(), CompressionLevel::Fastest);
        let headers = [
            ("Content-Encoding", "zstd"),
            ("DD-EVP-ORIGIN", SOURCE),
            ("DD-EVP-ORIGIN-VERSION", env!("CARGO_PKG_VERSION")),
        ];
        Payload {
            key,
            content_type: "application/x-protobuf".to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            note,
            body: Bytes::from(body),
        }
    }
}

impl Sink for Datadog {
    fn name(&self) -> &'static str {
        "datadog"
    }

    fn render(&self, report: &Report, _now: OffsetDateTime) -> Vec<Payload> {
        let mut heartbeats = lock(&self.heartbeats);
        let lists = match &report.outcome {
            Outcome::Listed(lists) => lists,
            Outcome::Failed(reason) => {
                let mut entity = Entity::of_target(report, &self.settings.host);
                // What the intake has of it is no longer the last that it was told: the next list goes whole.
                heartbeats.forget(&entity.key());
                entity.0.status = Status::Failed.into();
                entity.0.sbom = Some(Sbom::Error(reason.chars().take(LONGEST_REASON).collect()));
                return vec![self.payload(entity, String::new())];
            }
        };
        let payloads = lists.iter().map(|list| {
            let mut entity = Entity::of(report, &list.subject, &self.settings.host);
            entity.0.hash.clone_from(&list.hash);
            let generated = report.started + report.duration;
            let note = if heartbeats.has(&entity.key(), &list.hash, generated) {
                entity.0.heartbeat = true;
                String::new()
            } else {
                entity.0.sbom = Some(Sbom::Cyclonedx(list.protobuf.clone()));
                heartbeats.sending(&entity.key(), &list.hash, generated)
            };
            self.payload(entity, note)
        });
        payloads.collect()
    }

    fn send<'a>(&'a self, payload: &'a Payload) -> BoxFuture<'a, Result<(), SendError>> {
        Box::pin(async move {
            let api_key = self.settings.api_key.header().ok_or_else(|| {
                SendError::misconfigured("`sinks.datadog.api_key` has characters that no header may have")
            })?;
            let mut request = self
                .client
                .post(self.settings.url.clone())
                .header(http::header::CONTENT_TYPE, &payload.content_type)
                .header("DD-API-KEY", api_key)
                .body(payload.body.clone());
            for (name, value) in &payload.headers {
                request = request.header(name, value);
            }
            answer::send(request, meaning).await?;
            if !payload.note.is_empty() {
                let heartbeats = Arc::clone(&self.heartbeats);
                let (entity, note) = (payload.key.clone(), payload.note.clone());
                let noted = spawn_blocking(move || lock(&heartbeats).accepted(&entity, &note));
                // The intake has it: what is not noted is sent once more, no worse.
                let _ = noted.await;
            }
            Ok(())
        })
    }
}

fn meaning(status: StatusCode) -> Meaning {
    match status.as_u16() {
        200..=299 => Meaning::Accepted,
        400 | 413 => Meaning::Refused,
        300..=399 | 401 | 403 => Meaning::Misconfigured,
        _ => Meaning::Passing,
    }
}

/// Each change of an entity is whole, so that one that was cut short by a panic did no harm.
fn lock(heartbeats: &Mutex<Heartbeats>) -> MutexGuard<'_, Heartbeats> {
    heartbeats.lock().unwrap_or_else(PoisonError::into_inner)
}

const PROTOCOL: i32 = 1;
const SOURCE: &str = "agentless-scanner";
const LONGEST_REASON: usize = 4096;
