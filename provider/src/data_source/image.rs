//! `datadog_agentless_scanner_image`: the newest image to start scanners from.

mod choose;
mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use scanner_policy::{Region, tags};
use time::OffsetDateTime;

pub use schema::Model;

use self::choose::{check_age, newest};
use crate::aws::{ImageQuery, Images, MachineImage};
use crate::config::Settings;
use crate::resource::place::region_of;
use crate::sdk::{Context, DataSource, Diagnostic, Schema, Value};

/// The owner that stands for the account of the credentials.
const SELF: &str = "self";

/// The architecture that is looked for where none is named: that of the scanner's default instance type.
const ARCHITECTURE: &str = "arm64";

/// Looks for the newest scanner image.
#[derive(Debug)]
pub struct Image<A> {
    aws: Arc<A>,
    settings: Arc<Settings>,
}

impl<A> Image<A> {
    /// The data source over `aws`.
    pub fn new(aws: Arc<A>, settings: Arc<Settings>) -> Self {
        Self { aws, settings }
    }
}

impl<A: Images> DataSource for Image<A> {
    const NAME: &'static str = "agentless_scanner_image";
    type Model = Model;

    fn schema() -> Schema {
        schema::schema()
    }

    fn validate(config: &Model) -> Vec<Diagnostic> {
        let Some(other) = config.owners.get().and_then(|owners| owners.iter().find(|owner| *owner != SELF))
        else {
            return Vec::new();
        };
        let mut problems = Vec::new();
        if config.name_prefix.is_null() {
            problems.push(
                Diagnostic::error(
                    "No name to look for",
                    format!(
                        "EC2 shows the tags of an image to nobody but its owner, so scanner images of the account {other} \
                         can only be found by name. Set name_prefix."
                    ),
                )
                .at("name_prefix"),
            );
        }
        if !config.required_tags.is_null() {
            problems.push(
                Diagnostic::error(
                    "Tags of another account",
                    format!(
                        "EC2 shows the tags of an image to nobody but its owner, so no image of the account {other} would \
                         match. Leave required_tags out, or owners."
                    ),
                )
                .at("required_tags"),
            );
        }
        problems
    }

    async fn read(&self, ctx: &Context, config: Model) -> Result<Model, Diagnostic> {
        let region = region_of(&self.settings, &config.region)?;
        let query = query(&config);
        let found =
            self.aws.images(&region, &query).await.map_err(|error| {
                error.diagnostic(format!("Could not look for scanner images in {region}"))
            })?;
        let now = OffsetDateTime::now_utc();
        let image = newest(found, &region, &query, now)?;
        check_age(ctx, &config, &image, now)?;
        Ok(described(config, &region, query, image))
    }
}

/// What EC2 is asked for.
fn query(config: &Model) -> ImageQuery {
    let architecture = config.architecture.as_str().unwrap_or(ARCHITECTURE);
    let mut filters = BTreeMap::from([
        ("architecture".to_owned(), vec![architecture.to_owned()]),
        ("image-type".to_owned(), vec!["machine".to_owned()]),
        ("state".to_owned(), vec!["available".to_owned()]),
    ]);
    match config.name_prefix.as_str() {
        Some(prefix) => filters.insert("name".to_owned(), vec![format!("{prefix}*")]),
        // Without it, any image of the account would do.
        None => filters.insert("tag-key".to_owned(), vec![tags::IMAGE_VERSION.to_owned()]),
    };
    for (key, value) in config.required_tags.get().into_iter().flatten() {
        filters.insert(format!("tag:{key}"), vec![literal(value)]);
    }
    let owners = config.owners.clone().unwrap_or(BTreeSet::from([SELF.to_owned()]));
    ImageQuery {
        owners: owners.into_iter().collect(),
        filters,
        include_deprecated: config.include_deprecated.unwrap_or(false),
    }
}

/// `value` in a filter that means itself: EC2 takes `*` and `?` as wildcards ("List and filter your resources").
fn literal(value: &str) -> String {
    let mut literal = String::with_capacity(value.len());
    for character in value.chars() {
        if "\\*?".contains(character) {
            literal.push('\\');
        }
        literal.push(character);
    }
    literal
}

/// `config` with what the image is.
fn described(config: Model, region: &Region, query: ImageQuery, image: MachineImage) -> Model {
    let tag = |key: &str| image.tags.get(key).cloned();
    let root = image.volumes.get(&image.root_device_name);
    let snapshots: BTreeSet<String> =
        image.volumes.values().filter_map(|(snapshot, _)| snapshot.clone()).collect();
    Model {
        region: region.to_string().into(),
        owners: Value::Known(query.owners.into_iter().collect()),
        architecture: image.architecture.clone().into(),
        include_deprecated: query.include_deprecated.into(),
        arn: format!("arn:{}:ec2:{region}::image/{}", region.partition().id(), image.id).into(),
        root_device_size: root.and_then(|(_, size)| *size).into(),
        snapshot_ids: snapshots.into(),
        // EC2 names the image that was copied, where the image is a copy; the build knows better.
        source_image_id: tag(tags::IMAGE_SOURCE).or_else(|| image.source_image_id.clone()).into(),
        scanner_version: tag(tags::IMAGE_VERSION).into(),
        commit: tag(tags::IMAGE_COMMIT).into(),
        id: image.id.into(),
        name: image.name.into(),
        owner_id: image.owner.into(),
        creation_date: image.creation_date.into(),
        deprecation_time: image.deprecation_time.into(),
        root_device_name: image.root_device_name.into(),
        tags: image.tags.into(),
        ..config
    }
}

#[cfg(test)]
mod tests;
