//! What was given for which key: by the file, over it by the environment, over that by the command line.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use agentless_core::limits::Limits;

use super::form::Form;
use super::keys::{self, Key, Kind, LIMITS, VARIABLE_PREFIX};
use super::mistake::{Mistakes, Origin, did_you_mean, shown};
use super::node::{self, Content, Node};

/// The values that were given, by the paths of their keys, and the sections that there are.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) values: BTreeMap<String, Node>,
    pub(super) sections: BTreeMap<String, Origin>,
    /// The keys whose values are wrong.
    pub(super) wrong: BTreeSet<String>,
}

/// The variable that names the file. It is no key.
pub(super) const FILE_VARIABLE: &str = "AGENTLESS_SCANNER_CONFIG";

impl Given {
    /// Takes the file.
    pub(super) fn take_file(
        &mut self,
        text: &str,
        at: &dyn Fn(usize, usize) -> Origin,
        mistakes: &mut Mistakes,
    ) {
        if let Some(root) = node::parse(text, at, mistakes) {
            match &root.content {
                Content::Null => {}
                Content::Map(_) => self.take("", &root.origin.clone(), root, mistakes),
                _ => mistakes.add(&root.origin, "", || {
                    format!("a configuration is keys with their values, and this is {}", root.kind())
                }),
            }
        }
    }

    /// Takes those variables whose names begin as ours do. An empty one is as good as none.
    pub(super) fn take_variables(
        &mut self,
        env: impl Iterator<Item = (String, String)>,
        mistakes: &mut Mistakes,
    ) {
        let mut ours: Vec<_> = env
            .filter(|(name, value)| {
                name.starts_with(VARIABLE_PREFIX) && name != FILE_VARIABLE && !value.is_empty()
            })
            .collect();
        // A section goes before what is in it.
        ours.sort();
        for (name, value) in ours {
            let known = || keys::all().iter().map(|key| &*key.path).chain(keys::sections());
            let origin = Origin::Variable(name.clone());
            match known().find(|path| keys::variable(path) == name) {
                Some(path) => self.take_text(path, &value, &origin, mistakes),
                None => mistakes.add(&origin, "", || {
                    let variables: Vec<_> = known().map(keys::variable).collect();
                    let hint = did_you_mean(&name, variables.iter().map(String::as_str));
                    format!("no key has this variable{hint}")
                }),
            }
        }
    }

    /// Takes an argument `key.path=value`.
    pub(super) fn take_flag(&mut self, argument: &str, mistakes: &mut Mistakes) {
        let origin = Origin::Flag;
        match argument.split_once('=') {
            Some((path, value)) => self.take_text(path.trim(), value, &origin, mistakes),
            None => mistakes.add(&origin, argument, || "expected KEY=VALUE, such as queue.workers=8"),
        }
    }

    /// Takes a value that is written on one line: a text as it is, a list or tags in YAML's short form.
    fn take_text(&mut self, path: &str, text: &str, origin: &Origin, mistakes: &mut Mistakes) {
        let is_single = keys::find(path).is_some_and(|key| key.kind.is_single());
        let node = if text.is_empty() {
            Some(Node { origin: origin.clone(), content: Content::Null })
        } else if is_single && !text.starts_with(['"', '\'']) {
            Some(Node::scalar(origin.clone(), text.to_owned()))
        } else if text.len() > super::MOST_BYTES {
            mistakes.add(origin, path, || "is longer than a whole configuration");
            None
        } else {
            node::parse(text, &|_, _| origin.clone(), mistakes)
        };
        if let Some(node) = node {
            self.take(path, origin, node, mistakes);
        }
    }

