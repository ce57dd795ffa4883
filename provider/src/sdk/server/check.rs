//! What is wrong with a configuration, and where Terraform can show it.

use super::wire::decode;
use super::{panic, proto};
use crate::sdk::validate::{Client, validate};
use crate::sdk::{Body, Diagnostic, Path, Raw, Schema, Step};

/// What is wrong with a configuration: by its schema, and when that finds no error, by `further`.
pub(super) async fn check(
    schema: &Schema,
    config: Option<&proto::DynamicValue>,
    client: Client,
    further: impl Fn(&Raw) -> Vec<Diagnostic>,
) -> Vec<Diagnostic> {
    let work = async {
        let config = decode(config, schema)?;
        let mut found = validate(&schema.body, &config, client);
        if !found.iter().any(Diagnostic::is_error) {
            found.extend(further(&config));
        }
        Ok(found)
    };
    let found = panic::catch(work).await.flatten().unwrap_or_else(|diagnostic: Diagnostic| vec![diagnostic]);
    found.into_iter().map(|diagnostic| at_shown_place(&schema.body, diagnostic)).collect()
}

/// Terraform finds the line of an attribute, also of one in blocks, but not of anything within an attribute; it then shows
/// the first line of the whole resource. So an error there points at the outermost attribute, and says the rest.
fn at_shown_place(body: &Body, diagnostic: Diagnostic) -> Diagnostic {
    let shown = shown(body, &diagnostic.path);
    if shown == diagnostic.path {
        return diagnostic;
    }
    let whole = diagnostic.path.to_string();
    let Diagnostic { severity, summary, mut detail, path: _ } = diagnostic;
    if !summary.contains(&whole) && !detail.contains(&whole) {
        detail = format!("In `{whole}`: {detail}");
    }
    Diagnostic { severity, summary, detail, path: shown }
}

/// The beginning of `path` up to the first attribute.
fn shown(mut body: &Body, path: &Path) -> Path {
    let mut shown = Path::root();
    for step in path.steps() {
        shown = shown.with(step.clone());
        if let Step::Attribute(name) = step {
            match body.blocks.iter().find(|block| block.name == name) {
                Some(block) => body = &block.body,
                None => break,
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdk::{Attribute, Block};

    #[test]
    fn an_error_within_an_attribute_points_at_it_and_names_the_place() {
        let port = || Attribute::int("port", "Port.").optional();
        let schema = Schema::new("Test.")
            .attribute(Attribute::nested_list("rules", "Rules.", [port()]).optional())
            .block(Block::list("rule", "Rule.").attribute(port()));
        let told = |path, detail: &str| {
            let diagnostic = Diagnostic::error("Invalid value", detail).at(path);
            let Diagnostic { detail, path, .. } = at_shown_place(&schema.body, diagnostic);
            (path.to_string(), detail)
        };
        let in_attribute = || Path::from("rules").index(1).attribute("port");
        assert_eq!(told(in_attribute(), "No."), ("rules".to_owned(), "In `rules[1].port`: No.".to_owned()));
        let named = "The value of `rules[1].port` is wrong.";
        assert_eq!(told(in_attribute(), named), ("rules".to_owned(), named.to_owned()));
        let in_block = Path::from("rule").index(1).attribute("port");
        assert_eq!(told(in_block, "No."), ("rule[1].port".to_owned(), "No.".to_owned()));
        assert_eq!(told(Path::root(), "No."), (String::new(), "No.".to_owned()));
    }
}
