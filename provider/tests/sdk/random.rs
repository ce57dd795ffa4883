//! Random schemas with random values, on their way through configuration, plan, apply and state.
//!
//! Terraform itself is the judge: it refuses a plan that says otherwise than the configuration, and a state that says
//! otherwise than the plan; and it finds no change afterwards only when what it has stored as JSON, sent to be upgraded
//! and got back, is still the same. All values go through one run, so that hundreds take seconds.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value as Json, json};
use terraform_provider::sdk::Type;

use crate::harness::Workspace;

/// How many attributes the resource has.
const ATTRIBUTES: usize = 120;

/// A value as a configuration writes it.
#[derive(Clone, Debug)]
enum Written {
    Null,
    Bool(bool),
    /// As its digits.
    Number(String),
    Text(String),
    List(Vec<Self>),
    Map(BTreeMap<String, Self>),
    /// Known only after apply.
    Late(Box<Self>),
}

fn any_type() -> impl Strategy<Value = Type> {
    prop_oneof![9 => any_static_type(), 1 => Just(Type::Dynamic)]
}

fn any_static_type() -> impl Strategy<Value = Type> {
    let leaf = prop_oneof![Just(Type::String), Just(Type::Number), Just(Type::Bool)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(Type::list),
            inner.clone().prop_map(Type::set),
            inner.clone().prop_map(Type::map),
            vec(inner.clone(), 0..3).prop_map(Type::Tuple),
            object(inner),
        ]
    })
}

/// Types that nested attributes have: objects, and lists and maps of them.
fn any_nested_type() -> impl Strategy<Value = Type> {
    // To make a list or map of what a configuration writes, Terraform wants one type for all elements.
    let element = nested_object(any_static_type().boxed());
    prop_oneof![
        nested_object(any_type().boxed()),
        element.clone().prop_map(Type::list),
        element.prop_map(Type::map),
    ]
}

fn nested_object(inner: BoxedStrategy<Type>) -> impl Strategy<Value = Type> + Clone {
    let attributes = prop_oneof![inner.clone(), object(inner)];
    vec(attributes, 1..4).prop_map(|types| {
        let named = types.into_iter().enumerate().map(|(index, ty)| {
            let prefix = if matches!(ty, Type::Object(_)) { "nested_" } else { "plain_" };
            (format!("{prefix}{index}"), ty)
        });
        Type::Object(named.collect())
    })
}

fn object(inner: impl Strategy<Value = Type> + Clone + 'static) -> impl Strategy<Value = Type> + Clone {
    btree_map("[a-z][a-z_]{0,5}", inner, 0..4).prop_map(Type::Object)
}

/// A value of `ty`. `nullable` and `late` say what it may be instead.
fn any_value(ty: &Type, nullable: bool, late: bool) -> BoxedStrategy<Written> {
    let known = match ty {
        Type::Bool => any::<bool>().prop_map(Written::Bool).boxed(),
        Type::Number => any_number().prop_map(Written::Number).boxed(),
        Type::String => any_text().prop_map(Written::Text).boxed(),
        Type::Dynamic => prop_oneof![
            any_value(&Type::String, false, late),
            any_value(&Type::Number, false, late),
            any_value(&Type::Tuple(vec![Type::Bool, Type::map(Type::String)]), false, late),
            any_value(&Type::object([("a", Type::Number), ("b", Type::Tuple(vec![]))]), false, late),
        ]
        .boxed(),
        Type::List(element) => vec(any_value(element, true, late), 0..4).prop_map(Written::List).boxed(),
        // What is null or late in a set may turn out to be what it has already.
        Type::Set(element) => vec(any_value(element, false, false), 0..4).prop_map(Written::List).boxed(),
        Type::Map(element) => {
            btree_map(any_text(), any_value(element, true, late), 0..4).prop_map(Written::Map).boxed()
        }
        Type::Tuple(types) => types
            .iter()
            .map(|ty| any_value(ty, true, late))
            .collect::<Vec<_>>()
            .prop_map(Written::List)
            .boxed(),
        Type::Object(types) => {
            let names: Vec<_> = types.keys().cloned().collect();
            let values: Vec<_> = types.values().map(|ty| any_value(ty, true, late)).collect();
            values.prop_map(move |values| Written::Map(names.iter().cloned().zip(values).collect())).boxed()
        }
    };
    // Of an unknown object Terraform knows of which type a dynamic attribute in it will be, but has no way to say so to a
    // provider, and then holds what the provider plans to be something else.
    let late = u32::from(late && (*ty == Type::Dynamic || !has_dynamic(ty)));
    prop_oneof![
        8 => known.clone(),
        u32::from(nullable) => Just(Written::Null),
        late => known.prop_map(settled).prop_map(|value| Written::Late(Box::new(value))),
    ]
    .boxed()
}

