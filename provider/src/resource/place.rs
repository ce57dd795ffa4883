//! Where a resource is: its region, and import ids that name one.

use scanner_policy::Region;

use crate::config::Settings;
use crate::sdk::{Attribute, Context, Diagnostic, Value, validator};

/// The attribute `region`.
pub(super) fn region_attribute(consequence: &str) -> Attribute {
    Attribute::string(
        "region",
        format!("The AWS region{consequence}. Default: the provider's. A change makes a new resource."),
    )
    .optional()
    .computed()
    .keeps_state()
    .replaces()
    .validate(region_validator())
}

/// An AWS region.
pub(crate) fn region_validator() -> validator::Validator {
    validator::pattern("an AWS region such as eu-central-1", |text| text.parse::<Region>().is_ok())
}

/// Plans the attribute `region`. `None` when it is told only by apply.
pub(super) fn plan_region(
    ctx: &Context,
    settings: &Settings,
    prior: Option<&Value<String>>,
    config: &Value<String>,
    planned: &mut Value<String>,
) -> Result<Option<Region>, Diagnostic> {
    if config.is_null() {
        *planned = match &settings.region {
            Value::Known(region) => region.to_string().into(),
            Value::Unknown => Value::Unknown,
            Value::Null => return Err(missing_region()),
        };
        if prior.is_some_and(|prior| prior.is_known() && prior != planned) {
            ctx.require_replacement("region");
        }
    }
    planned.as_str().map(parse).transpose()
}

/// The region of a resource that exists, or is about to.
pub(crate) fn region_of(settings: &Settings, region: &Value<String>) -> Result<Region, Diagnostic> {
    match region.as_str() {
        Some(name) => parse(name),
        None => settings.region.clone().known().ok_or_else(missing_region),
    }
}

/// The two parts of an import id `NAME` or `NAME@REGION`.
pub(super) fn parse_import_id(id: &str) -> Result<(String, Value<String>), Diagnostic> {
    let (name, region) = match id.split_once('@') {
        None => (id, Value::Null),
        Some((name, region)) => {
            let region =
                region.parse::<Region>().map_err(|error| invalid_import_id(id, &error.to_string()))?;
            (name, region.to_string().into())
        }
    };
    if name.is_empty() {
        return Err(invalid_import_id(id, "nothing is named"));
    }
    Ok((name.to_owned(), region))
}

fn invalid_import_id(id: &str, why: &str) -> Diagnostic {
    let detail = format!("The import id {id:?} is neither NAME nor NAME@REGION: {why}.");
    Diagnostic::error("Invalid import id", detail)
}

fn parse(name: &str) -> Result<Region, Diagnostic> {
    name.parse().map_err(|error| Diagnostic::caused_by("Invalid AWS region", &error).at("region"))
}

fn missing_region() -> Diagnostic {
    Diagnostic::error(
        "No AWS region",
        "Set region in the provider block or in the resource, or the environment variable AWS_REGION.",
    )
    .at("region")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_providers_region_is_the_default() {
        let ctx = Context::detached(Duration::from_secs(1));
        let settings =
            Settings { region: Value::Known("eu-central-1".parse().unwrap()), ..Settings::default() };
        let mut planned = Value::Unknown;
        let region = plan_region(&ctx, &settings, None, &Value::Null, &mut planned).unwrap();
        assert_eq!((region.unwrap().as_str(), planned.as_str()), ("eu-central-1", Some("eu-central-1")));

        let mut planned = Value::from("us-east-1");
        let region = plan_region(&ctx, &settings, None, &"us-east-1".into(), &mut planned).unwrap();
        assert_eq!(region.unwrap().as_str(), "us-east-1");

        let error =
            plan_region(&ctx, &Settings::default(), None, &Value::Null, &mut Value::Unknown).unwrap_err();
        assert!(error.detail.contains("AWS_REGION"), "{}", error.detail);
    }

    #[test]
    fn what_is_unknown_stays_so() {
        let ctx = Context::detached(Duration::from_secs(1));
        let mut planned = Value::Unknown;
        let region = plan_region(&ctx, &Settings::default(), None, &Value::Unknown, &mut planned).unwrap();
        assert_eq!((region, planned), (None, Value::Unknown));
    }

    #[test]
    fn import_ids_may_name_a_region() {
        assert_eq!(parse_import_id("sg-1").unwrap(), ("sg-1".to_owned(), Value::Null));
        assert_eq!(parse_import_id("a@us-east-1").unwrap(), ("a".to_owned(), "us-east-1".into()));
        for bad in ["", "a@", "@us-east-1", "a@moon", "a@b@us-east-1"] {
            let error = parse_import_id(bad).unwrap_err();
            assert!(error.detail.contains(&format!("{bad:?}")), "{}", error.detail);
        }
    }
}
