//! What the SBOM intake demands of a payload.

use std::collections::BTreeMap;
use std::io::Read as _;

use http::{HeaderMap, StatusCode};
use prost::Message as _;
use ruzstd::decoding::StreamingDecoder;

use super::message::{Entity, Kind, Payload, Sbom, Status, Time};
use super::{API_KEY, Checked, Known, News, Verdict, bom, header};

/// Checks a request, against what is known of its entity.
pub(super) fn check(known: &BTreeMap<(Kind, String), Known>, headers: &HeaderMap, body: &[u8]) -> Checked {
    let mut checked =
        Checked { subject: String::new(), is_heartbeat: false, verdict: Verdict::Accept, news: News::None };
    match header(headers, "dd-api-key") {
        API_KEY => {}
        "" => {
            checked.verdict = Verdict::Denied(StatusCode::UNAUTHORIZED);
            return checked;
        }
        _ => {
            checked.verdict = Verdict::Denied(StatusCode::FORBIDDEN);
            return checked;
        }
    }
    let entity = check_headers(headers).and_then(|()| decode(body)).and_then(only_entity);
    let entity = match entity {
        Ok(entity) => entity,
        Err(problem) => {
            checked.verdict = Verdict::Breach(problem);
            return checked;
        }
    };
    checked.subject.clone_from(&entity.id);
    checked.is_heartbeat = entity.heartbeat;
    match check_entity(known, &entity) {
        Ok(news) => checked.news = News::Entity(entity.kind(), news),
        Err(problem) => checked.verdict = Verdict::Breach(problem),
    }
    checked
}

fn check_headers(headers: &HeaderMap) -> Result<(), String> {
    let exact = [
        ("content-type", "application/x-protobuf"),
        ("content-encoding", "zstd"),
        ("dd-evp-origin", "agentless-scanner"),
    ];
    for (name, wanted) in exact {
        let value = header(headers, name);
        if value != wanted {
            return Err(format!("the header {name} is {value:?}, not {wanted:?}"));
        }
    }
    for name in ["user-agent", "dd-evp-origin-version"] {
        if header(headers, name).is_empty() {
            return Err(format!("the header {name} is missing"));
        }
    }
    Ok(())
}

