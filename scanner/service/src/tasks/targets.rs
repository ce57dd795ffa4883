//! One task: which target it is, and whether it may be.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Actions, Arn, ArnError, Task, shown};
use crate::target::{Kind, Place, Target};

/// One task as it is written. Fields that are not known are ignored: newer documents may have them.
#[derive(Debug, Deserialize)]
pub(super) struct Form {
    #[serde(rename = "type")]
    kind: String,
    arn: Option<String>,
    hostname: Option<String>,
    host_tags: Option<Vec<String>>,
    image_id: Option<String>,
    image_tags: Option<Vec<String>>,
    lambda_version: Option<String>,
    lambda_tags: Option<Vec<String>>,
    actions: Option<Vec<String>>,
}

/// The roles that a document names, by account: their partition and ARN.
pub(super) type Roles = BTreeMap<String, (&'static str, String)>;

/// Why a task is rejected.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(transparent)]
    Form(#[from] serde_json::Error),
    #[error("its text is longer than {0} bytes")]
    Length(usize),
    #[error("its type {} is unknown (ebs-volume, ami, lambda)", shown(.0))]
    Type(String),
    #[error(
        "a task of type localhost asks for a scan of the machine that reads it, and the service scans nothing of its own \
         instance: name the volumes, each in a task of type ebs-volume"
    )]
    Localhost,
    #[error("it names no arn")]
    NoArn,
    #[error("its arn {} is none: {}", shown(.0), .1)]
    Arn(String, ArnError),
    #[error("its arn {} is not that of {}", shown(.0), .1)]
    Resource(String, &'static str),
    #[error("its arn {} names no region", shown(.0))]
    NoRegion(String),
    #[error(
        "its arn {} names no account: write that of the account whose role reads it, as in \
         arn:aws:ec2:eu-central-1:123456789012:image/ami-…",
        shown(.0)
    )]
    NoAccount(String),
    #[error("its {} {} is another one than that of its arn", .0, shown(.1))]
    Contradiction(&'static str, String),
    #[error("its lambda_version {} is neither $LATEST nor a number", shown(.0))]
    Version(String),
    #[error("its hostname {} is longer than {MAX_HOSTNAME} bytes or has characters that no name has", shown(.0))]
    Hostname(String),
    #[error("it has {0} tags; more than {MAX_TAGS} are refused")]
    TooManyTags(usize),
    #[error("its tag {} is longer than {MAX_TAG} bytes or has control characters", shown(.0))]
    Tag(String),
    #[error("its action {} is unknown ({})", shown(.0), Actions::NAMES.join(", "))]
    Action(String),
    #[error("its action {} is none of a function (appvulns)", shown(.0))]
    ActionOfFunction(String),
    #[error(
        "it is in the partition {partition}, and the role of its account in roles, {}, in {its}",
        shown(role)
    )]
    Partition { partition: &'static str, role: String, its: &'static str },
}

/// The task that is written there, with the role of its account.
pub(super) fn task(text: &str, roles: &Roles) -> Result<Task, Refusal> {
    if text.len() > MAX_TASK {
        return Err(Refusal::Length(MAX_TASK));
    }
    let form: Form = serde_json::from_str(text)?;
    if !["ebs-volume", "ami", "lambda"].contains(&form.kind.as_str()) {
        return Err(if form.kind == "localhost" { Refusal::Localhost } else { Refusal::Type(form.kind) });
    }
    let text = form.arn.as_deref().ok_or(Refusal::NoArn)?;
    let arn = Arn::parse(text).map_err(|error| Refusal::Arn(text.to_owned(), error))?;
    let target = match form.kind.as_str() {
        "ebs-volume" => disk(&form, text, &arn),
        "ami" => image(&form, text, &arn),
        _ => function(&form, text, &arn),
    }?;
    if let Some(hostname) = &form.hostname
        && (hostname.len() > MAX_HOSTNAME || !hostname.chars().all(|it| it.is_ascii_graphic()))
    {
        return Err(Refusal::Hostname(hostname.clone()));
    }
    let role = match roles.get(&target.place.account) {
        Some((its, role)) if *its != arn.partition => {
            return Err(Refusal::Partition { partition: arn.partition, role: role.clone(), its });
        }
        role => role.map(|(_, role)| role.clone()),
    };
    let actions = actions(form.actions.unwrap_or_default(), target.kind)?;
    Ok(Task { target, hostname: form.hostname.filter(|it| !it.is_empty()), role, actions })
}

