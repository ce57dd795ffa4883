//! A YAML document as a tree whose every value knows where it stands.
//!
//! The reader takes the parser's events one by one, with a stack of its own: depth is bounded, what is nested deeper ends the
//! reading and not the process. Anchors, aliases and tags are refused; a configuration needs none, and an alias is how a
//! small document becomes a large one.

use std::collections::HashMap;
use std::mem;

use yaml_rust2::parser::{Event, Parser};
use yaml_rust2::scanner::{Marker, TScalarStyle};

use super::mistake::{Mistakes, Origin, shown};

/// A value.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Where it begins.
    pub(super) origin: Origin,
    /// What it is.
    pub(super) content: Content,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// Nothing: `null`, `~`, or no value at all.
    Null,
    /// A word, a number, a text.
    Scalar {
        /// As it is read.
        text: String,
        /// Whether it was without quotes, and may be a number.
        is_plain: bool,
    },
    /// Values in their order.
    List(Vec<Node>),
    /// Values by their names, none of which is there twice.
    Map(Vec<(Name, Node)>),
}

/// A name in a map.
#[derive(Clone, Debug)]
pub(super) struct Name {
    /// Where it stands.
    pub(super) origin: Origin,
    /// The name.
    pub(super) text: String,
}

impl Node {
    /// A text that was written out as such.
    pub(super) const fn scalar(origin: Origin, text: String) -> Self {
        Self { origin, content: Content::Scalar { text, is_plain: true } }
    }

    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The text of a scalar without quotes.
    pub(super) fn plain(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { text, is_plain: true } => Some(text),
            _ => None,
        }
    }

    /// Whether there is nothing.
    pub(super) const fn is_null(&self) -> bool {
        matches!(self.content, Content::Null)
    }

    /// What it is, for a message: without its value, which may be secret.
    pub(super) const fn kind(&self) -> &'static str {
        match self.content {
            Content::Null => "nothing",
            Content::Scalar { is_plain: true, .. } => "a single value",
            Content::Scalar { is_plain: false, .. } => "a text in quotes",
            Content::List(_) => "a list",
            Content::Map(_) => "keys with values",
        }
    }
}

/// How deep values may be in each other. Those of a configuration are four deep.
const DEEPEST: usize = 16;

/// Reads a document. `at` tells where a line and a column, both from 1, are. An empty document is `Null`; `None` stands for
/// one that cannot be read to its end.
pub(super) fn parse(
    text: &str,
    at: &dyn Fn(usize, usize) -> Origin,
    mistakes: &mut Mistakes,
) -> Option<Node> {
    // Editors of some systems begin a file with it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser::new(text.chars());
    let mut tree = Tree { at, open: Vec::new(), root: None };
    loop {
        let (event, mark) = match parser.next_token() {
            Ok(token) => token,
            Err(error) => {
                let origin = tree.origin(error.marker());
                mistakes.add(&origin, "", || format!("this is no YAML: {}", error.info()));
                return None;
            }
        };
        if event == Event::StreamEnd {
            let start = at(1, 1);
            return Some(tree.root.unwrap_or(Node { origin: start, content: Content::Null }));
        }
        if let Err(text) = tree.take(event, &mark, mistakes) {
            mistakes.add(&tree.origin(&mark), "", || text);
            return None;
        }
    }
}

/// What has been read of a document.
struct Tree<'a> {
    at: &'a dyn Fn(usize, usize) -> Origin,
    /// The lists and maps that have begun, each in the one before.
    open: Vec<Open>,
    root: Option<Node>,
}

/// A list or a map that has begun.
enum Open {
    List { origin: Origin, values: Vec<Node> },
    Map { origin: Origin, entries: Vec<(Name, Node)>, places: HashMap<String, usize>, name: Option<Name> },
}

impl Tree<'_> {
    fn origin(&self, mark: &Marker) -> Origin {
        (self.at)(mark.line(), mark.col().saturating_add(1))
    }

    /// Takes one event. An error ends the reading.
    fn take(&mut self, event: Event, mark: &Marker, mistakes: &mut Mistakes) -> Result<(), &'static str> {
        let origin = self.origin(mark);
        if let Event::Scalar(_, _, anchor, tag)
        | Event::SequenceStart(anchor, tag)
        | Event::MappingStart(anchor, tag) = &event
        {
            if *anchor != 0 {
                return Err(
                    "anchors (&name) have no place in a configuration; a text that begins with & needs quotes",
                );
            }
            if tag.is_some() {
                return Err(
                    "tags (!name) have no place in a configuration; a text that begins with ! needs quotes",
                );
            }
        }
        match event {
            Event::DocumentStart if self.root.is_some() => {
                Err("a configuration is one document, and here begins a second")
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart
            | Event::DocumentEnd => Ok(()),
            Event::Alias(_) => Err(
                "aliases (*name) have no place in a configuration; a text that begins with * needs quotes",
            ),
            Event::Scalar(text, style, ..) => {
                self.scalar(origin, text, style == TScalarStyle::Plain, mistakes)
            }
            Event::SequenceStart(..) => self.begin(Open::List { origin, values: Vec::new() }),
            Event::MappingStart(..) => {
                self.begin(Open::Map { origin, entries: Vec::new(), places: HashMap::new(), name: None })
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List { origin, values }) => {
                    self.put(Node { origin, content: Content::List(values) }, mistakes)
                }
                Some(Open::Map { origin, entries, .. }) => {
                    self.put(Node { origin, content: Content::Map(entries) }, mistakes)
                }
                None => Ok(()),
            },
        }
    }

    fn begin(&mut self, open: Open) -> Result<(), &'static str> {
        if matches!(self.open.last(), Some(Open::Map { name: None, .. })) {
            return Err("a key is one word, and here stands a list or a map");
        }
        if self.open.len() >= DEEPEST {
            return Err("values are nested deeper than in any configuration");
        }
        self.open.push(open);
        Ok(())
    }

    fn scalar(
        &mut self,
        origin: Origin,
        text: String,
        is_plain: bool,
        mistakes: &mut Mistakes,
    ) -> Result<(), &'static str> {
        if let Some(Open::Map { name: name @ None, .. }) = self.open.last_mut() {
            *name = Some(Name { origin, text });
            return Ok(());
        }
        let is_null = is_plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
        let content = if is_null { Content::Null } else { Content::Scalar { text, is_plain } };
        self.put(Node { origin, content }, mistakes)
    }

    /// Puts a value where it belongs.
    fn put(&mut self, node: Node, mistakes: &mut Mistakes) -> Result<(), &'static str> {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { values, .. }) => values.push(node),
            Some(Open::Map { entries, places, name, .. }) => {
                let Some(name) = mem::take(name) else { return Err("a value without a key") };
                let first = *places.entry(name.text.clone()).or_insert(entries.len());
                match entries.get(first) {
                    Some((earlier, _)) => mistakes.add(&name.origin, &name.text, || {
                        format!("the key is there already, at {}", earlier.origin)
                    }),
                    None => entries.push((name, node)),
                }
            }
        }
        Ok(())
    }
}

/// A text for a message, in quotes.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", shown(text))
}