    /// Takes a value, or a section with what is in it. `origin` is that of its key.
    fn take(&mut self, path: &str, origin: &Origin, node: Node, mistakes: &mut Mistakes) {
        if let Some(key) = keys::find(path) {
            if !node.is_null() {
                for section in keys::sections_of(path) {
                    self.sections.entry(section.to_owned()).or_insert_with(|| origin.clone());
                }
            }
            self.values.insert(key.path.clone().into_owned(), node);
            return;
        }
        let names = keys::names_in(path);
        if names.is_empty() {
            mistakes.add(origin, path, || unknown(path));
            return;
        }
        match node.content {
            // The section is as if it had not been given.
            Content::Null => {
                let is_in = |inner: &str| {
                    inner.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                };
                self.values.retain(|inner, _| !is_in(inner));
                self.sections.retain(|inner, _| !is_in(inner));
            }
            Content::Map(entries) => {
                if !path.is_empty() {
                    for section in std::iter::once(path).chain(keys::sections_of(path)) {
                        self.sections.insert(section.to_owned(), origin.clone());
                    }
                }
                for (name, inner) in entries {
                    let whole =
                        if path.is_empty() { name.text.clone() } else { format!("{path}.{}", name.text) };
                    if names.contains(&name.text.as_str()) {
                        self.take(&whole, &name.origin, inner, mistakes);
                    } else {
                        mistakes.add(&name.origin, &whole, || unknown(&whole));
                    }
                }
            }
            _ => mistakes.add(&node.origin, path, || {
                format!("is a section of keys ({}), and here stands {}", some_of(&names), node.kind())
            }),
        }
    }
}

/// The first few names.
fn some_of(names: &[&str]) -> String {
    const MOST: usize = 6;
    let more = if names.len() > MOST { ", …" } else { "" };
    format!("{}{more}", names.get(..MOST).unwrap_or(names).join(", "))
}

/// What to say of a key that there is not.
fn unknown(path: &str) -> String {
    let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
    let names = keys::names_in(section);
    let mut hint = did_you_mean(name, names.iter().copied());
    if hint.is_empty() {
        // The right name in the wrong section.
        let elsewhere = |key: &&Key| key.path.rsplit_once('.').is_some_and(|(_, last)| last == name);
        hint = match keys::all().iter().find(elsewhere) {
            Some(key) => format!(", did you mean {}?", key.path),
            None if names.is_empty() => did_you_mean(path, keys::all().iter().map(|key| &*key.path)),
            None => format!("; there are {}", some_of(&names)),
        };
    }
    format!("unknown key{hint}")
}

/// Checks a value by what its key is.
pub(super) fn check(key: &Key, node: &Node, mistakes: &mut Mistakes) {
    let path = &*key.path;
    let wrong = |mistakes: &mut Mistakes, node: &Node| {
        let found = match (key.kind, node.text()) {
            (Kind::Secret, _) | (_, None) => node.kind().to_owned(),
            (_, Some(text)) if node.plain().is_none() => format!("{} in quotes", node::quoted(text)),
            (_, Some(text)) => shown(text),
        };
        mistakes.add(&node.origin, path, || format!("must be {}, not {found}", key.kind));
    };
    match (key.kind, &node.content) {
        (_, Content::Null) => {}
        (Kind::Bool, _) => {
            if node.plain().and_then(boolean).is_none() {
                wrong(mistakes, node);
            }
        }
        (Kind::Number { least, most }, _) => {
            match node.plain().and_then(whole).filter(|number| (least..=most).contains(number)) {
                None => wrong(mistakes, node),
                Some(number) => {
                    let limit = path.strip_prefix(LIMITS).and_then(|rest| rest.strip_prefix('.'));
                    if let Some(Err(error)) = limit.map(|name| Limits::default().set(name, number)) {
                        mistakes.add(&node.origin, path, || error.to_string());
                    }
                }
            }
        }
        (Kind::Choice(words), _) => {
            if !node.text().is_some_and(|text| words.contains(&text)) {
                wrong(mistakes, node);
            }
        }
        (Kind::Choices(words), Content::List(list)) => {
            if list.is_empty() {
                wrong(mistakes, node);
            }
            for element in list {
                if !element.text().is_some_and(|text| words.contains(&text)) {
                    wrong(mistakes, element);
                }
            }
            twice(path, list, mistakes);
        }
        (Kind::Text(form), Content::Scalar { text, .. }) => {
            if let Err(text) = form.check(text) {
                mistakes.add(&node.origin, path, || text);
            }
        }
        (Kind::Texts(form), Content::List(list)) => {
            for element in list {
                match element.text() {
                    None => wrong(mistakes, element),
                    Some(text) => {
                        if let Err(text) = form.check(text) {
                            mistakes.add(&element.origin, path, || text);
                        }
                    }
                }
            }
            if form != Form::Argument {
                twice(path, list, mistakes);
            }
        }
        (Kind::Secret, Content::Scalar { text, .. }) => {
            if text.is_empty() || text.chars().any(char::is_control) {
                mistakes.add(&node.origin, path, || "is empty, or has characters that no secret has");
            } else if text.starts_with("ENC[") && (!text.ends_with(']') || text.len() <= "ENC[]".len()) {
                mistakes.add(
                    &node.origin,
                    path,
                    || "a secret's handle is written ENC[handle], with nothing after it",
                );
            }
        }
        (Kind::Tags, Content::Map(entries)) => {
            for (name, value) in entries {
                if value.text().is_none() {
                    wrong(mistakes, value);
                } else if name.text.is_empty() || name.text.chars().count() > 128 {
                    mistakes.add(&name.origin, path, || "the name of a tag has 1 to 128 characters");
                }
            }
        }
        (Kind::Accounts, Content::List(list)) => {
            for entry in list {
                check_account(key, entry, mistakes);
            }
        }
        (
            Kind::Text(_) | Kind::Secret | Kind::Choices(_) | Kind::Texts(_) | Kind::Tags | Kind::Accounts,
            _,
        ) => {
            wrong(mistakes, node);
        }
    }
}

