//! Waiting for AWS to agree with itself.

use std::time::Duration;

use tokio::time::Instant;

use super::AwsError;
use crate::sdk::{Context, Diagnostic};

/// How long a change in IAM may take to be seen by other services. AWS names no figure; seconds are usual, and
/// other providers wait up to two minutes.
pub const IAM_PROPAGATION: Duration = Duration::from_mins(2);

/// The pauses between attempts: each twice as long as the one before, up to a bound.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    next: Duration,
    longest: Duration,
}

impl Pace {
    /// From 250 ms up to 5 s: for changes that usually show within seconds.
    pub fn brisk() -> Self {
        Self { next: Duration::from_millis(250), longest: Duration::from_secs(5) }
    }

    /// From 1 s up to 15 s: for work that takes minutes.
    pub fn steady() -> Self {
        Self { next: Duration::from_secs(1), longest: Duration::from_secs(15) }
    }

    /// Waits for the next attempt. `what` completes "Timed out …", such as `waiting for the group to be gone`.
    ///
    /// # Errors
    /// The user interrupted Terraform, or the operation's deadline passed.
    pub async fn pause(&mut self, ctx: &Context, what: &str) -> Result<(), Diagnostic> {
        ctx.wait(what, tokio::time::sleep(self.next)).await?;
        self.next = (self.next * 2).min(self.longest);
        Ok(())
    }
}

/// Makes `attempt` again while its error says `again`, for at most `limit`. The inner result is that of the last
/// attempt; `what` as in [`Pace::pause`].
///
/// # Errors
/// The user interrupted Terraform, or the operation's deadline passed; then the last error is told as well.
pub async fn retry<T, F>(
    ctx: &Context,
    limit: Duration,
    what: &str,
    again: impl Fn(&AwsError) -> bool + Send,
    attempt: impl Fn() -> F + Send,
) -> Result<Result<T, AwsError>, Diagnostic>
where
    F: Future<Output = Result<T, AwsError>> + Send,
{
    let end = Instant::now() + limit;
    let mut pace = Pace::brisk();
    loop {
        let result = attempt().await;
        match &result {
            Err(error) if again(error) && Instant::now() < end => {
                tracing::debug!(%error, "trying again");
                pace.pause(ctx, what).await.map_err(|diagnostic| Diagnostic {
                    detail: format!("AWS said last: {error}\n\n{}", diagnostic.detail),
                    ..diagnostic
                })?;
            }
            _ => return Ok(result),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::aws::Kind;

    fn busy() -> AwsError {
        AwsError::answered("ec2:DeleteSecurityGroup", "DependencyViolation", "in use")
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_go_on_until_one_succeeds() {
        let ctx = Context::detached(Duration::from_mins(20));
        let attempts = AtomicU32::new(0);
        let result = retry(
            &ctx,
            IAM_PROPAGATION,
            "waiting",
            |e| e.kind() == Kind::InUse,
            || async { if attempts.fetch_add(1, Ordering::Relaxed) < 3 { Err(busy()) } else { Ok(()) } },
        );
        result.await.unwrap().unwrap();
        assert_eq!(attempts.into_inner(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_error_is_told_when_time_is_up() {
        let ctx = Context::detached(Duration::from_mins(20));
        let started = Instant::now();
        let result =
            retry(&ctx, Duration::from_secs(30), "waiting", |_| true, || async { Err::<(), _>(busy()) });
        assert_eq!(result.await.unwrap().unwrap_err().kind(), Kind::InUse);
        assert!(started.elapsed() < Duration::from_secs(40));
    }

    #[tokio::test(start_paused = true)]
    async fn an_interruption_ends_the_waiting() {
        let ctx = Context::detached(Duration::from_mins(20));
        ctx.stop().cancel();
        let result =
            retry(&ctx, IAM_PROPAGATION, "waiting", |_| true, || async { Err::<(), _>(busy()) }).await;
        let interrupted = result.unwrap_err();
        assert_eq!(interrupted.summary, "Interrupted waiting");
        assert!(interrupted.detail.contains("DependencyViolation: in use"), "{}", interrupted.detail);
    }

    #[tokio::test(start_paused = true)]
    async fn other_errors_are_final() {
        let ctx = Context::detached(Duration::from_mins(20));
        let denied = || async { Err::<(), _>(AwsError::answered("ec2:X", "UnauthorizedOperation", "no")) };
        let result = retry(&ctx, IAM_PROPAGATION, "waiting", |e| e.kind() == Kind::InUse, denied).await;
        assert_eq!(result.unwrap().unwrap_err().kind(), Kind::AccessDenied);
    }
}
