//! How long operations may take, as users write it.

use std::time::Duration;

use thiserror::Error;

use super::{Value, model};

model! {
    /// The `timeouts` attribute of a resource, made by [`Schema::timeouts`](super::Schema::timeouts). A model needs a
    /// field `timeouts: Value<Timeouts>` for it; what it says reaches the resource as
    /// [`Context::deadline`](super::Context::deadline).
    pub struct Timeouts {
        /// How long a create may take.
        pub create: Value<String>,
        /// How long an update may take.
        pub update: Value<String>,
        /// How long a delete may take.
        pub delete: Value<String>,
    }
}

/// How long the operations of a resource take at most when the configuration says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeoutDefaults {
    /// For create.
    pub create: Duration,
    /// For update.
    pub update: Duration,
    /// For delete.
    pub delete: Duration,
}

impl Default for TimeoutDefaults {
    /// 20 minutes each, the custom of Terraform providers.
    fn default() -> Self {
        Self::all(Duration::from_mins(20))
    }
}

impl TimeoutDefaults {
    /// The same for every operation.
    pub const fn all(timeout: Duration) -> Self {
        Self { create: timeout, update: timeout, delete: timeout }
    }
}

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DurationError {
    /// Not numbers with units.
    #[error("must be a duration such as \"30m\" or \"1h30m\" (units: h, m, s, ms), but is {0:?}")]
    Syntax(String),
    /// Nothing, or more than a year.
    #[error("must be longer than nothing and at most a year, but is {0:?}")]
    Range(String),
}

/// The longest timeout, in seconds.
const YEAR: f64 = 366.0 * 24.0 * 3_600.0;

/// Reads a duration in Go's notation: decimal numbers, each with its unit, such as `90s`, `1.5h` or `1h30m`.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let syntax = || DurationError::Syntax(text.to_owned());
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let unit_at = rest
            .find(|character: char| !character.is_ascii_digit() && character != '.')
            .ok_or_else(syntax)?;
        let (number, tail) = rest.split_at(unit_at);
        let unit_end =
            tail.find(|character: char| character.is_ascii_digit() || character == '.').unwrap_or(tail.len());
        let (unit, next) = tail.split_at(unit_end);
        let seconds = match unit {
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return Err(syntax()),
        };
        total += number.parse::<f64>().map_err(|_| syntax())? * seconds;
        rest = next;
    }
    if text.is_empty() {
        return Err(syntax());
    }
    if total <= 0.0 || total > YEAR {
        return Err(DurationError::Range(text.to_owned()));
    }
    Duration::try_from_secs_f64(total).map_err(|_| DurationError::Range(text.to_owned()))
}

/// A duration in the notation that [`parse_duration`] reads, for documentation: `20m`, `1h30m`.
pub fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let mut text = String::new();
    for (amount, unit) in [(seconds / 3_600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")] {
        if amount > 0 {
            text.push_str(&amount.to_string());
            text.push_str(unit);
        }
    }
    if text.is_empty() { format!("{}ms", duration.as_millis()) } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_read_as_in_go() {
        for (text, milliseconds) in
            [("30m", 1_800_000), ("1h30m", 5_400_000), ("1.5h", 5_400_000), ("90s", 90_000), ("250ms", 250)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "30", "m", "30 m", "-5m", "5d", "1..5h", "soon", "ms5"] {
            assert!(matches!(parse_duration(text), Err(DurationError::Syntax(_))), "{text}");
        }
        for text in ["0s", "100000h", "99999999999999999999999999999h"] {
            assert!(matches!(parse_duration(text), Err(DurationError::Range(_))), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in 1_u64..31_000_000) {
            let duration = Duration::from_secs(seconds);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = parse_duration(&text);
        }
    }
}
