//! A runtime whose time runs forty times as fast, so that pauses, time limits and deadlines keep their proportions
//! and none is waited for in full.

use std::future::pending;
use std::thread::park_timeout;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::mpsc;

/// How long a tick is. Pauses come out longer by less than one; shorter ticks keep nine such runtimes busy with nothing else.
const TICK: Duration = Duration::from_millis(5);

/// How many times as fast as the world's this time is. An attempt may then take 1.5 s, which calls of the local AWS stay
/// far below, also on a busy machine.
const SPEED: u32 = 40;

/// Does `work` in such a runtime.
pub(crate) fn run<F: Future>(work: F) -> F::Output {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let (ticker, mut ticks) = mpsc::channel(1);
        // While a blocking task runs, tokio does not move a paused clock by itself: it would jump to the next time limit
        // whenever an answer is waited for.
        tokio::task::spawn_blocking(move || {
            while ticker.blocking_send(()).is_ok() {
                park_timeout(TICK);
            }
        });
        tokio::select! {
            done = work => done,
            () = async {
                while ticks.recv().await.is_some() {
                    tokio::time::advance(TICK * SPEED).await;
                }
                pending::<()>().await;
            } => unreachable!("the clock does not end"),
        }
    })
}
