//! Plans and states as `terraform show -json` gives them, with the checks that tests make of them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Error;

/// A plan.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whether anything is to change, by the exit code of `plan -detailed-exitcode`.
    pub has_changes: bool,
    /// The plan ("JSON Output Format" of Terraform's documentation).
    pub json: Value,
    /// The plan as the user reads it.
    pub text: String,
}

/// A state.
#[derive(Clone, Debug)]
pub struct State {
    /// The state ("JSON Output Format" of Terraform's documentation).
    pub json: Value,
}

impl Plan {
    pub(super) fn new(has_changes: bool, json: &str, text: String) -> Result<Self, Error> {
        Ok(Self { has_changes, json: parse(json)?, text })
    }

    /// # Errors
    /// When anything is to change, with the plan's text.
    pub fn assert_empty(&self) -> Result<(), Error> {
        if self.has_changes {
            return Err(Error::Check(format!("the plan should be empty, and is:\n{}", self.text)));
        }
        Ok(())
    }

    /// The change of one resource: `actions`, `before`, `after`, `after_unknown`.
    pub fn change(&self, address: &str) -> Option<&Value> {
        let changes = self.json.get("resource_changes")?.as_array()?;
        changes.iter().find(|change| change.get("address").is_some_and(|it| it == address))?.get("change")
    }

    /// What is to happen to a resource: `["no-op"]`, `["create"]`, `["update"]`, `["delete"]`, `["delete", "create"]`,
    /// `["create", "delete"]`.
    ///
    /// # Errors
    /// When it is something else, with the plan's text.
    pub fn expect_actions(&self, address: &str, actions: &[&str]) -> Result<(), Error> {
        let planned = self.change(address).and_then(|change| change.get("actions"));
        if planned == Some(&Value::from(actions)) {
            return Ok(());
        }
        let planned = planned.map_or_else(|| "nothing".to_owned(), Value::to_string);
        Err(Error::Check(format!(
            "{address} should be planned for {actions:?}, not {planned}:\n{}",
            self.text
        )))
    }

    /// # Errors
    /// When the resource is not to be imported by this id.
    pub fn expect_import(&self, address: &str, id: &str) -> Result<(), Error> {
        let planned = self.change(address).and_then(|change| change.pointer("/importing/id"));
        if planned == Some(&Value::from(id)) {
            return Ok(());
        }
        Err(Error::Check(format!("{address} should be imported as {id}, not {planned:?}:\n{}", self.text)))
    }
}

impl State {
    pub(super) fn new(json: &str) -> Result<Self, Error> {
        Ok(Self { json: parse(json)? })
    }

    /// The attributes of a resource, wherever in the modules it is.
    pub fn resource(&self, address: &str) -> Option<&Value> {
        resource(self.json.pointer("/values/root_module")?, address)?.get("values")
    }

    /// Whether the resource is marked to be replaced, because its creation failed half-way.
    pub fn is_tainted(&self, address: &str) -> bool {
        let resource = self.json.pointer("/values/root_module").and_then(|root| resource(root, address));
        resource.and_then(|resource| resource.get("tainted")) == Some(&Value::Bool(true))
    }

    /// One attribute of a resource.
    ///
    /// # Errors
    /// When there is no such resource or attribute.
    pub fn attribute(&self, address: &str, name: &str) -> Result<&Value, Error> {
        let attribute = self.resource(address).and_then(|values| values.get(name));
        attribute
            .ok_or_else(|| Error::Check(format!("the state has no {address} with {name}: {}", self.json)))
    }

    /// One output.
    pub fn output(&self, name: &str) -> Option<&Value> {
        self.json.pointer("/values/outputs")?.get(name)?.get("value")
    }

    /// The addresses of all managed resources.
    pub fn addresses(&self) -> Vec<String> {
        let mut found = Vec::new();
        if let Some(root) = self.json.pointer("/values/root_module") {
            collect_addresses(root, &mut found);
        }
        found
    }

