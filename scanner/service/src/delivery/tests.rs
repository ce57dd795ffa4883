use std::collections::VecDeque;
use std::path::Path;
use std::sync::Mutex;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};

use super::*;
use crate::sink::test_reports::{NOW, listed};
use crate::sink::{Payload, SendError};

/// A sink that does as it is told.
struct Scripted {
    name: &'static str,
    behaviour: Mutex<Behaviour>,
    attempts: Mutex<Vec<(Instant, String)>>,
    accepted: Mutex<Vec<String>>,
}

enum Behaviour {
    Accepts,
    Hangs,
    Fails(SendError),
    /// Once each, then it accepts.
    FailsFirst(VecDeque<SendError>),
    /// One key, always.
    FailsFor(&'static str, SendError),
}

impl Scripted {
    fn new(name: &'static str, behaviour: Behaviour) -> Arc<Self> {
        let (behaviour, attempts, accepted) = (Mutex::new(behaviour), Mutex::default(), Mutex::default());
        Arc::new(Self { name, behaviour, attempts, accepted })
    }

    fn accepted(&self) -> Vec<String> {
        self.accepted.lock().unwrap().clone()
    }

    /// Seconds between attempts.
    fn pauses(&self) -> Vec<u64> {
        let attempts = self.attempts.lock().unwrap();
        attempts.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_secs()).collect()
    }

    fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }
}

impl Sink for Scripted {
    fn name(&self) -> &'static str {
        self.name
    }

    fn render(&self, report: &Report, _now: OffsetDateTime) -> Vec<Payload> {
        assert_ne!(report.target.id, "i-panic", "a sink with a defect");
        vec![Payload {
            key: report.target.id.clone(),
            content_type: String::new(),
            headers: Vec::new(),
            note: String::new(),
            body: bytes::Bytes::from_static(b"body"),
        }]
    }

    fn send<'a>(&'a self, payload: &'a Payload) -> BoxFuture<'a, Result<(), SendError>> {
        self.attempts.lock().unwrap().push((Instant::now(), payload.key.clone()));
        let result = match &mut *self.behaviour.lock().unwrap() {
            Behaviour::Hangs => return std::future::pending().boxed(),
            Behaviour::Fails(error) => Err(error.clone()),
            Behaviour::FailsFirst(errors) => errors.pop_front().map_or(Ok(()), Err),
            Behaviour::FailsFor(key, error) if *key == payload.key => Err(error.clone()),
            Behaviour::Accepts | Behaviour::FailsFor(..) => Ok(()),
        };
        if result.is_ok() {
            self.accepted.lock().unwrap().push(payload.key.clone());
        }
        std::future::ready(result).boxed()
    }
}

fn erased(sink: &Arc<Scripted>) -> Arc<dyn Sink> {
    let sink: Arc<Scripted> = Arc::clone(sink);
    sink
}

fn start(directory: &Path, sinks: &[&Arc<Scripted>]) -> Delivery {
    let options =
        Options { directory: directory.to_owned(), limit: 1 << 20, seed: 1, clock: Clock::new(|| NOW) };
    Delivery::start(sinks.iter().map(|sink| erased(sink)).collect(), &options)
}

async fn submit(delivery: &Delivery, id: &str) -> Result<(), NotTaken> {
    delivery.submit(Arc::new(listed(id))).await
}

const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(start_paused = true)]
async fn a_sink_that_hangs_hurts_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let (hung, well) = (Scripted::new("hung", Behaviour::Hangs), Scripted::new("well", Behaviour::Accepts));
    let delivery = start(directory.path(), &[&hung, &well]);
    for id in ["i-1", "i-2"] {
        submit(&delivery, id).await.unwrap();
    }
    let left = delivery.flush(10 * MINUTE).await;
    assert_eq!(left, [("hung", 2)]);
    assert_eq!(well.accepted(), ["i-1", "i-2"]);
    let states = delivery.state();
    let (_, error) = states[0].last_error.clone().unwrap();
    assert!(error.contains("60 seconds"), "{error}");
    assert!(!states[0].is_well() && states[1].is_well());
    assert_eq!((states[1].sent, states[1].waiting, states[1].last_success), (2, 0, Some(NOW)));

    hung.behave(Behaviour::Accepts);
    assert!(delivery.flush(10 * MINUTE).await.is_empty());
    assert_eq!(hung.accepted(), ["i-1", "i-2"]);
}

#[tokio::test(start_paused = true)]
async fn passing_errors_are_retried_with_growing_pauses() {
    let directory = tempfile::tempdir().unwrap();
    let mut errors = VecDeque::from(vec![SendError::passing("away"); 12]);
    errors.push_back(SendError::Passing {
        reason: "busy".to_owned(),
        retry_after: Some(Duration::from_mins(10)),
    });
    let sink = Scripted::new("sink", Behaviour::FailsFirst(errors));
    let delivery = start(directory.path(), &[&sink]);
    submit(&delivery, "i-1").await.unwrap();
    assert!(delivery.flush(60 * MINUTE).await.is_empty());
    // The first pause is cut short by the flush.
    let pauses = sink.pauses();
    assert_eq!(pauses.len(), 13);
    for (pause, longest) in pauses.iter().zip([1, 2, 4, 8, 16, 32, 64, 120, 120, 120, 120, 120]) {
        assert!(*pause <= longest, "{pauses:?}");
    }
    assert!(pauses[8] >= 60 && pauses[11] >= 60 && pauses[12] >= 600, "{pauses:?}");
    assert_eq!(sink.accepted(), ["i-1"]);
}