fn has_dynamic(ty: &Type) -> bool {
    match ty {
        Type::Dynamic => true,
        Type::String | Type::Number | Type::Bool => false,
        Type::List(element) | Type::Set(element) | Type::Map(element) => has_dynamic(element),
        Type::Object(types) => types.values().any(has_dynamic),
        Type::Tuple(types) => types.iter().any(has_dynamic),
    }
}

/// The same with nothing late in it: what a late value turns out to be.
fn settled(value: Written) -> Written {
    match value {
        Written::Late(value) => settled(*value),
        Written::List(elements) => Written::List(elements.into_iter().map(settled).collect()),
        Written::Map(elements) => {
            Written::Map(elements.into_iter().map(|(key, value)| (key, settled(value))).collect())
        }
        other => other,
    }
}

fn any_number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|int| int.to_string()),
        any::<u64>().prop_map(|int| int.to_string()),
        "-?[1-9][0-9]{0,29}",
        "-?[0-9]\\.[0-9]{0,14}[1-9]",
        "-?[1-9]e-?[1-9][0-9]?",
    ]
}

/// Texts in the one form in which Terraform keeps them (Unicode's NFC).
fn any_text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[ -~]{0,6}",
        1 => prop::sample::select(vec![
            "${", "%{", "$${", "\\", "\"", "\n", "\r\n", "\t", "\u{1}", "\u{7f}", "é", "日本", "🦀", "\u{2028}", "~}",
        ])
        .prop_map(str::to_owned),
    ];
    vec(part, 0..4).prop_map(|parts| parts.concat())
}

/// The values that are known only after apply, by the name under which they are referred to.
type Late = BTreeMap<String, String>;

impl Written {
    /// As an expression of Terraform's language.
    fn expression(&self, late: &mut Late) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Number(digits) => digits.clone(),
            Self::Text(text) => quoted(text),
            Self::List(elements) => {
                let elements: Vec<_> = elements.iter().map(|element| element.expression(late)).collect();
                format!("[{}]", elements.join(", "))
            }
            Self::Map(elements) => {
                let elements: Vec<_> = elements
                    .iter()
                    .map(|(key, element)| format!("{} = {}", quoted(key), element.expression(late)))
                    .collect();
                format!("{{{}}}", elements.join(", "))
            }
            Self::Late(value) => {
                let expression = value.expression(late);
                let name = format!("late_{}", late.len());
                late.insert(name.clone(), expression);
                format!("terraform_data.late.output.{name}")
            }
        }
    }

    /// As `terraform show -json` prints it, but for the form of numbers.
    fn shown(&self, ty: &Type) -> Json {
        match (self, ty) {
            (Self::Late(value), _) => value.shown(ty),
            (Self::Null, _) => Json::Null,
            (Self::Bool(value), _) => json!(value),
            (Self::Number(digits), _) => json!(digits.parse::<f64>().unwrap()),
            (Self::Text(text), _) => json!(text),
            (Self::List(elements), Type::List(ty) | Type::Set(ty)) => {
                elements.iter().map(|element| element.shown(ty)).collect()
            }
            (Self::List(elements), Type::Tuple(types)) => {
                elements.iter().zip(types).map(|(element, ty)| element.shown(ty)).collect()
            }
            (Self::Map(elements), Type::Map(ty)) => {
                elements.iter().map(|(key, element)| (key.clone(), element.shown(ty))).collect()
            }
            (Self::Map(elements), Type::Object(types)) => {
                elements.iter().map(|(key, element)| (key.clone(), element.shown(&types[key]))).collect()
            }
            // Of a dynamic value: nothing in it has another form.
            (Self::List(elements), _) => elements.iter().map(|element| element.shown(ty)).collect(),
            (Self::Map(elements), _) => {
                elements.iter().map(|(key, element)| (key.clone(), element.shown(ty))).collect()
            }
        }
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.replace("${", "$${").replace("%{", "%%{").chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => write!(quoted, "\\u{:04x}", u32::from(control)).unwrap(),
            other => quoted.push(other),
        }
    }
    quoted + "\""
}