    /// This state has the same resource as another, attribute by attribute, but for those to ignore. Empty collections
    /// count as absent.
    ///
    /// # Errors
    /// When they differ, with the attributes that do.
    pub(super) fn assert_same(&self, expected: &Self, address: &str, ignore: &[&str]) -> Result<(), Error> {
        let flat = |state: &Self| -> Result<BTreeMap<String, Value>, Error> {
            let values = state.resource(address);
            let values = values
                .ok_or_else(|| Error::Check(format!("{address} is not in the state: {}", state.json)))?;
            let mut flat = BTreeMap::new();
            flatten(String::new(), values, &mut flat);
            flat.retain(|name, _| {
                !ignore.iter().chain(&["timeouts"]).any(|ignored| is_within(name, ignored))
            });
            Ok(flat)
        };
        let (expected, imported) = (flat(expected)?, flat(self)?);
        let names = expected.keys().chain(imported.keys()).collect::<std::collections::BTreeSet<_>>();
        let differing: Vec<String> = names
            .into_iter()
            .filter(|name| expected.get(*name) != imported.get(*name))
            .map(|name| {
                let shown =
                    |value: Option<&Value>| value.map_or_else(|| "absent".to_owned(), Value::to_string);
                format!(
                    "  {name}: {} before, {} imported",
                    shown(expected.get(name)),
                    shown(imported.get(name))
                )
            })
            .collect();
        if differing.is_empty() {
            return Ok(());
        }
        Err(Error::Check(format!("{address} is not imported as it was:\n{}", differing.join("\n"))))
    }
}

fn resource<'a>(module: &'a Value, address: &str) -> Option<&'a Value> {
    let has_address = |resource: &&Value| resource.get("address").is_some_and(|it| it == address);
    let own = module.get("resources").and_then(Value::as_array).into_iter().flatten().find(has_address);
    own.or_else(|| {
        let children = module.get("child_modules").and_then(Value::as_array).into_iter().flatten();
        children.into_iter().find_map(|child| resource(child, address))
    })
}

fn collect_addresses(module: &Value, found: &mut Vec<String>) {
    let list = |name| module.get(name).and_then(Value::as_array).into_iter().flatten();
    for resource in
        list("resources").filter(|resource| resource.get("mode").is_some_and(|mode| mode == "managed"))
    {
        found.extend(resource.get("address").and_then(Value::as_str).map(str::to_owned));
    }
    for child in list("child_modules") {
        collect_addresses(child, found);
    }
}

/// The leaves of `value` by path: `launch_template.0.id`. Nothing for null and for empty collections.
fn flatten(path: String, value: &Value, flat: &mut BTreeMap<String, Value>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Null => {}
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                flatten(below(&index.to_string()), item, flat);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                flatten(below(key), member, flat);
            }
        }
        leaf => {
            flat.insert(path, leaf.clone());
        }
    }
}

fn is_within(path: &str, attribute: &str) -> bool {
    path.strip_prefix(attribute).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn parse(json: &str) -> Result<Value, Error> {
    serde_json::from_str(json)
        .map_err(|error| Error::Check(format!("Terraform wrote JSON that is none: {error}: {json}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(values: &str) -> State {
        let resources = format!(r#"[{{"address":"x.this","mode":"managed","values":{values}}}]"#);
        let module = format!(r#"{{"child_modules":[{{"resources":{resources}}}]}}"#);
        State::new(&format!(r#"{{"values":{{"root_module":{module}}}}}"#)).unwrap()
    }

    #[test]
    fn import_verification_compares_leaves() {
        let before = state(r#"{"id":"a","tags":{},"list":[1,2],"secret":"s","timeouts":{"create":"1m"}}"#);
        let same = state(r#"{"id":"a","tags":null,"list":[1,2],"secret":null,"timeouts":null}"#);
        same.assert_same(&before, "x.this", &["secret"]).unwrap();
        let message = same.assert_same(&before, "x.this", &[]).unwrap_err().to_string();
        assert!(message.contains(r#"secret: "s" before, absent imported"#), "{message}");
        let other = state(r#"{"id":"a","list":[1,3]}"#);
        let message = other.assert_same(&before, "x.this", &["secret"]).unwrap_err().to_string();
        assert!(message.contains("list.1: 2 before, 3 imported"), "{message}");
        assert_eq!(before.addresses(), ["x.this"]);
    }

    #[test]
    fn plan_checks() {
        let json = r#"{"resource_changes":[{"address":"x.this","change":{"actions":["delete","create"]}}]}"#;
        let plan = Plan::new(true, json, "the text".to_owned()).unwrap();
        plan.expect_actions("x.this", &["delete", "create"]).unwrap();
        let error = plan.expect_actions("x.this", &["update"]).unwrap_err().to_string();
        assert!(error.contains(r#"not ["delete","create"]"#) && error.contains("the text"), "{error}");
        assert!(plan.expect_actions("x.other", &["update"]).is_err());
        assert!(plan.assert_empty().is_err());
    }
}
