//! The log: one JSON object a line on standard error, as Terraform reads it.
//!
//! The form is that of hclog: `@level`, `@message`, `@module`, `@timestamp`, and a key for each field. Terraform filters
//! by level once more and writes the lines into its own log. Texts of sensitive attributes are replaced before a line is
//! written, whoever logs them.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::io::Write;
use std::sync::{PoisonError, RwLock};

use serde_json::{Map, Value as Json};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Scope};

/// As hclog writes it.
const TIMESTAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// What stands in place of a secret.
const HIDDEN: &str = "***";

/// Texts shorter than this are not replaced: they would make the log unreadable and hide little.
const SHORTEST_SECRET: usize = 4;

/// Libraries that carry the messages and tell of every frame: only their warnings are of interest.
const TRANSPORT: [&str; 8] = ["h2", "hyper", "hyper_util", "mio", "rustls", "tokio_util", "tonic", "tower"];

/// The texts that must not be logged.
static SECRETS: RwLock<BTreeSet<String>> = RwLock::new(BTreeSet::new());

/// Sends what is traced to standard error, down to the level that `TF_LOG_PROVIDER` or else `TF_LOG` names; warnings
/// and errors if neither does. In a process that traces elsewhere already, such as a test, nothing changes.
pub(super) fn start(address: &str) {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let level = level(variable("TF_LOG_PROVIDER").or_else(|| variable("TF_LOG")).as_deref());
    let module = format!("provider.{}", address.rsplit('/').next().unwrap_or(address));
    let write = |line: &[u8]| drop(std::io::stderr().write_all(line));
    let lines = Lines { level, module, write };
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines));
}

/// Never write `secrets` into the log.
pub(crate) fn hide(secrets: BTreeSet<String>) {
    let known = |secret: &String| SECRETS.read().unwrap_or_else(PoisonError::into_inner).contains(secret);
    let new: Vec<_> =
        secrets.into_iter().filter(|secret| secret.len() >= SHORTEST_SECRET && !known(secret)).collect();
    if !new.is_empty() {
        SECRETS.write().unwrap_or_else(PoisonError::into_inner).extend(new);
    }
}

fn level(name: Option<&str>) -> LevelFilter {
    match name.map(str::to_ascii_uppercase).as_deref() {
        None | Some("WARN") => LevelFilter::WARN,
        Some("OFF") => LevelFilter::OFF,
        Some("ERROR") => LevelFilter::ERROR,
        Some("INFO") => LevelFilter::INFO,
        Some("DEBUG") => LevelFilter::DEBUG,
        // "JSON" is TRACE in another form, and Terraform takes what it does not know for TRACE.
        Some(_) => LevelFilter::TRACE,
    }
}

/// Writes each event as a line by way of `write`.
struct Lines<W> {
    level: LevelFilter,
    module: String,
    write: W,
}