/// What a body is without its compression.
pub(super) fn plain(body: &[u8]) -> Result<Vec<u8>, String> {
    let decoder = StreamingDecoder::new(body).map_err(|error| format!("not zstd: {error}"))?;
    let mut plain = Vec::new();
    let mut bounded = decoder.take(LONGEST);
    std::io::copy(&mut bounded, &mut plain).map_err(|error| format!("damaged zstd: {error}"))?;
    if bounded.limit() == 0 {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    Ok(plain)
}

fn decode(body: &[u8]) -> Result<Payload, String> {
    let plain = plain(body)?;
    let payload =
        Payload::decode(plain.as_slice()).map_err(|error| format!("not an SBOMPayload: {error}"))?;
    // What is not known is dropped when it is decoded.
    if payload.encoded_len() != plain.len() {
        return Err("it has fields that no SBOMPayload has".to_owned());
    }
    Ok(payload)
}

fn only_entity(payload: Payload) -> Result<Entity, String> {
    if payload.version != 1 {
        return Err(format!("it is of version {}", payload.version));
    }
    if payload.source != "agentless-scanner" {
        return Err(format!("its source is {:?}", payload.source));
    }
    if payload.host.is_empty() {
        return Err("it has no host".to_owned());
    }
    let mut entities = payload.entities;
    match (entities.pop(), entities.is_empty()) {
        (Some(entity), true) => Ok(entity),
        _ => Err("it has not one entity".to_owned()),
    }
}

fn check_entity(known: &BTreeMap<(Kind, String), Known>, entity: &Entity) -> Result<Known, String> {
    check_id(entity)?;
    check_tags(&entity.tags)?;
    let generated = check_time(entity.generated_at, "generatedAt")?;
    if generated < EARLIEST {
        return Err(format!("generatedAt is {generated} seconds after 1970"));
    }
    check_time(entity.generation_duration, "generationDuration")?;
    let status = Status::try_from(entity.status).map_err(|_| format!("its status is {}", entity.status))?;
    let mut news = Known {
        hash: entity.hash.clone(),
        generated,
        components: Vec::new(),
        error: None,
        tags: entity.tags.clone(),
        heartbeats: 0,
        lists: 0,
    };
    match (status, &entity.sbom, entity.heartbeat) {
        (Status::Success, Some(Sbom::Cyclonedx(encoded)), false) => {
            check_hash(&entity.hash)?;
            news.components = bom::components(encoded)?;
        }
        (Status::Success, None, true) => {
            check_hash(&entity.hash)?;
            let before = known.get(&(entity.kind(), entity.id.clone()));
            check_heartbeat(before, &entity.hash, generated)?;
        }
        (Status::Failed, Some(Sbom::Error(error)), false) if !error.is_empty() => {
            news.hash = String::new();
            news.error = Some(error.clone());
        }
        (status, sbom, heartbeat) => {
            let has = match sbom {
                None => "neither a list nor an error",
                Some(Sbom::Cyclonedx(_)) => "a list",
                Some(Sbom::Error(_)) => "an error",
            };
            return Err(format!("of status {status:?}, heartbeat {heartbeat}, it has {has}"));
        }
    }
    Ok(news)
}

/// A heartbeat is of the list that was sent last, less than a day ago.
fn check_heartbeat(before: Option<&Known>, hash: &str, generated: i64) -> Result<(), String> {
    let Some(before) = before else {
        return Err("a heartbeat of an entity that has no list".to_owned());
    };
    if before.hash != hash {
        return Err(format!("a heartbeat of the list {hash}, but the last is {:?}", before.hash));
    }
    match generated.saturating_sub(before.generated) {
        0..DAY => Ok(()),
        age => Err(format!("a heartbeat of a list that is {age} seconds old")),
    }
}

fn check_id(entity: &Entity) -> Result<(), String> {
    let id = entity.id.as_str();
    let kind = Kind::try_from(entity.kind).map_err(|_| format!("it is of kind {}", entity.kind))?;
    let is_right = match kind {
        Kind::HostFileSystem => ["i-", "vol-", "snap-"].iter().any(|prefix| id.starts_with(prefix)),
        Kind::HostImage => id.starts_with("ami-"),
        Kind::ServerlessFunction => id.starts_with("arn:") && id.contains(":function:"),
        Kind::ContainerImageLayers => {
            let is_digested = id.contains('@') != entity.repo_digests.is_empty();
            is_digested && !id.is_empty() && !id.contains(char::is_whitespace)
        }
        Kind::Unspecified | Kind::ContainerFileSystem | Kind::CiPipeline => false,
    };
    if is_right { Ok(()) } else { Err(format!("an entity of kind {kind:?} has the id {id:?}")) }
}

fn check_tags(tags: &[String]) -> Result<(), String> {
    for name in ["region:", "account_id:", "agentless_scanner_host:"] {
        let mut values = tags.iter().filter_map(|tag| tag.strip_prefix(name));
        let (value, more) = (values.next().unwrap_or_default(), values.next());
        let is_account = value.len() == 12 && value.bytes().all(|byte| byte.is_ascii_digit());
        if value.is_empty() || more.is_some() || (name == "account_id:" && !is_account) {
            return Err(format!("of the tag {name} it has {tags:?}"));
        }
    }
    Ok(())
}

fn check_time(time: Option<Time>, name: &str) -> Result<i64, String> {
    let time = time.ok_or_else(|| format!("{name} is missing"))?;
    if time.seconds < 0 || !(0..1_000_000_000).contains(&time.nanos) {
        return Err(format!("{name} is {} s {} ns", time.seconds, time.nanos));
    }
    Ok(time.seconds)
}

fn check_hash(hash: &str) -> Result<(), String> {
    let is_sha256 = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_sha256 { Ok(()) } else { Err(format!("its hash is {hash:?}")) }
}

const LONGEST: u64 = 256 << 20;
const DAY: i64 = 24 * 60 * 60;
/// 2020: whatever scans had a clock that was set.
const EARLIEST: i64 = 1_577_836_800;
