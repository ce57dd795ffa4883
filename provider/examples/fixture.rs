//! A provider without a cloud: its resources are files in a directory. It has an attribute of every kind, and
//! misbehaves on demand, so that the tests of the SDK can see what Terraform makes of it.
//!
//! To try it by hand, start it with `-debug` and follow what it prints.

#![expect(clippy::indexing_slicing, reason = "a missing key of JSON is null")]

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use terraform_provider::model;
use terraform_provider::sdk::{
    Attribute, Block, Catalog, Context, DataSource, Diagnostic, Number, Provider, Raw, Resource, Saved,
    Schema, Secret, TimeoutDefaults, Timeouts, Type, Value, serve, validator,
};

fn main() -> ExitCode {
    serve(Fixture)
}

struct Fixture;

model! {
    /// The provider's configuration.
    struct Config {
        root: Value<String>,
        token: Value<Secret>,
    }
}

impl Provider for Fixture {
    const ADDRESS: &'static str = "registry.terraform.io/example/fixture";
    const PREFIX: &'static str = "fixture_";
    const VERSION: &'static str = "1.2.3";
    type Config = Config;
    type Client = Arc<Store>;

    fn schema() -> Schema {
        Schema::new("Keeps files in a directory.")
            .attribute(Attribute::string("root", "The directory.").required())
            .attribute(Attribute::string("token", "Has no effect.").optional().sensitive())
    }

    fn catalog() -> Catalog<Arc<Store>> {
        let catalog = Catalog::new()
            .resource(|store: &Arc<Store>| File { store: Arc::clone(store) })
            .data_source(|store: &Arc<Store>| Size { store: Arc::clone(store) });
        // One program with two versions of one schema, for the test of the upgrade from one to the other.
        if std::env::var_os("FIXTURE_OLD_SCHEMA").is_some() {
            catalog.resource(|_| OldRecord)
        } else {
            catalog.resource(|_| Record)
        }
    }

    async fn configure(&self, _ctx: &Context, config: Config) -> Result<Arc<Store>, Diagnostic> {
        match config.root {
            Value::Known(root) => Ok(Arc::new(Store { root: Some(root.into()) })),
            // It may become known during apply, before anything is made.
            _ => Ok(Arc::new(Store { root: None })),
        }
    }
}

/// The directory.
#[derive(Debug)]
struct Store {
    root: Option<PathBuf>,
}

impl Store {
    fn path(&self, name: &str) -> Result<PathBuf, Diagnostic> {
        let root = self.root.as_ref();
        let root = root.ok_or_else(|| Diagnostic::error("The root is not known yet", "Apply it first."))?;
        Ok(root.join(format!("{name}.json")))
    }

    fn write(&self, name: &str, content: &Json) -> Result<(), Diagnostic> {
        fs::write(self.path(name)?, content.to_string())
            .map_err(|error| Diagnostic::caused_by(format!("Could not write {name:?}"), &error).at("name"))
    }

    fn read(&self, name: &str) -> Result<Option<Json>, Diagnostic> {
        match fs::read(self.path(name)?) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| Diagnostic::caused_by(format!("Could not read {name:?}"), &error)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Diagnostic::caused_by(format!("Could not read {name:?}"), &error)),
        }
    }

    fn remove(&self, name: &str) -> Result<(), Diagnostic> {
        match fs::remove_file(self.path(name)?) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Diagnostic::caused_by(format!("Could not remove {name:?}"), &error))
            }
            _ => Ok(()),
        }
    }
}

/// A file, with an attribute of every kind.
#[derive(Debug)]
struct File {
    store: Arc<Store>,
}

model! {
    /// State of one file.
    struct Model {
        id: Value<String>,
        revision: Value<i64>,
        name: Value<String>,
        size: Value<i64>,
        ratio: Value<Number>,
        enabled: Value<bool>,
        zone: Value<String>,
        content: Value<String>,
        names: Value<Vec<String>>,
        groups: Value<Vec<String>>,
        labels: Value<BTreeMap<String, String>>,
        shape: Value<Shape>,
        anything: Raw,
        secret: Value<Secret>,
        key: Value<Secret>,
        key_length: Value<i64>,
        old_name: Value<String>,
        window: Value<Window>,
        rules: Value<Vec<Rule>>,
        peers: Value<Vec<Rule>>,
        routes: Value<BTreeMap<String, Rule>>,
        disk: Value<Vec<Disk>>,
        tag: Value<Vec<Tag>>,
        hook: Value<Hook>,
        fault: Value<String>,
        timeouts: Value<Timeouts>,
    }

    /// A plain object.
    struct Shape {
        width: Value<i64>,
        height: Value<i64>,
    }

    /// A nested object.
    struct Window {
        start: Value<String>,
        hours: Value<i64>,
    }

    /// An element of nested lists, sets and maps.
    struct Rule {
        port: Value<i64>,
        protocol: Value<String>,
        id: Value<String>,
    }

    /// A block that may be repeated.
    struct Disk {
        size: Value<i64>,
        kind: Value<String>,
    }

    /// A block that may be repeated, without order.
    struct Tag {
        key: Value<String>,
        value: Value<String>,
    }

    /// A block that may be written once.
    struct Hook {
        url: Value<String>,
        key: Value<Secret>,
    }
}

