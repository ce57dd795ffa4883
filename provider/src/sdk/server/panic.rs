//! Panics in a provider's code, turned into diagnostics.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::task::Poll;

use crate::sdk::Diagnostic;

thread_local! {
    /// Where the last panic of this thread was.
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Replaces the panic hook: a panic is written to the log, without a backtrace, and its place is kept for the
/// diagnostic.
pub(crate) fn remember_panics() {
    panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        let location = info.location().map(ToString::to_string);
        let location = location.unwrap_or_else(|| "an unknown place".to_owned());
        tracing::error!(message = %message(info.payload()), %location, "panic");
        LOCATION.set(Some(location));
    }));
}

/// Runs `work` to its end; a panic in it is the error. What `work` has borrowed is looked at afterwards only for what
/// was saved in it before.
pub(crate) async fn catch<T>(work: impl Future<Output = T>) -> Result<T, Diagnostic> {
    let mut work = Box::pin(work);
    std::future::poll_fn(move |context| {
        match panic::catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Err(payload) => {
                let location = LOCATION.take().unwrap_or_else(|| "an unknown place".to_owned());
                let message = message(payload.as_ref());
                Poll::Ready(Err(Diagnostic::bug(format_args!(
                    "The provider panicked at {location}: {message}"
                ))))
            }
        }
    })
    .await
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_and_what_was_done_before_remains() {
        let mut saved = None;
        let result = catch(async {
            tokio::task::yield_now().await;
            saved = Some(1);
            panic!("boom {}", 2)
        })
        .await;
        let diagnostic: Diagnostic = Result::<(), _>::unwrap_err(result);
        assert_eq!(diagnostic.summary, "Provider bug");
        assert!(diagnostic.detail.contains("boom 2"), "{diagnostic}");
        assert_eq!(saved, Some(1));
        assert_eq!(catch(async { 3 }).await, Ok(3));
    }
}
