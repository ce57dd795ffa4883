//! What an analyser has to say to developers: it goes to the scanner, which has somewhere to write.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use super::link::Link;
use crate::protocol::message::{FromChild, LogLevel};

/// Sends what is logged, from `level` up, to the scanner.
pub(super) fn start(link: &Arc<Link>, level: Option<LogLevel>) {
    let Some(level) = level else { return };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level.level())
        .without_time()
        .with_level(false)
        .with_ansi(false)
        .with_writer(Lines(Arc::clone(link)))
        .finish();
    // Nobody else sets one in this process.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Writes the first few panics to standard error, and no others: many that are contained would fill the pipe, and the
/// process would wait for a reader for ever.
pub(super) fn limit_panics() {
    const MOST: usize = 20;
    static SEEN: AtomicUsize = AtomicUsize::new(0);

    let write = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if SEEN.fetch_add(1, Ordering::Relaxed) < MOST {
            write(panic);
            // The scanner looks at standard error only if the process ended otherwise than it should. A panic that was
            // contained is an error of this program all the same, and developers want to know of it.
            let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
            tracing::error!(
                "panicked{place}: {}",
                panic.payload_as_str().unwrap_or("of something else than a text")
            );
        }
    }));
}

/// Makes lines of what is logged.
struct Lines(Arc<Link>);

/// One line.
struct Line<'a> {
    link: &'a Link,
    level: LogLevel,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { link: &self.0, level: LogLevel::Info }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a> {
        Line { link: &self.0, level: LogLevel::of(*metadata.level()) }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes).trim_end().to_owned();
        self.link.try_send(&FromChild::Log { level: self.level, text });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
