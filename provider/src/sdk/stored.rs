//! What the states that users have stored demand of a schema.
//!
//! Terraform reads a state by the schema of the provider that runs, not of the one that wrote it. An attribute may be
//! added: it is null in older states. One that is removed, or has another type, needs a new version of the schema and
//! [`Resource::upgrade`](super::Resource::upgrade).

use serde_json::{Value as Json, json};

use super::{Catalog, Diagnostic, Provider, Raw, Type};

/// What a change from `stored` to `current` would do to a state, without a new version: each attribute that was
/// removed or has another type. None when every state of the one can be read as the other.
pub fn breaking_changes(stored: &Type, current: &Type) -> Vec<String> {
    let mut changes = Vec::new();
    compare(stored, current, "", &mut changes);
    changes
}

fn compare(stored: &Type, current: &Type, path: &str, changes: &mut Vec<String>) {
    match (stored, current) {
        (Type::Object(stored), Type::Object(current)) => {
            for (name, stored) in stored {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match current.get(name) {
                    Some(current) => compare(stored, current, &path, changes),
                    None => changes.push(format!("{path} was removed")),
                }
            }
        }
        // A list and a set are written alike.
        (Type::List(stored), Type::List(current) | Type::Set(current))
        | (Type::Set(stored), Type::Set(current))
        | (Type::Map(stored), Type::Map(current)) => compare(stored, current, path, changes),
        _ if stored == current => {}
        _ => changes.push(format!("{path} was {stored} and is {current}")),
    }
}

/// The state of resource `name` (without prefix) that schema version `version` of `P` wrote, as the present one reads
/// it. `state` is the JSON of its attributes.
pub fn read_state<P: Provider>(name: &str, version: i64, state: &Json) -> Result<Raw, Diagnostic> {
    let catalog: Catalog<P::Client> = P::catalog();
    let resource = catalog.resources.iter().find(|resource| resource.name() == name);
    let resource = resource.ok_or_else(|| Diagnostic::bug(format_args!("There is no resource {name}.")))?;
    super::server::upgraded(resource.as_ref(), version, state.to_string().as_bytes())
}

/// A state in which every attribute has a value, as JSON: what is stored as a sample until a real one takes its place.
pub fn sample_state(ty: &Type) -> Json {
    match ty {
        Type::String => json!("text"),
        Type::Number => json!(1),
        Type::Bool => json!(true),
        Type::Dynamic => json!({"type": "string", "value": "text"}),
        Type::List(element) | Type::Set(element) => json!([sample_state(element)]),
        Type::Map(element) => json!({"key": sample_state(element)}),
        Type::Object(types) => types
            .iter()
            .map(|(name, ty)| (name.clone(), sample_state(ty)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Type::Tuple(types) => types.iter().map(sample_state).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ty(attributes: &[(&str, Type)]) -> Type {
        Type::object(attributes.iter().cloned())
    }

    #[test]
    fn an_attribute_may_be_added_but_not_removed_or_changed() {
        let rule = |port: Type| Type::list(ty(&[("port", port)]));
        let stored = ty(&[("name", Type::String), ("rules", rule(Type::Number))]);
        let added = ty(&[("arn", Type::String), ("name", Type::String), ("rules", rule(Type::Number))]);
        assert_eq!(breaking_changes(&stored, &added), Vec::<String>::new());
        assert_eq!(breaking_changes(&added, &stored), ["arn was removed"]);
        let changed = ty(&[("name", Type::set(Type::String)), ("rules", rule(Type::String))]);
        assert_eq!(
            breaking_changes(&stored, &changed),
            ["name was string and is set(string)", "rules.port was number and is string"]
        );
        let sets = ty(&[("name", Type::String), ("rules", Type::set(ty(&[("port", Type::Number)])))]);
        assert_eq!(breaking_changes(&stored, &sets), Vec::<String>::new());
        assert_eq!(
            breaking_changes(&sets, &stored).len(),
            1,
            "a set has lost the order that a list must have"
        );
    }
}
