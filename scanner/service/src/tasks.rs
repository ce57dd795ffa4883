//! Batches of tasks: documents that select scans, and can do nothing else.
//!
//! A task names a target and which of the predefined scans are made of it. Nothing in it is run, no path in it is opened, and
//! the role that it may name is only ever one of the account that it is for. One bad task is rejected alone, with its reason.

mod actions;
mod arn;
mod document;
mod signature;
mod source;
mod targets;

use crate::target::Target;

pub use actions::Actions;
pub use arn::{Arn, ArnError};
pub use document::{DocumentError, MAX_DOCUMENT, MAX_TASKS, parse};
pub use minisign_verify::PublicKey;
pub use signature::{SignatureError, public_key, verify};
pub use source::{Document, Failed, Source, SourceError, SourceState};

/// What one document asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// The scans.
    pub tasks: Vec<Task>,
    /// What was not understood, or not allowed.
    pub rejected: Vec<Rejected>,
}

/// One scan that is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Of what. Its tags are those of the task.
    pub target: Target,
    /// The name of the host, as the task gives it.
    pub hostname: Option<String>,
    /// The delegate role of the target's account, where the document names one.
    pub role: Option<String>,
    /// Which scans; those that are configured where the task names none.
    pub actions: Option<Actions>,
}

/// One part of a document that is rejected.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rejected {
    /// In which list of the document it is.
    pub part: Part,
    /// Where in the list, from 0.
    pub index: usize,
    /// Why, and what to do.
    pub reason: String,
}

/// A list of a document.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// `roles`.
    Role,
    /// `tasks`.
    Task,
}

/// Text of a document in a message: quoted, on one line, and not too long.
fn shown(text: &str) -> String {
    let start: String = text.chars().take(MAX_SHOWN).collect();
    let rest = if start.len() < text.len() { "…" } else { "" };
    format!("\"{}{rest}\"", start.escape_debug())
}

/// How many characters of a document's text a message shows.
const MAX_SHOWN: usize = 80;

#[cfg(test)]
mod tests;
