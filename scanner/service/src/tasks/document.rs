//! One document: a batch of tasks in JSON.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::targets::{Roles, task};
use super::{Arn, Batch, Part, Rejected, shown};

/// The longest document, in bytes.
pub const MAX_DOCUMENT: usize = 8 << 20;

/// The most tasks of one document.
pub const MAX_TASKS: usize = 10_000;

/// Why a document as a whole is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// Too long to be read at all.
    #[error("the document is longer than {MAX_DOCUMENT} bytes: split it")]
    TooLong,
    /// Not JSON, not of this form, or with too many tasks or roles.
    #[error("the document is not a batch of tasks")]
    Form(#[source] serde_json::Error),
    /// For something else.
    #[error("the document is of the type {0}; only \"aws-scan\" is known")]
    Type(String),
}

/// Reads a batch of tasks. Neither a bad task nor a bad role keeps the others from being read.
///
/// # Errors
///
/// The document as a whole is not one, too long, or of another type.
pub fn parse(document: &[u8]) -> Result<Batch, DocumentError> {
    if document.len() > MAX_DOCUMENT {
        return Err(DocumentError::TooLong);
    }
    let form: Form<'_> = serde_json::from_slice(document).map_err(DocumentError::Form)?;
    if form.kind != "aws-scan" {
        return Err(DocumentError::Type(shown(&form.kind)));
    }

    let mut batch = Batch::default();
    let mut roles = Roles::new();
    for (index, text) in form.roles.into_iter().flat_map(|it| it.items).enumerate() {
        if let Err(reason) = add_role(&mut roles, text.get()) {
            batch.rejected.push(Rejected { part: Part::Role, index, reason });
        }
    }
    for (index, text) in form.tasks.into_iter().flat_map(|it| it.items).enumerate() {
        match task(text.get(), &roles) {
            Ok(task) => batch.tasks.push(task),
            Err(refusal) => {
                let reason = refusal.to_string().chars().take(MAX_REASON).collect();
                batch.rejected.push(Rejected { part: Part::Task, index, reason });
            }
        }
    }
    Ok(batch)
}

fn add_role(roles: &mut Roles, text: &str) -> Result<(), String> {
    let text: String = serde_json::from_str(text).map_err(|_| "it is no text".to_owned())?;
    let arn = Arn::parse(&text).map_err(|error| format!("{} is no ARN: {error}", shown(&text)))?;
    let name = arn.resource.strip_prefix("role/").unwrap_or_default();
    let is_character = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-/".contains(&byte);
    let is_role = arn.service == "iam" && arn.region.is_empty() && !arn.account.is_empty();
    if !is_role || name.is_empty() || name.ends_with('/') || !name.bytes().all(is_character) {
        return Err(format!("{} is not that of a role", shown(&text)));
    }
    match roles.get(&arn.account) {
        Some((_, other)) if *other != text => Err(format!(
            "{} is a second role of its account, and the first, {}, is used",
            shown(&text),
            shown(other)
        )),
        _ => {
            roles.insert(arn.account, (arn.partition, text));
            Ok(())
        }
    }
}

/// A document as it is written. Fields that are not known are ignored: newer documents may have them.
#[derive(Deserialize)]
struct Form<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    roles: Option<Bounded<'a, MAX_ROLES>>,
    #[serde(borrow)]
    tasks: Option<Bounded<'a, MAX_TASKS>>,
}

/// A list of anything, with at most so many items.
struct Bounded<'a, const MAX: usize> {
    items: Vec<&'a RawValue>,
}

impl<'de: 'a, 'a, const MAX: usize> Deserialize<'de> for Bounded<'a, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(BoundedVisitor(PhantomData))
    }
}

struct BoundedVisitor<'a, const MAX: usize>(PhantomData<&'a ()>);

impl<'de: 'a, 'a, const MAX: usize> Visitor<'de> for BoundedVisitor<'a, MAX> {
    type Value = Bounded<'a, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX} items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            if items.len() >= MAX {
                return Err(A::Error::custom(format_args!(
                    "a list of more than {MAX} items: split the document"
                )));
            }
            items.push(item);
        }
        Ok(Bounded { items })
    }
}

/// The most roles of one document.
const MAX_ROLES: usize = 1_000;

/// The longest reason that is kept.
const MAX_REASON: usize = 400;
