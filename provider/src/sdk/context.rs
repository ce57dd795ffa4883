//! What a resource can ask and tell while it works: stop signal, deadline, private state, warnings.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value as Json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Diagnostic, Path};

/// The surroundings of one operation of a resource or data source.
#[derive(Debug)]
pub struct Context {
    stop: CancellationToken,
    timeout: Duration,
    deadline: Instant,
    told: Mutex<Told>,
}

/// What the operation has left behind for Terraform besides its result.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) private: Private,
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) replace: Vec<Path>,
}

/// Private state: what a resource remembers without showing it, by key.
pub(crate) type Private = BTreeMap<String, Json>;

impl Context {
    /// A context outside of any request, for tests: never stopped, with `timeout` from now and no private state.
    pub fn detached(timeout: Duration) -> Self {
        Self::new(CancellationToken::new(), timeout, Private::new())
    }

    pub(crate) fn new(stop: CancellationToken, timeout: Duration, private: Private) -> Self {
        let told = Mutex::new(Told { private, ..Told::default() });
        Self { stop, timeout, deadline: Instant::now() + timeout, told }
    }

    /// The token that is cancelled when the user interrupts Terraform. A resource should then come to an end soon and
    /// save what exists.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Whether the user has interrupted Terraform.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// When the operation should be over, by its `timeouts` attribute or the default.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// How long is left until the deadline.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Waits for `work`, but no longer than until the deadline or the user's interruption. `what` completes the
    /// sentences "Timed out …" and "Interrupted …", such as `waiting for the role "scanner"`.
    ///
    /// The work is dropped when it is not waited for any longer, so only that may be passed whose loss does no harm:
    /// waiting, polling, reading; not the creation of something.
    pub async fn wait<T>(&self, what: &str, work: impl Future<Output = T>) -> Result<T, Diagnostic> {
        tokio::select! {
            // What is ready counts, even if the user has interrupted at the same moment.
            biased;
            result = work => Ok(result),
            () = self.stop.cancelled() => Err(Diagnostic::error(
                format!("Interrupted {what}"),
                "Terraform was asked to stop. What exists already is in the state; apply again to go on, or destroy \
                 to remove it.",
            )),
            () = tokio::time::sleep_until(self.deadline) => Err(Diagnostic::error(
                format!("Timed out {what}"),
                format!(
                    "It took longer than {}. If that is to be expected, give it more time with the `timeouts` \
                     attribute.",
                    super::timeouts::format_duration(self.timeout),
                ),
            )),
        }
    }

    /// Tells the user something in addition to the result: usually a warning. An error makes the operation fail, but
    /// what was saved stays.
    pub fn report(&self, diagnostic: Diagnostic) {
        self.told().diagnostics.push(diagnostic);
    }

    /// In [`Resource::plan`](super::Resource::plan): the change at `path` makes a new resource.
    pub fn require_replacement(&self, path: impl Into<Path>) {
        self.told().replace.push(path.into());
    }

    /// What was remembered under `key` when this resource was last created, read or updated.
    pub fn private(&self, key: &str) -> Option<Json> {
        self.told().private.get(key).cloned()
    }

    /// Remembers `value` under `key` in the resource's private state, which users do not see. `Json::Null` forgets it.
    /// It is stored in clear text in the state file: no place for secrets.
    pub fn set_private(&self, key: &str, value: impl Into<Json>) {
        let value = value.into();
        let mut told = self.told();
        if value.is_null() {
            told.private.remove(key);
        } else {
            told.private.insert(key.to_owned(), value);
        }
    }

    /// What the operation has left behind.
    pub(crate) fn into_told(self) -> Told {
        self.told.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// A panic elsewhere cannot leave the lists in a bad state, so a poisoned lock is no reason to lose them.
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_at_the_deadline() {
        let ctx = Context::detached(Duration::from_secs(90));
        let error = ctx.wait("waiting for nothing", std::future::pending::<()>()).await.unwrap_err();
        assert_eq!(error.summary, "Timed out waiting for nothing");
        assert!(error.detail.contains("1m30s"), "{}", error.detail);
        assert_eq!(ctx.remaining(), Duration::ZERO);
    }

    #[tokio::test]
    async fn waiting_ends_when_the_user_interrupts() {
        let ctx = Context::detached(Duration::from_secs(90));
        ctx.stop().cancel();
        let error = ctx.wait("waiting for nothing", std::future::pending::<()>()).await.unwrap_err();
        assert_eq!(error.summary, "Interrupted waiting for nothing");
        assert_eq!(ctx.wait("reading", async { 1 }).await, Ok(1));
    }

    #[test]
    fn private_state_is_kept_and_forgotten() {
        let ctx = Context::new(
            CancellationToken::new(),
            Duration::ZERO,
            [("a".to_owned(), Json::from(1)), ("b".to_owned(), Json::from(2))].into(),
        );
        ctx.set_private("a", Json::Null);
        ctx.set_private("c", "new");
        assert_eq!(ctx.private("b"), Some(Json::from(2)));
        let told = ctx.into_told();
        assert_eq!(told.private.keys().collect::<Vec<_>>(), ["b", "c"]);
    }
}
