//! Choosing targets by their tags.

use super::skipped::Reason;
use crate::aws::Tags;
use crate::target::ebs::is_opted_out;

/// Which tags targets must have, and must not have.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TagSelection {
    /// All of these must be there, with these values. [`ANY`] stands for every value.
    pub include: Tags,
    /// None of these may be there, with these values. [`ANY`] stands for every value.
    pub exclude: Tags,
}

/// The value that stands for every value.
pub const ANY: &str = "*";

impl TagSelection {
    /// Why something with these tags is not chosen, if it is not. The opt-out of its owner comes before everything.
    pub fn objection(&self, tags: &Tags) -> Option<Reason> {
        if is_opted_out(tags) {
            return Some(Reason::OptedOut);
        }
        let has = |(key, wanted): &(&String, &String)| {
            tags.get(*key).is_some_and(|value| wanted.as_str() == ANY || value == *wanted)
        };
        if let Some((key, _)) = self.exclude.iter().find(has) {
            return Some(Reason::Excluded { key: key.clone() });
        }
        let (key, _) = self.include.iter().find(|tag| !has(tag))?;
        Some(Reason::NotIncluded { key: key.clone() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_map;
    use proptest::prelude::*;
    use scanner_policy::tags::{FALSE, SCANNER};

    use super::*;

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn all_that_is_demanded_and_nothing_that_is_excluded() {
        let selection = TagSelection {
            include: tags(&[("env", "prod"), ("team", ANY)]),
            exclude: tags(&[("role", "db")]),
        };
        let key = |key: &str| key.to_owned();
        for (of, expected) in [
            (&[("env", "prod"), ("team", "shop")][..], None),
            (&[("env", "prod"), ("team", ""), ("role", "web")], None),
            (&[("env", "prod")], Some(Reason::NotIncluded { key: key("team") })),
            (&[("env", "dev"), ("team", "shop")], Some(Reason::NotIncluded { key: key("env") })),
            (
                &[("env", "prod"), ("team", "shop"), ("role", "db")],
                Some(Reason::Excluded { key: key("role") }),
            ),
            (&[("env", "prod"), ("team", "shop"), (SCANNER, FALSE)], Some(Reason::OptedOut)),
        ] {
            assert_eq!(selection.objection(&tags(of)), expected, "{of:?}");
        }
        // Only the one value opts out.
        assert_eq!(TagSelection::default().objection(&tags(&[(SCANNER, "no")])), None);
    }

    fn some_tags() -> impl Strategy<Value = Tags> {
        let value = prop_oneof![Just("a"), Just("b"), Just(""), Just(ANY), Just(FALSE)];
        btree_map(prop_oneof![Just("k"), Just("l"), Just("m"), Just(SCANNER)], value, 0..4)
            .prop_map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    }

    proptest! {
        #[test]
        fn a_demand_more_never_chooses_more(
            include in some_tags(), exclude in some_tags(), more in some_tags(), of in some_tags()
        ) {
            let chooses = |include: &Tags, exclude: &Tags| {
                let selection = TagSelection { include: include.clone(), exclude: exclude.clone() };
                selection.objection(&of).is_none()
            };
            // Where keys meet, the first value stays: otherwise it would be another demand and not one more.
            let joined = |these: &Tags| more.clone().into_iter().chain(these.clone()).collect::<Tags>();
            let is_chosen = chooses(&include, &exclude);
            prop_assert!(is_chosen || !chooses(&joined(&include), &exclude));
            prop_assert!(is_chosen || !chooses(&include, &joined(&exclude)));
            prop_assert!(!is_chosen || of.get(SCANNER).map(String::as_str) != Some(FALSE));
        }

        #[test]
        fn what_is_demanded_and_excluded_is_never_chosen(demanded in some_tags(), of in some_tags()) {
            prop_assume!(!demanded.is_empty());
            let both = TagSelection { include: demanded.clone(), exclude: demanded };
            prop_assert!(both.objection(&of).is_some());
        }

        #[test]
        fn its_own_tags_choose_a_thing_unless_its_owner_opted_out(of in some_tags()) {
            let own = TagSelection { include: of.clone(), exclude: Tags::new() };
            let any = of.keys().map(|key| (key.clone(), ANY.to_owned())).collect();
            let any = TagSelection { include: any, exclude: Tags::new() };
            for selection in [own, any] {
                let expected = is_opted_out(&of).then_some(Reason::OptedOut);
                prop_assert_eq!(selection.objection(&of), expected);
            }
        }
    }
}