/// `json` with its numbers as floats, and what is of a set in one order and once.
fn comparable(json: &Json, ty: &Type) -> Json {
    match (json, ty) {
        (Json::Number(number), _) => json!(number.as_f64().unwrap()),
        (Json::Array(elements), Type::Set(ty)) => {
            let mut elements: Vec<_> = elements.iter().map(|element| comparable(element, ty)).collect();
            elements.sort_by_key(Json::to_string);
            elements.dedup();
            elements.into()
        }
        (Json::Array(elements), Type::List(ty)) => {
            elements.iter().map(|element| comparable(element, ty)).collect()
        }
        (Json::Array(elements), Type::Tuple(types)) => {
            elements.iter().zip(types).map(|(element, ty)| comparable(element, ty)).collect()
        }
        (Json::Array(elements), _) => elements.iter().map(|element| comparable(element, ty)).collect(),
        (Json::Object(elements), _) => elements
            .iter()
            .map(|(key, element)| {
                let ty = match ty {
                    Type::Map(ty) => ty,
                    Type::Object(types) => &types[key],
                    ty => ty,
                };
                (key.clone(), comparable(element, ty))
            })
            .collect(),
        (other, _) => other.clone(),
    }
}

/// A configuration of one resource with `values`, and of what they wait for.
fn config(values: &BTreeMap<String, Written>) -> String {
    let mut late = Late::new();
    let mut attributes = String::new();
    for (name, value) in values {
        writeln!(attributes, "  {name} = {}", value.expression(&mut late)).unwrap();
    }
    let mut text = format!("resource \"fixture_values\" \"any\" {{\n{attributes}}}\n");
    text.push_str("resource \"terraform_data\" \"late\" {\n  input = {\n");
    for (name, expression) in late {
        writeln!(text, "    {name} = {expression}").unwrap();
    }
    text + "  }\n}\n"
}

#[test]
fn random_values_pass_unchanged() {
    // The same values in each run: a failure can be looked at.
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[11; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut generate_type = |index: usize| {
        let nested = index.is_multiple_of(3);
        let (name, strategy) = if nested {
            (format!("nested_{index}"), any_nested_type().boxed())
        } else {
            (format!("plain_{index}"), any_type().boxed())
        };
        (name, strategy.new_tree(&mut runner).unwrap().current())
    };
    let types: BTreeMap<String, Type> = (0..ATTRIBUTES).map(&mut generate_type).collect();
    let mut values = |late: bool| -> BTreeMap<String, Written> {
        let value = |(name, ty): (&String, &Type)| {
            // Elements of nested attributes cannot be null.
            let value = any_value(ty, false, late).new_tree(&mut runner).unwrap().current();
            (name.clone(), if name.starts_with("nested_") { without_null_elements(value, ty) } else { value })
        };
        types.iter().map(value).collect()
    };

    let mut workspace = Workspace::new("");
    let schema: serde_json::Map<_, _> = types.iter().map(|(name, ty)| (name.clone(), ty.to_json())).collect();
    workspace.set("FIXTURE_VALUES", Json::Object(schema).to_string());
    // Made with values that are known late, then changed twice.
    for late in [true, false, true] {
        let values = values(late);
        workspace.configure(&config(&values));
        workspace.apply().expect_ok();
        workspace.expect_no_changes();
        let shown = workspace.attributes("fixture_values.any");
        for (name, ty) in &types {
            let expected = comparable(&values[name].shown(ty), ty);
            assert_eq!(comparable(&shown[name], ty), expected, "{name} of type {ty}");
        }
    }
    workspace.destroy().expect_ok();
}

/// `value` without null among the elements of its nested lists and maps.
fn without_null_elements(value: Written, ty: &Type) -> Written {
    match (value, ty) {
        (Written::List(elements), Type::List(_)) => {
            Written::List(elements.into_iter().filter(|element| !matches!(element, Written::Null)).collect())
        }
        (Written::Map(elements), Type::Map(_)) => Written::Map(
            elements.into_iter().filter(|(_, element)| !matches!(element, Written::Null)).collect(),
        ),
        (value, _) => value,
    }
}
