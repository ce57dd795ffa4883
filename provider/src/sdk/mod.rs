//! A thin layer over Terraform's plugin protocol, version 6.
//!
//! It speaks the protocol so that resources need not: a resource declares its [`Schema`] and its model, and is told to
//! create, read, update and delete. Planning follows from the schema (defaults, computed values, replacement), and
//! what Terraform demands of a provider holds for every resource. Nothing here knows what the provider is about.
//!
//! | what | where |
//! |---|---|
//! | what a provider implements, and its `main` | [`Resource`], [`DataSource`], [`EphemeralResource`], [`Action`], [`Provider`], [`serve`](serve()) |
//! | what a user may write | [`Schema`], [`Attribute`], [`Block`], [`validator`] |
//! | what names a thing for good, and where it is moved from | [`Identity`], [`MoveSource`] |
//! | what a resource works with | [`model!`](crate::model), [`Value`], [`Context`], [`Saved`], [`Diagnostic`] |
//! | values on the wire | [`Raw`], [`Type`], [`Number`], [`Path`] |
//!
//! # What a plan says
//!
//! 1. What is write-only is null, in the plan and in the state; create and update get it from the configuration.
//! 2. What the configuration sets is planned so, known or not.
//! 3. What it leaves null and has a default is planned as the default.
//! 4. What it leaves null and is computed stays as it was when nothing changes; when anything does it becomes unknown,
//!    unless it [keeps its state](Attribute::keeps_state).
//! 5. [`Resource::plan`] then adjusts what the user has not set.
//! 6. A changed attribute that [replaces](Attribute::replaces) makes a new resource.
//!
//! # Example
//!
//! A whole resource:
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use std::collections::BTreeMap;
//!
//! use terraform_provider::model;
//! use terraform_provider::sdk::{
//!     Attribute, Catalog, Context, Diagnostic, Resource, Saved, Schema, TimeoutDefaults, Timeouts, Type, Value,
//!     validator,
//! };
//!
//! /// Manages one bucket.
//! #[derive(Debug)]
//! struct Bucket {
//!     cloud: Arc<Cloud>,
//! }
//!
//! model! {
//!     /// State of one bucket.
//!     pub struct Model {
//!         pub arn: Value<String>,
//!         pub name: Value<String>,
//!         pub size: Value<i64>,
//!         pub tags: Value<BTreeMap<String, String>>,
//!         pub timeouts: Value<Timeouts>,
//!     }
//! }
//!
//! impl Resource for Bucket {
//!     const NAME: &'static str = "bucket";
//!     type Model = Model;
//!
//!     fn schema() -> Schema {
//!         Schema::new("A bucket.")
//!             .attribute(Attribute::string("arn", "ARN of the bucket.").computed().keeps_state())
//!             .attribute(
//!                 Attribute::string("name", "Name of the bucket.")
//!                     .required()
//!                     .replaces()
//!                     .validate(validator::length(3..=63)),
//!             )
//!             .attribute(Attribute::int("size", "Size in GiB.").default(8).validate(validator::range(1..=100)))
//!             .attribute(Attribute::map("tags", Type::String, "Tags.").optional())
//!             .timeouts(TimeoutDefaults::default())
//!     }
//!
//!     async fn create(&self, _ctx: &Context, plan: Model, state: &mut Saved<Model>) -> Result<(), Diagnostic> {
//!         let name = plan.name.as_str().unwrap_or_default().to_owned();
//!         self.cloud.put(&name, plan.size.unwrap_or(8)).map_err(|error| {
//!             Diagnostic::caused_by(format!("Could not create bucket {name:?}"), &error).at("name")
//!         })?;
//!         state.save(Model { arn: format!("arn:bucket:{name}").into(), ..plan });
//!         Ok(())
//!     }
//!
//!     async fn read(&self, _ctx: &Context, state: Model) -> Result<Option<Model>, Diagnostic> {
//!         let name = state.name.as_str().unwrap_or_default();
//!         Ok(self.cloud.get(name).map(|size| Model { size: size.into(), ..state }))
//!     }
//!
//!     async fn update(
//!         &self,
//!         ctx: &Context,
//!         _prior: Model,
//!         plan: Model,
//!         state: &mut Saved<Model>,
//!     ) -> Result<(), Diagnostic> {
//!         self.create(ctx, plan, state).await
//!     }
//!
//!     async fn delete(&self, _ctx: &Context, state: Model) -> Result<(), Diagnostic> {
//!         self.cloud.remove(state.name.as_str().unwrap_or_default());
//!         Ok(())
//!     }
//!
//!     async fn import(&self, _ctx: &Context, id: &str) -> Result<Model, Diagnostic> {
//!         Ok(Model { name: id.into(), ..Model::default() })
//!     }
//! }
//!
//! // In the provider, whose `configure` returns an `Arc<Cloud>`:
//! fn catalog() -> Catalog<Arc<Cloud>> {
//!     Catalog::new().resource(|cloud: &Arc<Cloud>| Bucket { cloud: Arc::clone(cloud) })
//! }
//! # #[derive(Debug, Default)]
//! # struct Cloud(Mutex<BTreeMap<String, i64>>);
//! # impl Cloud {
//! #     fn put(&self, name: &str, size: i64) -> Result<(), std::fmt::Error> {
//! #         self.0.lock().unwrap().insert(name.to_owned(), size);
//! #         Ok(())
//! #     }
//! #     fn get(&self, name: &str) -> Option<i64> { self.0.lock().unwrap().get(name).copied() }
//! #     fn remove(&self, name: &str) { self.0.lock().unwrap().remove(name); }
//! # }
//! # assert_eq!(catalog().resources().count(), 1);
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! // In its test:
//! let bucket = Bucket { cloud: Arc::default() };
//! let ctx = Context::detached(std::time::Duration::from_secs(1));
//! let mut state = Saved::new();
//! let plan = Model { name: "logs".into(), size: 9.into(), ..Model::default() };
//! bucket.create(&ctx, plan, &mut state).await.unwrap();
//! assert_eq!(state.get().unwrap().arn.as_str(), Some("arn:bucket:logs"));
//! # });
//! ```

mod action;
mod context;
mod cty;
mod data_source;
mod diagnostic;
mod ephemeral;
mod erased;
mod export;
mod identity;
mod model;
mod moved;
pub(crate) mod plan;
mod proto;
mod provider;
mod resource;
mod schema;
mod serve;
mod server;
pub mod stage;
mod stored;
mod timeouts;
mod validate;
pub mod validator;
mod value;

pub use action::{Action, Progress};
pub use context::Context;
pub use cty::{Number, NumberError, Path, Raw, Step, Type, TypeError};
pub use data_source::DataSource;
pub use diagnostic::{Diagnostic, Severity};
pub use ephemeral::{EphemeralResource, Opened};
pub use export::provider_schemas;
pub use identity::{Identity, IdentityAttribute, IdentitySchema};
pub use model::{Convert, ConvertError, Model, Secret};
#[doc(hidden)]
pub use model::{Field, expect_object, field_from_raw, field_name, object_fits};
pub use moved::MoveSource;
pub use provider::{Catalog, Provider, mistakes};
pub use resource::{Resource, Saved};
pub use schema::{Attribute, Block, Body, Comparison, Nesting, Presence, ReplaceRule, Role, Schema, Shape};
pub use serve::serve;
pub use stored::{breaking_changes, read_state, sample_state};
pub use timeouts::{DurationError, TimeoutDefaults, Timeouts, format_duration, parse_duration};
pub use value::Value;

pub(crate) use crate::model;
