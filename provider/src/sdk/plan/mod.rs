//! What Terraform demands of a plan, derived from the schema.
//!
//! The rules, in the order in which they are asked for each attribute:
//!
//! 1. What is write-only is null.
//! 2. What the configuration sets is planned so, known or not.
//! 3. What it leaves null and has a default is planned as the default. The question is whether the *configuration* is
//!    null; a planned value that is unknown may well be one that the configuration sets to something unknown.
//! 4. What it leaves null and is computed stays as it was when nothing else changes. When anything changes it becomes
//!    unknown, unless the schema says that it keeps its state.
//! 5. Everything else is null.
//!
//! The value that Terraform proposes follows the same rules but knows no defaults; it is not used beyond the question
//! whether the resource is to be destroyed.

mod propose;
mod replace;
mod write_only;

pub(crate) use propose::{Computed, propose, with_defaults};
pub(crate) use replace::replacements;
pub(crate) use write_only::{with_write_only, without_write_only};

use super::Raw;

/// `raw` with what differs between `before` and `after`.
///
/// A model cannot hold everything that a plan can (a list with one unknown element is unknown as a whole), so only
/// what was really changed may be taken from it.
pub(crate) fn merge(raw: &Raw, before: &Raw, after: Raw) -> Raw {
    if *before == after {
        return raw.clone();
    }
    match (raw, before, after) {
        (Raw::Map(raw), Raw::Map(before), Raw::Map(after)) if raw.keys().eq(after.keys()) => Raw::Map(
            after
                .into_iter()
                .map(|(name, after)| {
                    let null = &Raw::Null;
                    let merged =
                        merge(raw.get(&name).unwrap_or(null), before.get(&name).unwrap_or(null), after);
                    (name, merged)
                })
                .collect(),
        ),
        (Raw::List(raw), Raw::List(before), Raw::List(after))
            if raw.len() == after.len() && before.len() == after.len() =>
        {
            let elements = raw.iter().zip(before).zip(after);
            Raw::List(elements.map(|((raw, before), after)| merge(raw, before, after)).collect())
        }
        (_, _, after) => after,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An object.
    pub(crate) fn object<const N: usize>(attributes: [(&str, Raw); N]) -> Raw {
        Raw::Map(attributes.into_iter().map(|(name, raw)| (name.to_owned(), raw)).collect())
    }

    #[test]
    fn only_what_was_changed_is_taken() {
        let partly = Raw::List(vec!["a".into(), Raw::Unknown]);
        let raw = object([("names", partly.clone()), ("size", Raw::Unknown)]);
        let before = object([("names", Raw::Unknown), ("size", Raw::Unknown)]);
        let after = object([("names", Raw::Unknown), ("size", 3.into())]);
        assert_eq!(merge(&raw, &before, after), object([("names", partly), ("size", 3.into())]));
    }
}
