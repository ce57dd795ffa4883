//! Pages in the layout of the Terraform Registry: front matter, description, example, schema, import.

use std::fmt::Write;

use terraform_provider::sdk::validator::Validator;
use terraform_provider::sdk::{Attribute, Block, Body, IdentitySchema, Nesting, Schema, Shape, Type};

/// The name of the provider's repository without `terraform-provider-`, which the Registry puts into titles.
const PROVIDER: &str = "datadog-agentless";

/// `docs/index.md`.
pub(crate) fn index(schema: &Schema, example: &str) -> String {
    let mut page = front_matter(&format!("{PROVIDER} Provider"), &schema.description);
    line(&mut page, &format!("# {PROVIDER} Provider\n\n{}\n", schema.description));
    line(&mut page, &code("## Example Usage", "terraform", example));
    page.push_str(&schema_section(schema));
    page
}

/// `docs/resources/NAME.md`.
pub(crate) fn resource(
    name: &str,
    schema: &Schema,
    identity: Option<&IdentitySchema>,
    example: &str,
    import: &str,
) -> String {
    let mut page = front_matter(&format!("{name} Resource - {PROVIDER}"), &schema.description);
    line(&mut page, &format!("# {name} (Resource)\n\n{}\n", schema.description));
    line(&mut page, &code("## Example Usage", "terraform", example));
    line(&mut page, &schema_section(schema));
    page.push_str(&code("## Import", "shell", import));
    if let Some(identity) = identity {
        page.push_str(&identity_section(name, identity));
    }
    page
}

/// How Terraform 1.12 and later imports by identity.
fn identity_section(name: &str, identity: &IdentitySchema) -> String {
    let mut section = format!(
        "\nFrom Terraform 1.12 on also by identity:\n\n```terraform\nimport {{\n  to = {name}.this\n  identity = {{\n"
    );
    let (required, optional): (Vec<_>, Vec<_>) =
        identity.attributes.iter().partition(|attribute| attribute.required);
    for attribute in &required {
        line(&mut section, &format!("    {} = \"…\"", attribute.name));
    }
    section.push_str("  }\n}\n```\n\n### Identity Schema\n");
    for (heading, attributes) in [("Required", required), ("Optional", optional)] {
        line(&mut section, &format!("\n{heading}:\n"));
        for attribute in attributes {
            let (name, ty) = (attribute.name, type_name(&attribute.ty));
            line(&mut section, &format!("- `{name}` ({ty}) {}", attribute.description));
        }
    }
    section
}

/// `docs/ephemeral-resources/NAME.md`.
pub(crate) fn ephemeral_resource(name: &str, schema: &Schema, example: &str) -> String {
    let mut page = front_matter(&format!("{name} Ephemeral Resource - {PROVIDER}"), &schema.description);
    line(&mut page, &format!("# {name} (Ephemeral Resource)\n\n{}\n", schema.description));
    line(&mut page, &code("## Example Usage", "terraform", example));
    page.push_str(&schema_section(schema));
    page
}

/// `docs/actions/NAME.md`.
pub(crate) fn action(name: &str, schema: &Schema, example: &str) -> String {
    let mut page = front_matter(&format!("{name} Action - {PROVIDER}"), &schema.description);
    line(&mut page, &format!("# {name} (Action)\n\n{}\n", schema.description));
    line(&mut page, &code("## Example Usage", "terraform", example));
    page.push_str(&schema_section(schema));
    page
}

/// `docs/data-sources/NAME.md`.
pub(crate) fn data_source(name: &str, schema: &Schema, example: &str) -> String {
    let mut page = front_matter(&format!("{name} Data Source - {PROVIDER}"), &schema.description);
    line(&mut page, &format!("# {name} (Data Source)\n\n{}\n", schema.description));
    line(&mut page, &code("## Example Usage", "terraform", example));
    page.push_str(&schema_section(schema));
    page
}

fn front_matter(title: &str, description: &str) -> String {
    let summary = description.lines().next().unwrap_or_default();
    format!("---\npage_title: \"{title}\"\nsubcategory: \"\"\ndescription: |-\n  {summary}\n---\n\n")
}

fn code(heading: &str, language: &str, text: &str) -> String {
    format!("{heading}\n\n```{language}\n{}\n```\n", text.trim_end())
}

fn schema_section(schema: &Schema) -> String {
    let mut section = String::from("## Schema\n");
    let mut nested = Vec::new();
    body(&mut section, &schema.body, "", &mut nested);
    // What is nested in what is nested is found on the way.
    let mut next = 0;
    while let Some(Nested { path, body: inner }) = nested.get(next).cloned() {
        next += 1;
        line(&mut section, &format!("\n<a id=\"{}\"></a>\n### Nested Schema for `{path}`", anchor(&path)));
        body(&mut section, &inner, &path, &mut nested);
    }
    section
}

