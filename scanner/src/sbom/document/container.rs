//! Containers as components.

use std::collections::BTreeSet;

use super::component::{Component, ComponentKind, Property};
use crate::report::Container;

/// A container, without what is in it.
pub(super) fn component(container: &Container, reference: String) -> Component {
    let Container { engine, id, name, image, digest, tags, platform, state, layers } = container;
    let mut properties = BTreeSet::new();
    let mut add = |name, value: Option<&String>| {
        properties.extend(value.map(|value| Property::new(name, value)));
    };
    add("agentless-scanner:container:engine", Some(engine));
    add("agentless-scanner:container:id", Some(id));
    add("agentless-scanner:container:name", name.as_ref());
    add("agentless-scanner:container:image", image.as_ref());
    add("agentless-scanner:container:digest", digest.as_ref());
    for tag in tags {
        add("agentless-scanner:container:tag", Some(tag));
    }
    add("agentless-scanner:container:platform", platform.as_ref());
    add("agentless-scanner:container:state", state.as_ref());
    // The lowest first.
    properties.extend(layers.iter().enumerate().map(|(order, layer)| Property {
        order,
        ..Property::new("agentless-scanner:container:layer", layer)
    }));
    let title = image.as_ref().or(name.as_ref()).unwrap_or(id);
    Component {
        version: digest.clone(),
        description: Some(container.title()),
        properties,
        ..Component::new(ComponentKind::Container, reference, title.clone())
    }
}

/// What a document calls a container: once, whatever its engine says of itself.
pub(super) fn reference(container: &Container, taken: &mut BTreeSet<String>) -> String {
    let name = format!("container:{}:{}", slug(&container.engine), slug(&container.id));
    unique(&name, taken)
}

/// A name that is not taken yet: this one, or this one with a number.
fn unique(name: &str, taken: &mut BTreeSet<String>) -> String {
    // From their number on, so that each is found at once, however many have the same name.
    let numbered = (taken.len()..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    let free = names.find(|name| !taken.contains(name)).unwrap_or_default();
    taken.insert(free.clone());
    free
}

/// As much of a text as can be a part of a reference or the name of a file: letters, digits, and some marks. No slash, which
/// divides a container from what is in it.
pub(super) fn slug(text: &str) -> String {
    /// An id has 64 characters.
    const MOST: usize = 64;

    let safe = |character: char| match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' => character,
        _ => '_',
    };
    text.chars().take(MOST).map(safe).collect()
}
