//! What a user is told when something is wrong.

use std::error::Error;
use std::fmt::{self, Display};

use super::Path;

/// An error or warning that Terraform shows to its user, pointing at the attribute it is about.
///
/// The summary says in one line what failed, on what. The detail says why, and what the user can do.
///
/// ```
/// use terraform_provider::sdk::Diagnostic;
///
/// let diagnostic = Diagnostic::error("Could not create bucket \"logs\"", "The name is taken. Choose another one.")
///     .at("name");
/// assert_eq!(diagnostic.path.to_string(), "name");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// Whether the operation failed.
    pub severity: Severity,
    /// One line without a full stop: what failed, on what.
    pub summary: String,
    /// Why, and what to do about it.
    pub detail: String,
    /// The attribute it is about; the root when it is about the whole block.
    pub path: Path,
}

/// How bad a [`Diagnostic`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The operation failed.
    Error,
    /// The operation went on.
    Warning,
}

impl Diagnostic {
    /// Something failed.
    pub fn error(summary: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { severity: Severity::Error, summary: summary.into(), detail: detail.into(), path: Path::root() }
    }

    /// Something the user should know, though nothing failed.
    pub fn warning(summary: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(summary, detail) }
    }

    /// Something failed because of `error`; the detail is its whole chain of causes.
    pub fn caused_by(summary: impl Into<String>, error: &dyn Error) -> Self {
        Self::error(summary, chain(error))
    }

    /// A mistake of the provider's own code, which the user can only report.
    pub fn bug(detail: impl Display) -> Self {
        Self::error(
            "Provider bug",
            format!(
                "{detail}\n\nThis is a mistake in the provider, not in your configuration. Please report it."
            ),
        )
    }

    /// The same, about the attribute at `path`.
    #[must_use]
    pub fn at(self, path: impl Into<Path>) -> Self {
        Self { path: path.into(), ..self }
    }

    /// Whether the operation failed.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity: _, summary, detail, path } = self;
        if !path.is_root() {
            write!(formatter, "{path}: ")?;
        }
        formatter.write_str(summary)?;
        if !detail.is_empty() {
            write!(formatter, ": {detail}")?;
        }
        Ok(())
    }
}

impl Error for Diagnostic {}

/// An error and its causes, outermost first, separated by colons. A cause whose text the error above already repeats
/// is left out.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let own = error.to_string();
        if !text.ends_with(&own) {
            text.push_str(": ");
            text.push_str(&own);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Self>>,
    }

    #[test]
    fn every_cause_is_told_once() {
        let inner = Layer { text: "connection refused", source: None };
        let middle = Layer { text: "request failed: connection refused", source: Some(Box::new(inner)) };
        let outer = Layer { text: "no role", source: Some(Box::new(middle)) };
        let diagnostic = Diagnostic::caused_by("Could not create", &outer).at("name");
        assert_eq!(
            diagnostic.to_string(),
            "name: Could not create: no role: request failed: connection refused"
        );
    }
}