fn rule() -> [Attribute; 3] {
    [
        Attribute::int("port", "Port.").required().validate(validator::range(1..=65_535)),
        Attribute::string("protocol", "Protocol.").default("tcp").validate(validator::one_of(["tcp", "udp"])),
        Attribute::string("id", "Assigned by the provider.").computed(),
    ]
}

impl Resource for File {
    const NAME: &'static str = "file";
    type Model = Model;

    fn schema() -> Schema {
        Schema::new("A file.")
            .attribute(Attribute::string("id", "Same as `name`.").computed().keeps_state())
            .attribute(Attribute::int("revision", "How often it was written.").computed())
            .attribute(
                Attribute::string("name", "Name of the file.")
                    .required()
                    .replaces()
                    .validate(validator::length(1..=20))
                    .validate(validator::characters("letters, digits and dashes", |character| {
                        character.is_ascii_alphanumeric() || character == '-'
                    })),
            )
            .attribute(
                Attribute::int("size", "Size; a smaller one needs a new file.").default(8).replaces_if(
                    |prior, planned| match (prior, planned) {
                        (Raw::Number(prior), Raw::Number(planned)) => planned.as_i64() < prior.as_i64(),
                        _ => false,
                    },
                ),
            )
            .attribute(Attribute::number("ratio", "Any number.").optional())
            .attribute(Attribute::bool("enabled", "Whether it counts.").default(false))
            .attribute(Attribute::string("zone", "Chosen by the provider if unset.").optional().computed())
            .attribute(Attribute::string("content", "Of any length.").optional())
            .attribute(Attribute::list("names", Type::String, "Names.").optional())
            .attribute(Attribute::set("groups", Type::String, "Groups.").optional())
            .attribute(Attribute::map("labels", Type::String, "Labels.").optional())
            .attribute(
                Attribute::object(
                    "shape",
                    [("width", Type::Number), ("height", Type::Number)],
                    "A plain object.",
                )
                .optional(),
            )
            .attribute(Attribute::dynamic("anything", "Of any type.").optional())
            .attribute(
                Attribute::string("secret", "Kept in the state, but not shown.").optional().sensitive(),
            )
            .attribute(Attribute::string("key", "Never kept.").optional().write_only())
            .attribute(Attribute::int("key_length", "How long the key was.").computed())
            .attribute(Attribute::string("old_name", "Has no effect.").optional().deprecated("Use `name`."))
            .attribute(
                Attribute::nested(
                    "window",
                    "When.",
                    [
                        Attribute::string("start", "Start.").default("03:00"),
                        Attribute::int("hours", "How long.").required(),
                    ],
                )
                .optional(),
            )
            .attribute(Attribute::nested_list("rules", "Rules, in order.", rule()).optional())
            .attribute(Attribute::nested_set("peers", "Rules, without order.", rule()).optional())
            .attribute(Attribute::nested_map("routes", "Rules, by key.", rule()).optional())
            .block(
                Block::list("disk", "Disks.")
                    .attribute(Attribute::int("size", "Size.").required())
                    .attribute(Attribute::string("kind", "Kind.").default("ssd"))
                    .max(3),
            )
            .block(
                Block::set("tag", "Tags.")
                    .attribute(Attribute::string("key", "Key.").required())
                    .attribute(Attribute::string("value", "Value.").optional()),
            )
            .block(
                Block::single("hook", "Hook.")
                    .attribute(Attribute::string("url", "Where.").required())
                    .attribute(Attribute::string("key", "Never kept.").optional().write_only()),
            )
            .attribute(Attribute::string("fault", "How to misbehave.").optional())
            .timeouts(TimeoutDefaults::default())
    }

