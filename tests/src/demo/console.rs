//! What the demo prints: each step with what it did and how long it took.

use std::fmt::Display;
use std::io::Write;
use std::time::{Duration, Instant};

use super::DemoError;
use super::interrupt::Interrupt;

/// Prints steps, and refuses to begin one after an interrupt.
pub(super) struct Console {
    out: Box<dyn Write + Send>,
    interrupt: Interrupt,
    steps: usize,
    done: usize,
}

/// A step that has begun.
#[must_use]
pub(super) struct Step {
    began: Instant,
}

impl Console {
    pub(super) fn new(out: Box<dyn Write + Send>, interrupt: Interrupt, steps: usize) -> Self {
        Self { out, interrupt, steps, done: 0 }
    }

    /// Begins a step. After an interrupt none begins.
    pub(super) fn begin(&mut self, what: impl Display) -> Result<Step, DemoError> {
        if self.interrupt.happened() {
            return Err(DemoError::Interrupted);
        }
        self.done += 1;
        let (done, steps) = (self.done, self.steps);
        self.line(format_args!("\n[{done}/{steps}] {what}"));
        Ok(Step { began: Instant::now() })
    }

    /// Ends a step, with what came of it.
    pub(super) fn end(&mut self, step: &Step, result: impl Display) {
        let seconds = seconds(step.began.elapsed());
        let mut result = result.to_string();
        if !result.is_empty() {
            result.insert_str(0, "  ");
        }
        self.line(format_args!("      done in {seconds}{}", result.replace('\n', "\n      ")));
    }

    /// Prints a line. That nobody reads it any more is no reason to stop: the clean-up must still happen.
    pub(super) fn line(&mut self, text: impl Display) {
        let _ = writeln!(self.out, "{text}");
        let _ = self.out.flush();
    }
}

/// A time as people read it.
pub(super) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// A number of bytes as people read it.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = UNITS.iter().find(|(_, size)| count >= *size);
    let Some((unit, size)) = unit else { return format!("{count} B") };
    // In tenths, in whole numbers.
    let tenths = u128::from(count) * 10 / u128::from(*size);
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_in_the_largest_unit_that_fits() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(5_767_168), "5.5 MiB");
        assert_eq!(bytes(2 << 30), "2.0 GiB");
    }
}
