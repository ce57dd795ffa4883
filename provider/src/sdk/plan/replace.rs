//! Which changes make a new resource.

use std::collections::BTreeSet;

use crate::sdk::schema::{Body, Nesting, ReplaceRule, Shape};
use crate::sdk::{Path, Raw};

/// The paths of those values whose change from `prior` to `planned` makes a new resource.
pub(crate) fn replacements(body: &Body, prior: &Raw, planned: &Raw) -> Vec<Path> {
    let mut paths = Vec::new();
    collect(body, prior, planned, &Path::root(), &mut paths);
    paths
}

fn collect(body: &Body, prior: &Raw, planned: &Raw, path: &Path, paths: &mut Vec<Path>) {
    if prior == planned {
        return;
    }
    for attribute in &body.attributes {
        let path = path.attribute(attribute.name);
        let (prior, planned) = (part(prior, attribute.name), part(planned, attribute.name));
        let replaces = match &attribute.replaces {
            None => false,
            Some(ReplaceRule::Always) => prior != planned,
            Some(ReplaceRule::If(rule)) => prior != planned && rule(prior, planned),
        };
        if replaces {
            paths.push(path);
        } else if let Shape::Nested(nesting, body) = &attribute.shape {
            collect_nested(*nesting, body, prior, planned, &path, paths);
        }
    }
    for block in &body.blocks {
        let (prior, planned) = (part(prior, block.name), part(planned, block.name));
        collect_nested(block.nesting, &block.body, prior, planned, &path.attribute(block.name), paths);
    }
}

fn collect_nested(
    nesting: Nesting,
    body: &Body,
    prior: &Raw,
    planned: &Raw,
    path: &Path,
    paths: &mut Vec<Path>,
) {
    if prior == planned {
        return;
    }
    match nesting {
        Nesting::Single => collect(body, prior, planned, path, paths),
        Nesting::List if !planned.is_unknown() => {
            for index in 0..prior.elements().len().max(planned.elements().len()) {
                let element = |list: &Raw| list.elements().get(index).cloned().unwrap_or(Raw::Null);
                collect(body, &element(prior), &element(planned), &path.index(index), paths);
            }
        }
        Nesting::Map if !planned.is_unknown() => {
            for key in keys(prior).union(&keys(planned)) {
                collect(body, prior.get(key), planned.get(key), &path.key(key), paths);
            }
        }
        // Elements of a set have no address, and an unknown collection has no elements: the whole is what changes.
        _ => {
            let mut replaces = false;
            body.for_each_attribute(&mut |_, attribute| replaces |= attribute.replaces.is_some());
            if replaces {
                paths.push(path.clone());
            }
        }
    }
}

/// The keys of a map; none of anything else.
fn keys(map: &Raw) -> BTreeSet<&String> {
    match map {
        Raw::Map(elements) => elements.keys().collect(),
        _ => BTreeSet::new(),
    }
}

/// An attribute of an object; everything in an unknown object is unknown.
fn part<'a>(object: &'a Raw, name: &str) -> &'a Raw {
    if object.is_unknown() { &Raw::Unknown } else { object.get(name) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::object;
    use super::*;
    use crate::sdk::{Attribute, Schema};

    fn paths(prior: &Raw, planned: &Raw) -> Vec<String> {
        let rule = || {
            [
                Attribute::int("port", "Port.").required().replaces(),
                Attribute::string("note", "Note.").optional(),
            ]
        };
        let schema = Schema::new("Test.")
            .attribute(Attribute::string("name", "Name.").required().replaces())
            .attribute(Attribute::string("note", "Note.").optional())
            .attribute(
                Attribute::int("size", "Size.").optional().replaces_if(|prior, planned| planned < prior),
            )
            .attribute(Attribute::nested_list("list", "List.", rule()).optional())
            .attribute(Attribute::nested_map("map", "Map.", rule()).optional())
            .attribute(Attribute::nested_set("set", "Set.", rule()).optional());
        replacements(&schema.body, prior, planned).iter().map(ToString::to_string).collect()
    }

    fn rule(port: i64, note: &str) -> Raw {
        object([("port", port.into()), ("note", note.into())])
    }

    #[test]
    fn only_what_says_so_replaces() {
        let prior = object([("name", "a".into()), ("note", "x".into()), ("size", 2.into())]);
        let planned = |name: Raw, size| object([("name", name), ("note", "y".into()), ("size", size)]);
        assert_eq!(paths(&prior, &planned("a".into(), 3.into())), Vec::<String>::new());
        assert_eq!(paths(&prior, &planned("b".into(), 1.into())), ["name", "size"]);
        assert_eq!(paths(&prior, &planned(Raw::Unknown, 2.into())), ["name"]);
    }

    #[test]
    fn nested_values_replace_at_their_own_path() {
        let list = |port| object([("list", Raw::List(vec![rule(1, "a"), rule(port, "b")]))]);
        assert_eq!(paths(&list(2), &list(3)), ["list[1].port"]);
        let map = |port, note| object([("map", object([("k", rule(port, note))]))]);
        assert_eq!(paths(&map(1, "a"), &map(1, "b")), Vec::<String>::new());
        assert_eq!(paths(&map(1, "a"), &map(2, "a")), ["map[\"k\"].port"]);
        let set = |port| object([("set", Raw::List(vec![rule(port, "a")]))]);
        assert_eq!(paths(&set(1), &set(2)), ["set"]);
        assert_eq!(paths(&set(1), &object([("set", Raw::Unknown)])), ["set"]);
        assert_eq!(paths(&list(1), &object([("list", Raw::Null)])), ["list[0].port", "list[1].port"]);
    }
}