    fn validate(config: &Model) -> Vec<Diagnostic> {
        match (config.enabled.get(), config.window.is_null()) {
            (Some(true), true) => {
                vec![Diagnostic::error("Missing window", "An enabled file needs a `window`.").at("window")]
            }
            _ => Vec::new(),
        }
    }

    async fn plan(
        &self,
        _ctx: &Context,
        prior: Option<&Model>,
        _config: &Model,
        planned: &mut Model,
    ) -> Result<(), Diagnostic> {
        if let (Some(prior), false) = (prior, planned.revision.is_known()) {
            // The next revision can be told beforehand.
            planned.revision = prior.revision.map(|revision| revision + 1);
        }
        assert_ne!(planned.fault.as_str(), Some("panic-plan"), "boom in plan");
        Ok(())
    }

    async fn create(&self, ctx: &Context, plan: Model, state: &mut Saved<Model>) -> Result<(), Diagnostic> {
        let fault = plan.fault.as_str().unwrap_or_default().to_owned();
        let name = plan.name.as_str().unwrap_or_default().to_owned();
        tracing::info!(?plan, "creating");
        if let Value::Known(secret) = &plan.secret {
            tracing::info!(secret = secret.expose(), "careless");
        }
        if fault == "create" {
            return Err(Diagnostic::error("Could not create the file", "As was asked for.").at("fault"));
        }
        self.write(&name, 1, &plan)?;
        state.save(done(&plan, 1));
        ctx.set_private("created", json!({"by": "fixture"}));
        match fault.as_str() {
            "create-after-save" => Err(Diagnostic::error("Could not finish the file", "As was asked for.")),
            "panic" => panic!("boom in {name}"),
            "slow-create" => {
                tracing::info!("saved, now waiting");
                let never = std::future::pending::<()>();
                ctx.wait(&format!("waiting for file {name:?}"), never).await
            }
            "unknown" => {
                state.save(Model { zone: Value::Unknown, ..done(&plan, 1) });
                Ok(())
            }
            "warn" => {
                ctx.report(Diagnostic::warning("File is odd", "But it is there.").at("name"));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn read(&self, ctx: &Context, state: Model) -> Result<Option<Model>, Diagnostic> {
        let name = state.id.as_str().unwrap_or_default();
        let Some(content) = self.store.read(name)? else { return Ok(None) };
        tracing::debug!(created = ?ctx.private("created"), "read");
        Ok(Some(Model {
            name: name.into(),
            size: content["size"].as_i64().into(),
            revision: content["revision"].as_i64().into(),
            enabled: content["enabled"].as_bool().into(),
            zone: content["zone"].as_str().map(str::to_owned).into(),
            key_length: content["key_length"].as_i64().into(),
            ..state
        }))
    }

    async fn update(
        &self,
        ctx: &Context,
        prior: Model,
        plan: Model,
        state: &mut Saved<Model>,
    ) -> Result<(), Diagnostic> {
        if plan.fault.as_str() == Some("update") {
            return Err(Diagnostic::error("Could not update the file", "As was asked for.").at("fault"));
        }
        if ctx.private("created").is_none() {
            return Err(Diagnostic::bug("Private state was lost."));
        }
        let revision = prior.revision.unwrap_or(0) + 1;
        self.write(plan.name.as_str().unwrap_or_default(), revision, &plan)?;
        state.save(done(&plan, revision));
        Ok(())
    }

    async fn delete(&self, _ctx: &Context, state: Model) -> Result<(), Diagnostic> {
        let name = state.name.as_str().unwrap_or_default();
        if self.store.root.as_ref().is_some_and(|root| root.join("refuse-delete").exists()) {
            return Err(Diagnostic::error(format!("Could not delete {name:?}"), "As was asked for."));
        }
        self.store.remove(name)
    }

    async fn import(&self, ctx: &Context, id: &str) -> Result<Model, Diagnostic> {
        ctx.set_private("created", json!({"by": "import"}));
        Ok(Model { id: id.into(), ..Model::default() })
    }
}

impl File {
    fn write(&self, name: &str, revision: i64, plan: &Model) -> Result<(), Diagnostic> {
        self.store.write(
            name,
            &json!({
                "size": plan.size.get(),
                "revision": revision,
                "enabled": plan.enabled.get(),
                "zone": plan.zone.as_str().unwrap_or("a"),
                "content_length": plan.content.as_str().map(str::len),
                "key_length": key_length(plan),
            }),
        )
    }
}

fn key_length(plan: &Model) -> Option<i64> {
    let hook = plan.hook.get().and_then(|hook| hook.key.get());
    plan.key.get().or(hook).and_then(|key| key.expose().len().try_into().ok())
}

/// What `plan` becomes once it is written.
fn done(plan: &Model, revision: i64) -> Model {
    let assigned = |rule: Rule| {
        let id = rule.port.as_ref().map(|port| format!("rule-{port}"));
        Rule { id, ..rule }
    };
    let all = |rules: Value<Vec<Rule>>| rules.map(|rules| rules.into_iter().map(assigned).collect());
    let plan = plan.clone();
    Model {
        id: plan.name.clone(),
        revision: revision.into(),
        key_length: key_length(&plan).into(),
        zone: plan.zone.known().unwrap_or_else(|| "a".to_owned()).into(),
        rules: all(plan.rules),
        peers: all(plan.peers),
        routes: plan
            .routes
            .map(|routes| routes.into_iter().map(|(key, rule)| (key, assigned(rule))).collect()),
        ..plan
    }
}

/// A resource with a newer schema than its states.
#[derive(Debug)]
struct Record;

model! {
    /// State of one record.
    struct RecordModel {
        name: Value<String>,
        size: Value<i64>,
    }
}

impl Resource for Record {
    const NAME: &'static str = "record";
    type Model = RecordModel;

    fn schema() -> Schema {
        Schema::new("A record.")
            .version(1)
            .attribute(Attribute::string("name", "Name.").required())
            .attribute(Attribute::int("size", "Size.").optional())
    }

    async fn create(
        &self,
        _ctx: &Context,
        plan: RecordModel,
        state: &mut Saved<RecordModel>,
    ) -> Result<(), Diagnostic> {
        state.save(plan);
        Ok(())
    }

    async fn read(&self, _ctx: &Context, state: RecordModel) -> Result<Option<RecordModel>, Diagnostic> {
        Ok(Some(state))
    }

    async fn delete(&self, _ctx: &Context, _state: RecordModel) -> Result<(), Diagnostic> {
        Ok(())
    }

    fn upgrade(_from: i64, mut state: Json) -> Result<Json, Diagnostic> {
        // Version 0 called the name a title, and had a note.
        state["name"] = state["title"].take();
        Ok(state)
    }
}

/// The same resource with its first schema.
#[derive(Debug)]
struct OldRecord;

model! {
    /// State of one record, version 0.
    struct OldRecordModel {
        title: Value<String>,
        note: Value<String>,
        size: Value<i64>,
    }
}

impl Resource for OldRecord {
    const NAME: &'static str = "record";
    type Model = OldRecordModel;

    fn schema() -> Schema {
        Schema::new("A record.")
            .attribute(Attribute::string("title", "Name.").required())
            .attribute(Attribute::string("note", "Note.").optional())
            .attribute(Attribute::int("size", "Size.").optional())
    }

    async fn create(
        &self,
        _ctx: &Context,
        plan: OldRecordModel,
        state: &mut Saved<OldRecordModel>,
    ) -> Result<(), Diagnostic> {
        state.save(plan);
        Ok(())
    }

    async fn read(
        &self,
        _ctx: &Context,
        state: OldRecordModel,
    ) -> Result<Option<OldRecordModel>, Diagnostic> {
        Ok(Some(state))
    }

    async fn delete(&self, _ctx: &Context, _state: OldRecordModel) -> Result<(), Diagnostic> {
        Ok(())
    }
}

/// Reads the size of a file.
#[derive(Debug)]
struct Size {
    store: Arc<Store>,
}

model! {
    /// Result of one look at a file.
    struct SizeModel {
        name: Value<String>,
        size: Value<i64>,
    }
}

impl DataSource for Size {
    const NAME: &'static str = "size";
    type Model = SizeModel;

    fn schema() -> Schema {
        Schema::new("The size of a file.")
            .attribute(Attribute::string("name", "Name of the file.").required())
            .attribute(Attribute::int("size", "Its size.").computed())
    }

    async fn read(&self, ctx: &Context, config: SizeModel) -> Result<SizeModel, Diagnostic> {
        let name = config.name.as_str().unwrap_or_default();
        let read = async { self.store.read(name) };
        let content = tokio::time::timeout(Duration::from_secs(5), ctx.wait("reading", read)).await;
        let content = content.map_err(|error| Diagnostic::caused_by("Could not read", &error))???;
        let content = content
            .ok_or_else(|| Diagnostic::error(format!("No file {name:?}"), "Create it first.").at("name"))?;
        Ok(SizeModel { size: content["size"].as_i64().into(), ..config })
    }
}
