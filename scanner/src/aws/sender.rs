//! The one way out: a request leaves when its rate class allows, under the name that the policy's table has for it, and
//! again when its failure may pass.
//!
//! The SDK could repeat requests as well, but past the rate: its retries are switched off.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use scanner_policy::Call;
use tokio::time::Instant;

use super::AwsError;
use super::error::{is_throttle, unsent};
use super::gate::{CALL, Gate, GateInterceptor};
use super::rate::{Pace, RateLimiter, Rates};

/// Requests that fail for a passing reason are sent this often in all.
const MAX_ATTEMPTS: u32 = 5;
/// What the first wait is drawn from. It doubles with each attempt.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// What the longest wait is drawn from.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Sends the requests of one connection.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    gate: Arc<Gate>,
    rates: Arc<RateLimiter>,
}

/// What a failure says about another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// It was one request too many. It may succeed later.
    Throttled,
    /// It may succeed later.
    Passing,
    /// It will not succeed.
    Final,
}

impl Sender {
    pub(super) fn new(rates: &Rates) -> Self {
        Self { gate: Arc::default(), rates: Arc::new(RateLimiter::new(rates)) }
    }

    /// For the clients whose requests go through here: those of others are refused.
    pub(super) fn interceptor(&self) -> GateInterceptor {
        GateInterceptor(Arc::clone(&self.gate))
    }

    /// HTTP requests sent so far, by action.
    pub(super) fn calls(&self) -> BTreeMap<String, u64> {
        self.gate.counts()
    }

    /// How fast each class is at the moment.
    pub(super) fn paces(&self) -> Vec<Pace> {
        self.rates.paces()
    }

    /// Sends a request, again if it fails for a passing reason, and turns a failure into what the user can do about it.
    pub(super) async fn send<T, E, F>(&self, call: Call, request: impl FnMut() -> F) -> Result<T, AwsError>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        self.send_raw(call, request).await.map_err(|error| AwsError::from_sdk(call, error))
    }

    /// As [`send`](Self::send), for callers that look into the service's own error.
    pub(super) async fn send_raw<T, E, F>(
        &self,
        call: Call,
        mut request: impl FnMut() -> F,
    ) -> Result<T, SdkError<E, HttpResponse>>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let mut attempt = 1;
        loop {
            let error = match self.attempt(call, request()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if attempt >= MAX_ATTEMPTS || failure(&error) == Failure::Final {
                return Err(error);
            }
            tokio::time::sleep(back_off(attempt)).await;
            attempt = attempt.saturating_add(1);
        }
    }

    /// As [`send`](Self::send), for a request that must not be carried out twice: one attempt and no more.
    pub(super) async fn send_once<T, E, F>(&self, call: Call, request: F) -> Result<T, AwsError>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        self.attempt(call, request).await.map_err(|error| AwsError::from_sdk(call, error))
    }

    /// `request` is the SDK's future; it does nothing before this function polls it.
    async fn attempt<T, E, F>(&self, call: Call, request: F) -> Result<T, SdkError<E, HttpResponse>>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        self.rates.wait(call.rate_class()).await;
        let start = Instant::now();
        let result = CALL.scope(call, request).await;
        let milliseconds = start.elapsed().as_millis();
        match &result {
            Ok(_) => tracing::debug!(call = call.name(), milliseconds, "answered"),
            Err(error) => tracing::debug!(call = call.name(), milliseconds, code = error.code(), "failed"),
        }
        if result.as_ref().is_err_and(|error| failure(error) == Failure::Throttled) {
            self.rates.slow_down(call.rate_class());
        }
        result
    }
}

/// Full jitter ("Exponential Backoff And Jitter", AWS Architecture Blog): those that failed together do not come back
/// together.
fn back_off(attempt: u32) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(LONGEST_WAIT).mul_f64(fastrand::f64())
}

fn failure<E>(error: &SdkError<E, HttpResponse>) -> Failure
where
    E: StdError + ProvideErrorMetadata + 'static,
{
    // Nothing was sent: who gets the credentials repeats that by itself.
    if unsent(error).is_some() {
        return Failure::Final;
    }
    match error {
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            match answer.err().code().unwrap_or_default() {
                code if is_throttle(code, status) => Failure::Throttled,
                "RequestTimeout" | "RequestTimeoutException" | "PriorRequestNotComplete" => Failure::Passing,
                _ if status >= 500 => Failure::Passing,
                _ => Failure::Final,
            }
        }
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => Failure::Passing,
        SdkError::DispatchFailure(failure) if failure.is_timeout() || failure.is_io() => Failure::Passing,
        _ => Failure::Final,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_are_never_the_longest_twice() {
        for (attempt, most) in [(1, 1), (2, 2), (5, 16), (6, 20), (99, 20)] {
            let waits: Vec<_> = (0..50).map(|_| back_off(attempt)).collect();
            assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(most)), "{waits:?}");
            assert!(waits.iter().any(|wait| *wait > Duration::from_secs(most) / 2), "{waits:?}");
            assert!(waits.iter().any(|wait| *wait < Duration::from_secs(most) / 2), "{waits:?}");
        }
    }
}
