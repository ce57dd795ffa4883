//! Progress on a terminal.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use crate::progress::Progress;

/// The line on a terminal that says what happens. Nothing where standard error is no terminal.
pub(super) struct Shown {
    bar: ProgressBar,
    task: Option<JoinHandle<()>>,
}

impl Shown {
    /// How often the line is drawn.
    const INTERVAL: Duration = Duration::from_millis(100);

    /// Shows the line until the value is dropped.
    pub(super) fn start(progress: &Arc<Progress>, wanted: bool) -> Self {
        if !wanted || !io::stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden(), task: None };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(ProgressStyle::default_spinner());
        let (line, progress) = (bar.clone(), Arc::clone(progress));
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Self::INTERVAL);
            loop {
                ticks.tick().await;
                line.set_message(progress.line());
                line.tick();
            }
        });
        Self { bar, task: Some(task) }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        self.bar.finish_and_clear();
    }
}
