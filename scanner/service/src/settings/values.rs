//! The given values and the defaults by type.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::given::{Given, boolean, whole};
use super::keys;
use super::mistake::{Mistakes, Origin};
use super::node::{self, Content, Node};
use crate::secret::SecretValue;

/// Values that were checked: each is of its key's kind.
#[derive(Debug)]
pub(super) struct Values<'a>(pub(super) &'a Given);

impl Values<'_> {
    /// The value of a key, given or by default; `None` where there is none.
    pub(super) fn node(&self, path: &str) -> Option<Cow<'_, Node>> {
        match self.0.values.get(path) {
            Some(node) if !node.is_null() => Some(Cow::Borrowed(node)),
            _ => default(path).map(Cow::Owned),
        }
    }

    /// Where a value, or its section, was written.
    pub(super) fn origin(&self, path: &str) -> Origin {
        let value = self.0.values.get(path).filter(|node| !node.is_null()).map(|node| &node.origin);
        let section = || {
            std::iter::once(path).chain(keys::sections_of(path)).find_map(|path| self.0.sections.get(path))
        };
        value.or_else(section).cloned().unwrap_or(Origin::Default)
    }

    /// Whether there is a section.
    pub(super) fn has(&self, section: &str) -> bool {
        self.0.sections.contains_key(section)
    }

    pub(super) fn text(&self, path: &str) -> Option<String> {
        Some(self.node(path)?.text()?.to_owned())
    }

    pub(super) fn path(&self, path: &str) -> Option<PathBuf> {
        self.text(path).map(PathBuf::from)
    }

    pub(super) fn secret(&self, path: &str) -> Option<SecretValue> {
        Some(SecretValue::parse(self.node(path)?.text()?))
    }

    pub(super) fn flag(&self, path: &str) -> bool {
        self.node(path).and_then(|node| boolean(node.text()?)).unwrap_or_default()
    }

    /// A number, as large as its type allows.
    pub(super) fn number<N: TryFrom<u64> + Limit>(&self, path: &str) -> N {
        let number = self.node(path).and_then(|node| whole(node.text()?)).unwrap_or_default();
        N::try_from(number).unwrap_or(N::MOST)
    }

    /// A time of so many times `unit`.
    pub(super) fn time(&self, path: &str, unit: Duration) -> Duration {
        unit.saturating_mul(self.number(path))
    }

    pub(super) fn texts(&self, path: &str) -> Vec<String> {
        self.list(path).iter().filter_map(|node| Some(node.text()?.to_owned())).collect()
    }

    pub(super) fn list(&self, path: &str) -> Vec<Node> {
        match self.node(path).map(Cow::into_owned) {
            Some(Node { content: Content::List(list), .. }) => list,
            _ => Vec::new(),
        }
    }

    pub(super) fn tags(&self, path: &str) -> BTreeMap<String, String> {
        match self.node(path).map(Cow::into_owned) {
            Some(Node { content: Content::Map(entries), .. }) => entries
                .into_iter()
                .filter_map(|(name, node)| Some((name.text, node.text()?.to_owned())))
                .collect(),
            _ => BTreeMap::new(),
        }
    }
}

/// The largest number of a type.
pub(super) trait Limit {
    const MOST: Self;
}

impl Limit for u16 {
    const MOST: Self = Self::MAX;
}

impl Limit for u32 {
    const MOST: Self = Self::MAX;
}

impl Limit for u64 {
    const MOST: Self = Self::MAX;
}

impl Limit for usize {
    const MOST: Self = Self::MAX;
}

/// The default of a key.
pub(super) fn default(path: &str) -> Option<Node> {
    let key = keys::find(path)?;
    if key.default.is_empty() {
        return None;
    }
    if key.kind.is_single() {
        return Some(Node::scalar(Origin::Default, key.default.clone().into_owned()));
    }
    node::parse(&key.default, &|_, _| Origin::Default, &mut Mistakes::default())
}
