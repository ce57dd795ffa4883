//! What is wrong with a configuration, where, and what would be right.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use agentless_core::text::printable;

/// Where a value was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// Nowhere: it is the default.
    Default,
    /// In a file.
    File {
        /// The file.
        file: Arc<Path>,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// In an environment variable with this name.
    Variable(String),
    /// On the command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line, column } => {
                write!(f, "{}:{line}:{column}", printable(&file.to_string_lossy()))
            }
            Self::Variable(name) => f.write_str(&printable(name)),
            Self::Flag => f.write_str("--set"),
        }
    }
}

/// One mistake in a configuration: whoever wrote it has to act.
///
/// `config.yaml:12:5: sinks.s3.buket: unknown key, did you mean bucket?`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mistake {
    /// Where it is. For a value that is missing, the section in which it is missed.
    pub origin: Origin,
    /// The key, with those of its sections; empty where it is the document as a whole.
    pub path: String,
    /// What is wrong, and what would be right.
    pub text: String,
}

impl Mistake {
    /// The line of the file, where the mistake is in one.
    pub const fn line(&self) -> Option<usize> {
        match self.origin {
            Origin::File { line, .. } => Some(line),
            _ => None,
        }
    }

    /// The column in that line.
    pub const fn column(&self) -> Option<usize> {
        match self.origin {
            Origin::File { column, .. } => Some(column),
            _ => None,
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.origin != Origin::Default {
            write!(f, "{}: ", self.origin)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.text)
    }
}

/// All mistakes of a configuration; at least one where it is the error of a reader.
///
/// The first hundred are kept, so that a file which is something else altogether costs no memory.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Mistakes {
    list: Vec<Mistake>,
    further: usize,
}

/// How many mistakes are kept.
const MOST: usize = 100;

impl Mistakes {
    /// Those that were kept, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.list.iter()
    }

    /// How many there are beyond those that were kept.
    pub const fn further(&self) -> usize {
        self.further
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many there are.
    pub(super) const fn count(&self) -> usize {
        self.list.len().saturating_add(self.further)
    }

    /// Adds one. What it says is only found out if it is kept.
    pub(super) fn add<S: Into<String>>(&mut self, origin: &Origin, path: &str, text: impl FnOnce() -> S) {
        if self.list.len() < MOST {
            self.list.push(Mistake { origin: origin.clone(), path: shown(path), text: text().into() });
        } else {
            self.further = self.further.saturating_add(1);
        }
    }
}

/// A line for each.
impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.list.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            mistake.fmt(f)?;
        }
        if self.further > 0 {
            write!(f, "\nand {} further mistakes", self.further)?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// The beginning of a text, harmless to print.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 120;
    match text.char_indices().nth(LONGEST) {
        None => printable(text),
        Some((end, _)) => format!("{}…", printable(text.get(..end).unwrap_or_default())),
    }
}

/// The known name that is nearest to an unknown one, if any is near.
pub(super) fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // What is much longer than every name is a misspelling of none, and comparing takes the product of the lengths.
    if unknown.len() > 64 {
        return None;
    }
    let unknown = unknown.to_lowercase();
    let near = |name: &'a str| (strsim::normalized_damerau_levenshtein(&unknown, &name.to_lowercase()), name);
    let best = known.into_iter().map(near).max_by(|(one, _), (other, _)| one.total_cmp(other));
    best.filter(|(similarity, _)| *similarity >= 0.6).map(|(_, name)| name)
}

/// `, did you mean NAME?`, if a name is near.
pub(super) fn did_you_mean<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(unknown, known).map(|name| format!(", did you mean {name}?")).unwrap_or_default()
}