#[tokio::test(start_paused = true)]
async fn an_unwanted_payload_is_set_aside_and_the_others_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Scripted::new("sink", Behaviour::FailsFor("i-1", SendError::refused("too large")));
    let delivery = start(directory.path(), &[&sink]);
    for id in ["i-1", "i-2"] {
        submit(&delivery, id).await.unwrap();
    }
    assert!(delivery.flush(MINUTE).await.is_empty());
    assert_eq!(sink.accepted(), ["i-2"]);
    assert_eq!(delivery.state()[0].refused, 1);
    assert_eq!(std::fs::read_dir(directory.path().join("sink/refused")).unwrap().count(), 2);
}

#[tokio::test(start_paused = true)]
async fn wrong_credentials_keep_everything_and_are_loud() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Scripted::new("sink", Behaviour::Fails(SendError::misconfigured("HTTP status 403")));
    let delivery = start(directory.path(), &[&sink]);
    submit(&delivery, "i-1").await.unwrap();
    sleep(31 * MINUTE).await;
    let state = delivery.state().remove(0);
    assert_eq!((state.waiting, state.refused, state.sent), (1, 0, 0));
    assert_eq!(state.misconfigured.as_deref(), Some("HTTP status 403"));
    assert_eq!(sink.pauses(), [600, 600, 600]);
    // The key is changed.
    sink.behave(Behaviour::Accepts);
    delivery.wake();
    assert!(delivery.flush(MINUTE).await.is_empty());
    assert_eq!(delivery.state()[0].misconfigured, None);
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_always_fails_does_not_stop_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Scripted::new("sink", Behaviour::FailsFor("i-1", SendError::passing("HTTP status 500")));
    let delivery = start(directory.path(), &[&sink]);
    for id in ["i-1", "i-2", "i-3"] {
        submit(&delivery, id).await.unwrap();
    }
    assert_eq!(delivery.flush(20 * MINUTE).await, [("sink", 1)]);
    assert_eq!(sink.accepted(), ["i-2", "i-3"]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_sent_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Scripted::new("sink", Behaviour::Fails(SendError::passing("away")));
    let delivery = start(directory.path(), &[&sink]);
    for id in ["i-1", "i-2"] {
        submit(&delivery, id).await.unwrap();
    }
    drop(delivery);
    sink.behave(Behaviour::Accepts);
    let delivery = start(directory.path(), &[&sink]);
    assert!(delivery.flush(MINUTE).await.is_empty());
    assert_eq!(sink.accepted(), ["i-1", "i-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_spool_that_cannot_be_written_takes_nothing_until_it_can() {
    let directory = tempfile::tempdir().unwrap();
    let obstacle = directory.path().join("broken");
    std::fs::write(&obstacle, "a file where the directory should be").unwrap();
    let (broken, well) =
        (Scripted::new("broken", Behaviour::Accepts), Scripted::new("well", Behaviour::Accepts));
    let delivery = start(directory.path(), &[&broken, &well]);
    let error = submit(&delivery, "i-1").await.unwrap_err();
    assert_eq!(error.sinks.len(), 1);
    assert_eq!(error.sinks[0].0, "broken");
    let problem = delivery.state()[0].spool_error.clone().unwrap();
    assert!(problem.contains("check its permissions"), "{problem}");

    std::fs::remove_file(&obstacle).unwrap();
    delivery.submit_again(Arc::new(listed("i-1")), &error).await.unwrap();
    assert!(delivery.flush(MINUTE).await.is_empty());
    assert_eq!((broken.accepted(), well.accepted()), (vec!["i-1".to_owned()], vec!["i-1".to_owned()]));
    assert!(delivery.state()[0].is_well());
}

#[tokio::test(start_paused = true)]
async fn a_sink_with_a_defect_is_contained() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Scripted::new("sink", Behaviour::Accepts);
    let delivery = start(directory.path(), &[&sink]);
    let error = submit(&delivery, "i-panic").await.unwrap_err();
    assert!(error.to_string().contains("could not be rendered"), "{error}");
    submit(&delivery, "i-1").await.unwrap();
    assert!(delivery.flush(MINUTE).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_full_spool_drops_the_oldest_and_counts_them() {
    let directory = tempfile::tempdir().unwrap();
    let sink = Scripted::new("sink", Behaviour::Hangs);
    let options = Options {
        directory: directory.path().to_owned(),
        limit: 2 * 4096,
        seed: 1,
        clock: Clock::new(|| NOW),
    };
    let delivery = Delivery::start(vec![erased(&sink)], &options);
    for id in ["i-1", "i-2", "i-3"] {
        submit(&delivery, id).await.unwrap();
    }
    let state = delivery.state().remove(0);
    assert_eq!((state.waiting, state.dropped, state.bytes), (2, 1, 2 * 4096));
    sink.behave(Behaviour::Accepts);
    assert!(delivery.flush(10 * MINUTE).await.is_empty());
    assert_eq!(sink.accepted(), ["i-2", "i-3"]);
}
