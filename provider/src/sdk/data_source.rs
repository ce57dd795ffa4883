//! [`DataSource`]: what Terraform only reads.

use super::{Context, Diagnostic, Model, Schema};

/// One kind of thing that Terraform looks up.
pub trait DataSource: Send + Sync + 'static {
    /// The name without the provider's prefix, such as `scanner_image`.
    const NAME: &'static str;

    /// What its configuration and result look like.
    type Model: Model;

    /// Its attributes and blocks. Defaults and write-only attributes are for resources.
    fn schema() -> Schema;

    /// Checks a configuration beyond single attributes. Values may be unknown.
    fn validate(_config: &Self::Model) -> Vec<Diagnostic> {
        Vec::new()
    }

    /// Looks it up. Everything in `config` is known; the result is `config` with its computed attributes filled in.
    fn read(
        &self,
        ctx: &Context,
        config: Self::Model,
    ) -> impl Future<Output = Result<Self::Model, Diagnostic>> + Send;
}
