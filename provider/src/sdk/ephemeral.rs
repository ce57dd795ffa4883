//! [`EphemeralResource`]: values that exist only while Terraform runs, in no plan and no state.

use std::time::SystemTime;

use super::{Context, Diagnostic, Model, Schema};

/// One kind of thing that Terraform opens for as long as something needs it, such as a session.
///
/// What is remembered with [`Context::set_private`] in [`open`](Self::open) and [`renew`](Self::renew) is there in the
/// calls that follow; Terraform keeps it in memory only.
pub trait EphemeralResource: Send + Sync + 'static {
    /// The name without the provider's prefix, such as `scanner_session`.
    const NAME: &'static str;

    /// What its configuration and result look like.
    type Model: Model;

    /// Its attributes and blocks. Defaults and write-only attributes are for resources.
    fn schema() -> Schema;

    /// Checks a configuration beyond single attributes. Values may be unknown.
    fn validate(_config: &Self::Model) -> Vec<Diagnostic> {
        Vec::new()
    }

    /// Opens it. Everything in `config` is known; the result is `config` with its computed attributes filled in.
    fn open(
        &self,
        ctx: &Context,
        config: Self::Model,
    ) -> impl Future<Output = Result<Opened<Self::Model>, Diagnostic>> + Send;

    /// Makes what is open last longer; its values stay as they are. Returns when to do so again.
    fn renew(&self, _ctx: &Context) -> impl Future<Output = Result<Option<SystemTime>, Diagnostic>> + Send {
        async { Err(Diagnostic::bug(format_args!("{} is not renewed, but asked to be.", Self::NAME))) }
    }

    /// Ends what is open. The default is for what ends by itself.
    fn close(&self, _ctx: &Context) -> impl Future<Output = Result<(), Diagnostic>> + Send {
        async { Ok(()) }
    }
}

/// What was opened.
#[derive(Clone, Debug)]
pub struct Opened<M> {
    /// The configuration with its computed attributes.
    pub result: M,
    /// When [`EphemeralResource::renew`] must be called, if ever.
    pub renew_at: Option<SystemTime>,
}
