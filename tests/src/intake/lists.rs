//! What the endpoint for CycloneDX JSON demands.

use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::{AUTHORIZATION, Checked, News, Verdict, header};

pub(super) fn check(headers: &HeaderMap, body: &[u8]) -> Checked {
    let subject = header(headers, "x-agentless-target").to_owned();
    let mut checked = Checked { subject, is_heartbeat: false, verdict: Verdict::Accept, news: News::None };
    match header(headers, "authorization") {
        AUTHORIZATION => {}
        "" => checked.verdict = Verdict::Denied(StatusCode::UNAUTHORIZED),
        _ => checked.verdict = Verdict::Denied(StatusCode::FORBIDDEN),
    }
    if matches!(checked.verdict, Verdict::Accept) {
        match check_document(headers, body) {
            Ok((part, document)) => checked.news = News::List(part, document),
            Err(problem) => checked.verdict = Verdict::Breach(problem),
        }
    }
    checked
}

/// What of the target it is about, and the document.
fn check_document(headers: &HeaderMap, body: &[u8]) -> Result<(String, Value), String> {
    for name in ["x-agentless-target", "x-agentless-scan", "x-agentless-scanner", "user-agent"] {
        if header(headers, name).is_empty() {
            return Err(format!("the header {name} is missing"));
        }
    }
    let document: Value = serde_json::from_slice(body).map_err(|error| format!("not JSON: {error}"))?;
    let text = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default();
    match header(headers, "content-type") {
        "application/vnd.cyclonedx+json; version=1.6" => {
            let part = header(headers, "x-agentless-subject");
            let is_said = matches!(header(headers, "x-agentless-complete"), "true" | "false");
            if part.is_empty() || !is_said || header(headers, "x-agentless-hash").len() != 64 {
                return Err(format!("the headers of the list are {headers:?}"));
            }
            if (text("bomFormat"), text("specVersion")) != ("CycloneDX", "1.6") {
                return Err("it is not CycloneDX 1.6".to_owned());
            }
            Ok((part.to_owned(), document))
        }
        "application/json" => {
            if ["scan", "reason", "time"].iter().any(|name| text(name).is_empty()) {
                return Err("the failure lacks a scan, a reason or a time".to_owned());
            }
            Ok(("failure".to_owned(), document))
        }
        other => Err(format!("the content type is {other:?}")),
    }
}
