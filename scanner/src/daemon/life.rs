//! The life of the instance that the service runs on: it is admitted into its Auto Scaling group, and lets it go.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::aws::{AwsError, Hook, Lifecycle, Outcome, TargetState};

/// What the instance's group wants it to become, as a trait that tests can stand in for.
pub trait Fate: Send + Sync {
    /// What it wants now; nothing where the instance is in no group.
    fn target_state(&self) -> impl Future<Output = Result<Option<TargetState>, String>> + Send;
}

impl Fate for crate::aws::Metadata {
    async fn target_state(&self) -> Result<Option<TargetState>, String> {
        Self::target_state(self).await.map_err(|error| crate::chain(&error))
    }
}

/// How often the instance's fate is looked up. Auto Scaling waits for the hook, so that seconds do not matter.
const POLL: Duration = Duration::from_secs(10);
/// How often the hook is told that the instance still works. Hooks wait for 30 seconds at least; those of the provider for many
/// minutes.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// How often a hook is told how its action ended, if that fails.
const ATTEMPTS: u32 = 6;
/// The first pause between these.
const PAUSE: Duration = Duration::from_secs(2);

/// Returns when the instance is to be terminated. An answer that does not come is no reason to go.
pub async fn condemned(fate: &impl Fate) {
    let mut is_blind = false;
    loop {
        match fate.target_state().await {
            Ok(Some(TargetState::Terminated)) => return,
            Ok(_) => is_blind = false,
            Err(error) if !is_blind => {
                tracing::warn!(error, "whether this instance is to be replaced is not known");
                is_blind = true;
            }
            Err(_) => {}
        }
        sleep(POLL).await;
    }
}

/// Tells a hook how its action ended, again and again for about a minute.
pub async fn complete(lifecycle: &impl Lifecycle, hook: &Hook, outcome: Outcome) -> Result<bool, AwsError> {
    let mut pause = PAUSE;
    for _ in 1..ATTEMPTS {
        match lifecycle.complete(hook, outcome).await {
            Ok(waited) => {
                tracing::info!(%hook, outcome = outcome.name(), waited, "the lifecycle hook is answered");
                return Ok(waited);
            }
            Err(error) if error.is_passing() => {
                tracing::warn!(%hook, error = crate::chain(&error), "the lifecycle hook is not answered yet");
            }
            Err(error) => return Err(error),
        }
        sleep(pause).await;
        pause *= 2;
    }
    lifecycle.complete(hook, outcome).await
}

/// Asks the hook for more time until it is told to end. Never returns by itself.
pub async fn keep_waiting(lifecycle: &impl Lifecycle, hook: &Hook, end: &CancellationToken) {
    let start = Instant::now();
    while end.run_until_cancelled(sleep(HEARTBEAT)).await.is_some() {
        match lifecycle.heartbeat(hook).await {
            Ok(true) => tracing::debug!(%hook, seconds = start.elapsed().as_secs(), "asked for more time"),
            Ok(false) => tracing::debug!(%hook, "nobody waits for this instance"),
            Err(error) => tracing::warn!(%hook, error = crate::chain(&error), "could not ask for more time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Debug, Default)]
    struct Group {
        failures: Mutex<u32>,
        told: Mutex<Vec<String>>,
    }

    impl Lifecycle for Arc<Group> {
        async fn complete(&self, hook: &Hook, outcome: Outcome) -> Result<bool, AwsError> {
            let mut failures = self.failures.lock().unwrap();
            if *failures > 0 {
                *failures -= 1;
                let call = "autoscaling:CompleteLifecycleAction";
                return Err(AwsError::Failed { call, detail: "500".to_owned() });
            }
            self.told.lock().unwrap().push(format!("{hook} {}", outcome.name()));
            Ok(true)
        }

        async fn heartbeat(&self, hook: &Hook) -> Result<bool, AwsError> {
            self.told.lock().unwrap().push(format!("{hook} heartbeat"));
            Ok(true)
        }
    }

    struct States(Mutex<VecDeque<Result<Option<TargetState>, String>>>);

    impl Fate for States {
        async fn target_state(&self) -> Result<Option<TargetState>, String> {
            self.0.lock().unwrap().pop_front().unwrap_or(Ok(Some(TargetState::Terminated)))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_end_ends_it() {
        let states = [
            Ok(None),
            Ok(Some(TargetState::InService)),
            Err("no answer".to_owned()),
            Ok(Some(TargetState::InService)),
        ];
        let start = Instant::now();
        condemned(&States(Mutex::new(states.into()))).await;
        assert_eq!(start.elapsed(), POLL * 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hook_is_answered_although_aws_fails() {
        let group = Arc::new(Group { failures: Mutex::new(3), ..Group::default() });
        let hook = Hook("launch".to_owned());
        assert!(complete(&group, &hook, Outcome::Continue).await.unwrap());
        assert_eq!(*group.told.lock().unwrap(), ["launch CONTINUE"]);
    }

    #[tokio::test(start_paused = true)]
    async fn heartbeats_go_on_until_the_end() {
        let group = Arc::new(Group::default());
        let (end, hook) = (CancellationToken::new(), Hook("end".to_owned()));
        tokio::join!(keep_waiting(&group, &hook, &end), async {
            sleep(Duration::from_secs(50)).await;
            end.cancel();
        });
        assert_eq!(*group.told.lock().unwrap(), ["end heartbeat", "end heartbeat"]);
    }
}