/// The fields of a span, kept with it.
struct SpanFields(Fields);

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Fn(&[u8]) + Send + Sync + 'static,
{
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let origin = metadata.target().split("::").next().unwrap_or_default();
        let level = if TRANSPORT.contains(&origin) { self.level.min(LevelFilter::WARN) } else { self.level };
        *metadata.level() <= level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(SpanFields(fields));
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(SpanFields(fields)) = span.extensions_mut().get_mut() {
            record.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut all = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(SpanFields(fields)) = span.extensions().get::<SpanFields>() {
                all.0.extend(fields.0.clone());
            }
        }
        event.record(&mut all);
        let mut line = all.0;
        // Terraform crashes on a line whose message is no text.
        let message = match line.remove("message") {
            Some(Json::String(text)) => text,
            Some(other) => other.to_string(),
            None => String::new(),
        };
        line.insert("@message".to_owned(), message.into());
        line.insert("@level".to_owned(), level_name(*event.metadata().level()).into());
        line.insert("@module".to_owned(), self.module.clone().into());
        line.insert("@caller".to_owned(), event.metadata().target().into());
        let now = OffsetDateTime::now_utc().format(&TIMESTAMP).unwrap_or_default();
        line.insert("@timestamp".to_owned(), now.into());
        let mut bytes = Json::Object(line).to_string().into_bytes();
        bytes.push(b'\n');
        (self.write)(&bytes);
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// Fields as JSON, without secrets.
#[derive(Clone, Default)]
struct Fields(Map<String, Json>);

impl Fields {
    fn insert(&mut self, field: &Field, value: impl Into<Json>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // Writing into memory does not fail, and a value that cannot be shown is shown as far as it can.
        let _ = write!(text, "{value:?}");
        self.insert(field, without_secrets(text));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, without_secrets(value.to_owned()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value);
    }
}

/// `text` with every secret replaced, also where it is escaped as in the `Debug` form of a text.
fn without_secrets(mut text: String) -> String {
    for secret in SECRETS.read().unwrap_or_else(PoisonError::into_inner).iter() {
        if text.contains(secret.as_str()) {
            text = text.replace(secret.as_str(), HIDDEN);
        }
        let escaped = secret.escape_debug().to_string();
        if text.contains(&escaped) {
            text = text.replace(&escaped, HIDDEN);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn logged(level: LevelFilter, log: impl FnOnce()) -> Vec<Json> {
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&written);
        let write = move |line: &[u8]| sink.lock().unwrap().extend_from_slice(line);
        let lines = Lines { level, module: "provider.test".to_owned(), write };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), log);
        let written = written.lock().unwrap();
        written
            .split_inclusive(|byte| *byte == b'\n')
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    #[test]
    fn lines_are_those_of_hclog() {
        let lines = logged(LevelFilter::DEBUG, || {
            let span = tracing::info_span!("request", tf_rpc = "Read").entered();
            tracing::info!(count = 3, name = %"x", "done");
            drop(span);
            tracing::trace!("too much");
        });
        let [line] = &lines[..] else { panic!("{lines:?}") };
        for (key, value) in [
            ("@level", Json::from("info")),
            ("@message", "done".into()),
            ("@module", "provider.test".into()),
            ("count", 3.into()),
            ("name", "x".into()),
            ("tf_rpc", "Read".into()),
        ] {
            assert_eq!(line[key], value, "{key}");
        }
        let timestamp = line["@timestamp"].as_str().unwrap();
        assert_eq!(timestamp.len(), "2026-01-02T03:04:05.000006Z".len(), "{timestamp}");
    }

    #[test]
    fn frames_are_not_told() {
        let lines = logged(LevelFilter::TRACE, || {
            tracing::debug!(target: "h2::codec", "received");
            tracing::warn!(target: "h2::codec", "broken");
        });
        assert_eq!(lines.len(), 1);
    }

    #[test]
    fn the_message_is_always_a_text() {
        let lines = logged(LevelFilter::INFO, || {
            tracing::info!(count = 3);
            tracing::info!(message = 4);
        });
        assert_eq!((&lines[0]["@message"], &lines[1]["@message"]), (&Json::from(""), &Json::from("4")));
    }

    #[test]
    fn secrets_are_not_written() {
        hide(["correct horse".to_owned(), "two\nlines".to_owned(), "abc".to_owned()].into());
        let lines = logged(LevelFilter::TRACE, || {
            tracing::info!(key = "correct horse", other = ?"two\nlines", short = "abc", "with correct horse battery");
        });
        assert_eq!(lines[0]["key"], HIDDEN);
        assert_eq!(lines[0]["other"], format!("\"{HIDDEN}\""));
        assert_eq!(lines[0]["short"], "abc");
        assert_eq!(lines[0]["@message"], format!("with {HIDDEN} battery"));
    }

    #[test]
    fn levels_are_those_of_terraform() {
        assert_eq!(level(None), LevelFilter::WARN);
        assert_eq!(level(Some("debug")), LevelFilter::DEBUG);
        assert_eq!(level(Some("JSON")), LevelFilter::TRACE);
    }
}
