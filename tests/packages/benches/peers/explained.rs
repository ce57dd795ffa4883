//! Differences between lists, and the reasons of those that are known.

use serde::Deserialize;

use crate::list::{List, Package};

/// Why a group of packages is in one list only: an entry of `peers.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reason {
    /// The list that differs from ours: `syft`, `trivy`, or both if it is left out.
    tool: Option<String>,
    /// Who has it.
    pub(crate) only: Only,
    /// The tree; any if it is left out.
    tree: Option<String>,
    /// The format; any if it is left out.
    kind: Option<String>,
    /// Patterns, in which `*` stands for anything, of `name@version`; any if it is left out.
    #[serde(default)]
    packages: Vec<String>,
    /// A pattern of the file in which it was found; any if it is left out.
    path: Option<String>,
    /// Why.
    pub(crate) why: String,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Only {
    Ours,
    Theirs,
}

/// Something that one list has.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    pub(crate) only: Only,
    pub(crate) package: Package,
    pub(crate) path: String,
}

/// The committed reasons.
pub(crate) fn reasons() -> Vec<Reason> {
    #[derive(Deserialize)]
    struct File {
        difference: Vec<Reason>,
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/peers.toml");
    toml::from_str::<File>(&std::fs::read_to_string(file).unwrap()).unwrap().difference
}

/// What is in one list only.
pub(crate) fn differences(ours: &List, theirs: &List) -> Vec<Difference> {
    let in_one = |only, one: &List, other: &List| {
        let missing = one.iter().filter(|(package, _)| !other.contains_key(*package));
        missing
            .map(|(package, path)| Difference { only, package: package.clone(), path: path.clone() })
            .collect::<Vec<_>>()
    };
    [in_one(Only::Theirs, theirs, ours), in_one(Only::Ours, ours, theirs)].concat()
}

impl Reason {
    /// Whether this is the reason of a difference between a tool and us, on a tree.
    pub(crate) fn explains(&self, tool: &str, tree: &str, difference: &Difference) -> bool {
        let Difference { only, package, path } = difference;
        let identity = format!("{}@{}", package.name, package.version);
        self.only == *only
            && self.tool.as_deref().is_none_or(|wanted| wanted == tool)
            && self.tree.as_deref().is_none_or(|wanted| wanted == tree)
            && self.kind.as_deref().is_none_or(|wanted| wanted == package.kind)
            && (self.packages.is_empty() || self.packages.iter().any(|pattern| matches(pattern, &identity)))
            && self.path.as_deref().is_none_or(|pattern| matches(pattern, path))
    }
}

/// Whether a text has the form of a pattern.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            rest.is_empty()
                || (0..=text.len()).any(|at| text.is_char_boundary(at) && matches(rest, &text[at..]))
        }),
    }
}