/// A volume, or a snapshot.
fn disk(form: &Form, text: &str, arn: &Arn) -> Result<Target, Refusal> {
    let other = || Refusal::Resource(text.to_owned(), "a volume or a snapshot");
    let (kind, id) = match arn.resource.split_once('/') {
        Some(("volume", id)) if is_id(id, "vol-") => (Kind::Volume, id),
        Some(("snapshot", id)) if is_id(id, "snap-") => (Kind::Snapshot, id),
        _ => return Err(other()),
    };
    if arn.service != "ec2" {
        return Err(other());
    }
    target(text, arn, kind, id, form.host_tags.as_deref())
}

fn image(form: &Form, text: &str, arn: &Arn) -> Result<Target, Refusal> {
    let id = arn.resource.strip_prefix("image/").filter(|id| arn.service == "ec2" && is_id(id, "ami-"));
    let id = id.ok_or_else(|| Refusal::Resource(text.to_owned(), "a machine image"))?;
    if let Some(other) = form.image_id.as_deref().filter(|it| !it.is_empty() && *it != id) {
        return Err(Refusal::Contradiction("image_id", other.to_owned()));
    }
    target(text, arn, Kind::Image, id, form.image_tags.as_deref())
}

/// A function, whose version is in its ARN, in `lambda_version`, in both, or the newest.
fn function(form: &Form, text: &str, arn: &Arn) -> Result<Target, Refusal> {
    let other = || Refusal::Resource(text.to_owned(), "a function, with a version or without");
    let resource =
        arn.resource.strip_prefix("function:").filter(|_| arn.service == "lambda").ok_or_else(other)?;
    let (name, in_arn) = resource.split_once(':').map_or((resource, None), |(name, it)| (name, Some(it)));
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !(1..=140).contains(&name.len()) || !name.bytes().all(is_name) {
        return Err(other());
    }
    let given = form.lambda_version.as_deref().filter(|it| !it.is_empty());
    if let Some(given) = given.filter(|it| !is_version(it)) {
        return Err(Refusal::Version(given.to_owned()));
    }
    let version = match (in_arn, given) {
        (Some(in_arn), _) if !is_version(in_arn) => return Err(other()),
        (Some(in_arn), Some(given)) if in_arn != given => {
            return Err(Refusal::Contradiction("lambda_version", given.to_owned()));
        }
        (Some(version), _) | (None, Some(version)) => version,
        (None, None) => "$LATEST",
    };
    let full = if in_arn.is_some() { text.to_owned() } else { format!("{text}:{version}") };
    target(&full, arn, Kind::Function, &full, form.lambda_tags.as_deref())
}

fn target(text: &str, arn: &Arn, kind: Kind, id: &str, tags: Option<&[String]>) -> Result<Target, Refusal> {
    if arn.region.is_empty() {
        return Err(Refusal::NoRegion(text.to_owned()));
    }
    if arn.account.is_empty() {
        return Err(Refusal::NoAccount(text.to_owned()));
    }
    Ok(Target {
        arn: text.to_owned(),
        place: Place { account: arn.account.clone(), region: arn.region.clone() },
        kind,
        id: id.to_owned(),
        tags: tags_of(tags.unwrap_or_default())?,
    })
}

/// Tags of the form `key:value`. Of two with one key the later one counts.
fn tags_of(tags: &[String]) -> Result<BTreeMap<String, String>, Refusal> {
    if tags.len() > MAX_TAGS {
        return Err(Refusal::TooManyTags(tags.len()));
    }
    if let Some(tag) = tags.iter().find(|tag| tag.len() > MAX_TAG || tag.chars().any(char::is_control)) {
        return Err(Refusal::Tag(tag.clone()));
    }
    let pairs = tags.iter().map(|tag| tag.split_once(':').unwrap_or((tag, "")));
    Ok(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}

/// None named is what is configured.
fn actions(names: Vec<String>, kind: Kind) -> Result<Option<Actions>, Refusal> {
    let mut actions = Actions::NONE;
    let is_any = !names.is_empty();
    for name in names {
        if !actions.add(&name) {
            return Err(Refusal::Action(name));
        }
        if kind == Kind::Function && name != "appvulns" {
            return Err(Refusal::ActionOfFunction(name));
        }
    }
    Ok(is_any.then_some(actions))
}

/// Whether this is an identifier of EC2: 8 or 17 hexadecimal digits after the prefix.
fn is_id(id: &str, prefix: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    id.strip_prefix(prefix).is_some_and(|it| matches!(it.len(), 8 | 17) && it.bytes().all(is_digit))
}

fn is_version(text: &str) -> bool {
    text == "$LATEST" || ((1..=20).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_digit()))
}

/// The longest text of one task.
const MAX_TASK: usize = 64 << 10;
/// The longest name of a host, as of DNS.
const MAX_HOSTNAME: usize = 255;
/// The most tags of a task. AWS has 50.
const MAX_TAGS: usize = 200;
/// The longest tag: key and value, as long as AWS has them.
const MAX_TAG: usize = 128 * 4 + 1 + 256 * 4;
