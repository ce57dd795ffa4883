//! Requests of sinks over HTTP, and what their answers mean.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::SendError;

/// What a status means to a sink.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Meaning {
    /// The other side has the payload.
    Accepted,
    /// This payload is not wanted.
    Refused,
    /// The sink's address or credentials are not right.
    Misconfigured,
    /// Later.
    Passing,
}

/// Sends a request and sorts its answer.
pub(super) async fn send(
    request: RequestBuilder,
    meaning: impl Fn(StatusCode) -> Meaning + Send,
) -> Result<(), SendError> {
    let answer = request.send().await.map_err(|error| unanswered(&error))?;
    let status = answer.status();
    let meaning = meaning(status);
    if meaning == Meaning::Accepted {
        return Ok(());
    }
    let retry_after = retry_after(&answer);
    let reason = if status.is_redirection() { redirected(&answer) } else { described(answer).await };
    Err(match meaning {
        Meaning::Refused => SendError::refused(reason),
        Meaning::Misconfigured => SendError::misconfigured(reason),
        Meaning::Passing | Meaning::Accepted => SendError::Passing { reason, retry_after },
    })
}

/// The URL is left out: it may have a password in it.
fn unanswered(error: &reqwest::Error) -> SendError {
    let mut reason = "no answer".to_owned();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(reason, ": {cause}");
        source = cause.source();
    }
    if error.is_timeout() {
        reason.push_str(" in time");
    }
    reason.push_str("; check the network, `HTTPS_PROXY` and `ca_file`");
    SendError::passing(reason)
}

/// Redirections of what is posted are not followed: most of them would send the request again without its body.
fn redirected(answer: &Response) -> String {
    let to =
        answer.headers().get(http::header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
    format!(
        "HTTP status {}: it redirects to {}; configure the final address",
        answer.status().as_u16(),
        printable(to)
    )
}

/// The status, and the beginning of what the server says about it.
async fn described(mut answer: Response) -> String {
    let mut text = Vec::new();
    while text.len() < LONGEST_SAYING {
        let Ok(Some(chunk)) = answer.chunk().await else { break };
        text.extend(chunk.iter().take(LONGEST_SAYING.saturating_sub(text.len())));
    }
    let said = printable(String::from_utf8_lossy(&text).trim());
    let status = answer.status();
    let name = status.canonical_reason().map(|name| format!(" {name}")).unwrap_or_default();
    if said.is_empty() {
        format!("HTTP status {}{name}", status.as_u16())
    } else {
        format!("HTTP status {}{name}: {said}", status.as_u16())
    }
}

/// In seconds or as a date; at most an hour, whatever the server says.
fn retry_after(answer: &Response) -> Option<Duration> {
    let text = answer.headers().get(http::header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if let Ok(seconds) = text.parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let date = OffsetDateTime::parse(text, &Rfc2822).ok()?;
        // A time that has passed is no wait at all.
        Duration::try_from(date - OffsetDateTime::now_utc()).unwrap_or_default()
    };
    Some(wait.min(LONGEST_WAIT))
}

/// Without control characters: it goes to terminals.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_SAYING).collect()
}

/// As a header: printable ASCII, everything else percent-encoded.
pub(super) fn header_safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for byte in text.bytes() {
        if (b' '..=b'~').contains(&byte) {
            safe.push(char::from(byte));
        } else {
            let _ = write!(safe, "%{byte:02X}");
        }
    }
    safe
}

const LONGEST_SAYING: usize = 400;
const LONGEST_WAIT: Duration = Duration::from_hours(1);