/// The keys of an account.
const ACCOUNT: [(&str, Form); 2] = [("delegate_role_arn", Form::Role), ("external_id", Form::ExternalId)];

fn check_account(key: &Key, entry: &Node, mistakes: &mut Mistakes) {
    let Content::Map(entries) = &entry.content else {
        mistakes.add(&entry.origin, &key.path, || format!("must be {}, not {}", key.kind, entry.kind()));
        return;
    };
    for (name, value) in entries {
        let path = format!("{}.{}", key.path, name.text);
        match ACCOUNT.iter().find(|(known, _)| *known == name.text) {
            None => mistakes.add(&name.origin, &path, || {
                format!("unknown key{}", did_you_mean(&name.text, ACCOUNT.map(|(known, _)| known)))
            }),
            Some((_, form)) => match value.text() {
                None if value.is_null() => {}
                None => mistakes.add(&value.origin, &path, || format!("must be {}", form.expected())),
                Some(text) => {
                    if let Err(text) = form.check(text) {
                        mistakes.add(&value.origin, &path, || text);
                    }
                }
            },
        }
    }
    if !entries.iter().any(|(name, value)| name.text == "delegate_role_arn" && !value.is_null()) {
        mistakes.add(&entry.origin, &key.path, || "an account needs its delegate_role_arn");
    }
}

/// Finds what is in a list more than once.
fn twice(path: &str, list: &[Node], mistakes: &mut Mistakes) {
    let mut seen = HashSet::new();
    for element in list {
        if let Some(text) = element.text()
            && !seen.insert(text)
        {
            mistakes.add(&element.origin, path, || format!("{} is there already", shown(text)));
        }
    }
}

/// `true` or `false`, as YAML has them.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// A whole number in decimal digits.
pub(super) fn whole(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

impl Given {
    /// Checks every value by itself. What is wrong is taken out, so that its default stands in for it in all further checks.
    pub(super) fn check(&mut self, mistakes: &mut Mistakes) {
        for key in keys::all() {
            if let Some(node) = self.values.get(&*key.path) {
                let before = mistakes.count();
                check(key, node, mistakes);
                if mistakes.count() != before {
                    self.wrong.insert(key.path.clone().into_owned());
                    self.values.remove(&*key.path);
                }
            }
        }
    }

    /// Fills in the defaults that follow from other values.
    pub(super) fn derive(&mut self) {
        let text = |given: &Self, path: &str| Some(given.values.get(path)?.text()?.to_owned());
        let is_given = |given: &Self, path: &str| given.values.get(path).is_some_and(|node| !node.is_null());
        if let Some(region) = text(self, "region").filter(|_| !is_given(self, "regions")) {
            let list = Content::List(vec![Node::scalar(Origin::Default, region)]);
            self.values.insert("regions".to_owned(), Node { origin: Origin::Default, content: list });
        }
        if let Some(state) = text(self, "state_directory").filter(|_| !is_given(self, "spool.directory")) {
            let directory = format!("{}/spool", state.trim_end_matches('/'));
            self.values.insert("spool.directory".to_owned(), Node::scalar(Origin::Default, directory));
        }
    }
}
