//! [`Action`]: what Terraform does once, when a user asks for it, and keeps no state of.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::{Context, Diagnostic, Model, Schema};

/// One kind of thing to do. For Terraform 1.14 and later; older versions do not see it.
pub trait Action: Send + Sync + 'static {
    /// The name without the provider's prefix, such as `scanner_rotate`.
    const NAME: &'static str;

    /// What its configuration looks like.
    type Model: Model;

    /// Its attributes and blocks; none is computed.
    fn schema() -> Schema;

    /// Checks a configuration beyond single attributes. Values may be unknown.
    fn validate(_config: &Self::Model) -> Vec<Diagnostic> {
        Vec::new()
    }

    /// How long it may take.
    fn time_limit(_config: &Self::Model) -> Duration {
        Duration::from_mins(20)
    }

    /// Does it. Everything in `config` is known.
    fn invoke(
        &self,
        ctx: &Context,
        config: Self::Model,
        progress: &Progress,
    ) -> impl Future<Output = Result<(), Diagnostic>> + Send;
}

/// What an action says while it works.
#[derive(Clone, Debug)]
pub struct Progress {
    lines: UnboundedSender<String>,
}

impl Progress {
    /// Sends what is said to `lines`.
    pub fn new(lines: UnboundedSender<String>) -> Self {
        Self { lines }
    }

    /// Shows a line to the user. Nobody may be listening any more; the work goes on.
    pub fn say(&self, line: impl Into<String>) {
        _ = self.lines.send(line.into());
    }
}