/// Attributes of an object that have a section of their own.
#[derive(Clone)]
struct Nested {
    path: String,
    body: Body,
}

/// Who sets what stands in a list.
#[derive(Clone, Copy, PartialEq)]
enum Group {
    Required,
    Optional,
    ReadOnly,
}

impl Group {
    fn of(attribute: &Attribute) -> Self {
        match (attribute.is_required(), attribute.is_optional()) {
            (true, _) => Self::Required,
            (false, true) => Self::Optional,
            (false, false) => Self::ReadOnly,
        }
    }

    fn of_block(block: &Block) -> Self {
        if block.min > 0 { Self::Required } else { Self::Optional }
    }

    fn heading(self) -> &'static str {
        match self {
            Self::Required => "Required",
            Self::Optional => "Optional",
            Self::ReadOnly => "Read-Only",
        }
    }
}

fn body(section: &mut String, content: &Body, path: &str, nested: &mut Vec<Nested>) {
    for group in [Group::Required, Group::Optional, Group::ReadOnly] {
        let mut attributes: Vec<&Attribute> =
            content.attributes.iter().filter(|attribute| Group::of(attribute) == group).collect();
        let blocks: Vec<&Block> =
            content.blocks.iter().filter(|block| Group::of_block(block) == group).collect();
        if attributes.is_empty() && blocks.is_empty() {
            continue;
        }
        attributes.sort_by_key(|attribute| attribute.name);
        // Only the top level has headings of its own, as in all pages of the Registry.
        let heading = group.heading();
        let heading = if path.is_empty() { format!("### {heading}") } else { format!("{heading}:") };
        line(section, &format!("\n{heading}\n"));
        for attribute in attributes {
            let own_path = join(path, attribute.name);
            let mut text = attribute.description.clone();
            if let Some(rules) = rules(attribute) {
                _ = write!(text, " Allowed: {rules}.");
            }
            if let Some(default) = attribute.default_text() {
                _ = write!(text, " Default: `{default}`.");
            }
            if let Shape::Nested(_, body) = &attribute.shape {
                _ = write!(text, " (see [below](#{}))", anchor(&own_path));
                nested.push(Nested { path: own_path, body: body.clone() });
            }
            line(section, &format!("- `{}` ({}) {text}", attribute.name, qualifiers(attribute)));
        }
        for block in blocks {
            let own_path = join(path, block.name);
            let link = anchor(&own_path);
            line(
                section,
                &format!("- `{}` (Block) {} (see [below](#{link}))", block.name, block.description),
            );
            nested.push(Nested { path: own_path, body: block.body.clone() });
        }
    }
}

/// What its validators accept. That whole numbers are whole goes without saying.
fn rules(attribute: &Attribute) -> Option<String> {
    let rules =
        attribute.validators.iter().map(Validator::description).filter(|rule| *rule != "a whole number");
    let rules = rules.collect::<Vec<_>>().join("; ");
    (!rules.is_empty()).then_some(rules)
}

fn qualifiers(attribute: &Attribute) -> String {
    let mut qualifiers = match &attribute.shape {
        Shape::Plain(ty) => type_name(ty),
        Shape::Nested(Nesting::Single, _) => "Attributes".to_owned(),
        Shape::Nested(Nesting::List, _) => "Attributes List".to_owned(),
        Shape::Nested(Nesting::Set, _) => "Attributes Set".to_owned(),
        Shape::Nested(Nesting::Map, _) => "Attributes Map".to_owned(),
    };
    for (applies, text) in [
        (attribute.sensitive, "Sensitive"),
        (attribute.write_only, "Write-only"),
        (attribute.deprecation.is_some(), "Deprecated"),
    ] {
        if applies {
            qualifiers.push_str(", ");
            qualifiers.push_str(text);
        }
    }
    qualifiers
}

fn type_name(ty: &Type) -> String {
    match ty {
        Type::String => "String".to_owned(),
        Type::Number => "Number".to_owned(),
        Type::Bool => "Boolean".to_owned(),
        Type::List(element) => format!("List of {}", type_name(element)),
        Type::Set(element) => format!("Set of {}", type_name(element)),
        Type::Map(element) => format!("Map of {}", type_name(element)),
        Type::Object(_) | Type::Tuple(_) => "Object".to_owned(),
        Type::Dynamic => "Dynamic".to_owned(),
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn anchor(path: &str) -> String {
    format!("nestedatt--{}", path.replace('.', "--"))
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}
