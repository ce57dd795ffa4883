//! Checks of single values, declared with an attribute.

use std::fmt::{self, Debug};
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::Raw;
use super::timeouts::parse_duration;

/// Looks at a value; its error completes the sentence "The value …".
type Check = dyn Fn(&Raw) -> Result<(), String> + Send + Sync;

/// A check of one known value, with the words for the documentation.
///
/// A validator sees only values that are known and not null: whether an attribute must be set is for
/// [`Attribute::required`](super::Attribute::required) to say.
#[derive(Clone)]
pub struct Validator {
    description: String,
    check: Arc<Check>,
}

impl Validator {
    /// Accepts values for which `check` succeeds; its error completes the sentence "The value …". `description` says
    /// the rule in the words of the documentation, such as `between 1 and 5`.
    pub fn new(
        description: impl Into<String>,
        check: impl Fn(&Raw) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self { description: description.into(), check: Arc::new(check) }
    }

    /// The rule in the words of the documentation.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Checks `raw`.
    ///
    /// # Errors
    /// The end of the sentence "The value …".
    pub fn check(&self, raw: &Raw) -> Result<(), String> {
        (self.check)(raw)
    }
}

impl Debug for Validator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Validator").field(&self.description).finish()
    }
}

/// A text of so many characters.
pub fn length(characters: RangeInclusive<usize>) -> Validator {
    let description = counted(&characters, "character");
    let rule = description.clone();
    Validator::new(description, move |raw| match raw.as_str().map(|text| text.chars().count()) {
        Some(count) if !characters.contains(&count) => Err(format!("must have {rule}, but has {count}")),
        _ => Ok(()),
    })
}

/// A text in which `allowed` holds for every character. `described` completes "only …", such as `letters and digits`.
pub fn characters(described: &str, allowed: fn(char) -> bool) -> Validator {
    let described = described.to_owned();
    Validator::new(format!("only {described}"), move |raw| {
        match raw.as_str().and_then(|text| text.chars().find(|character| !allowed(*character))) {
            Some(character) => Err(format!("must have only {described}, but has {character:?}")),
            None => Ok(()),
        }
    })
}

/// A text for which `matches` holds. `described` completes "must be …", such as `an ARN`.
pub fn pattern(described: &str, matches: fn(&str) -> bool) -> Validator {
    let described = described.to_owned();
    Validator::new(described.clone(), move |raw| match raw.as_str() {
        Some(text) if !matches(text) => Err(format!("must be {described}, but is {text:?}")),
        _ => Ok(()),
    })
}

/// A number within bounds.
pub fn range(bounds: RangeInclusive<i64>) -> Validator {
    let rule = between(&bounds, i64::MAX);
    Validator::new(rule.clone(), move |raw| match raw {
        Raw::Number(number)
            if !number.as_f64().is_some_and(|float| within(&bounds, number.as_i64(), float)) =>
        {
            Err(format!("must be {rule}, but is {number}"))
        }
        _ => Ok(()),
    })
}

/// One of these texts.
pub fn one_of<const N: usize>(choices: [&'static str; N]) -> Validator {
    let rule = format!("one of {}", choices.map(|choice| format!("`{choice}`")).join(", "));
    Validator::new(rule, move |raw| match raw.as_str() {
        Some(text) if !choices.contains(&text) => {
            Err(format!("must be one of {}, but is {text:?}", choices.map(|c| format!("{c:?}")).join(", ")))
        }
        _ => Ok(()),
    })
}

/// A list, set or map of so many elements.
pub fn items(count: RangeInclusive<usize>) -> Validator {
    let rule = counted(&count, "element");
    Validator::new(rule.clone(), move |raw| {
        let length = match raw {
            Raw::List(elements) => elements.len(),
            Raw::Map(elements) => elements.len(),
            _ => return Ok(()),
        };
        if count.contains(&length) { Ok(()) } else { Err(format!("must have {rule}, but has {length}")) }
    })
}

/// A list, set or map whose every known element satisfies `validator`.
pub fn each(validator: Validator) -> Validator {
    Validator::new(format!("each {}", validator.description()), move |raw| {
        let check = |place: String, element: &Raw| match element {
            Raw::Null | Raw::Unknown => Ok(()),
            _ => validator.check(element).map_err(|problem| format!("at {place} {problem}")),
        };
        match raw {
            Raw::List(elements) => {
                elements.iter().enumerate().try_for_each(|(index, element)| check(index.to_string(), element))
            }
            Raw::Map(elements) => {
                elements.iter().try_for_each(|(key, element)| check(format!("{key:?}"), element))
            }
            _ => Ok(()),
        }
    })
}

/// A duration in Go's notation, longer than nothing: `90s`, `1h30m`.
pub fn duration() -> Validator {
    Validator::new("a duration such as `30m` or `1h30m`", |raw| match raw.as_str() {
        Some(text) => parse_duration(text).map(|_| ()).map_err(|problem| problem.to_string()),
        None => Ok(()),
    })
}

/// A whole number that fits 64 bits, as every [`Attribute::int`](super::Attribute::int) is.
pub(crate) fn whole() -> Validator {
    Validator::new("a whole number", |raw| match raw {
        Raw::Number(number) if !number.is_whole() => Err(format!("must be a whole number, but is {number}")),
        Raw::Number(number) if number.as_i64().is_none() && number.as_u64().is_none() => {
            Err(format!("must be a whole number of at most 64 bits, but is {number}"))
        }
        _ => Ok(()),
    })
}

fn within(bounds: &RangeInclusive<i64>, int: Option<i64>, float: f64) -> bool {
    if let Some(int) = int {
        return bounds.contains(&int);
    }
    // No integer of 64 bits: a fraction lies within when the integers around it do.
    let text = (float.floor().to_string().parse::<i64>(), float.ceil().to_string().parse::<i64>());
    matches!(text, (Ok(floor), Ok(ceiling)) if bounds.contains(&floor) && bounds.contains(&ceiling))
}

fn counted(bounds: &RangeInclusive<usize>, noun: &str) -> String {
    // "at least 1 element", "exactly 1 element", "between 1 and 5 elements".
    let last = if *bounds.end() == usize::MAX { bounds.start() } else { bounds.end() };
    let plural = if *last == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", between(bounds, usize::MAX))
}

fn between<T: Copy + PartialEq + fmt::Display>(bounds: &RangeInclusive<T>, unbounded: T) -> String {
    let (start, end) = (bounds.start(), bounds.end());
    if *end == unbounded {
        format!("at least {start}")
    } else if start == end {
        format!("exactly {start}")
    } else {
        format!("between {start} and {end}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Raw {
        Raw::Number(text.parse().unwrap())
    }

    #[test]
    fn problems_complete_the_sentence() {
        let problem = |validator: Validator, raw: Raw| validator.check(&raw).unwrap_err();
        assert_eq!(problem(length(1..=2), "äöü".into()), "must have between 1 and 2 characters, but has 3");
        assert_eq!(
            problem(characters("digits", |c| c.is_ascii_digit()), "12a".into()),
            "must have only digits, but has 'a'"
        );
        assert_eq!(
            problem(pattern("an ARN", |text| text.starts_with("arn:")), "x".into()),
            "must be an ARN, but is \"x\""
        );
        assert_eq!(problem(range(1..=5), 6.into()), "must be between 1 and 5, but is 6");
        assert_eq!(problem(range(1..=5), number("5.5")), "must be between 1 and 5, but is 5.5");
        assert_eq!(problem(range(1..=i64::MAX), 0.into()), "must be at least 1, but is 0");
        assert_eq!(problem(one_of(["a", "b"]), "c".into()), "must be one of \"a\", \"b\", but is \"c\"");
        assert_eq!(problem(items(1..=1), Raw::List(vec![])), "must have exactly 1 element, but has 0");
        assert_eq!(
            problem(items(1..=usize::MAX), Raw::List(vec![])),
            "must have at least 1 element, but has 0"
        );
        assert_eq!(
            problem(items(0..=5), Raw::from(["a"; 6])),
            "must have between 0 and 5 elements, but has 6"
        );
        assert_eq!(
            problem(each(length(1..=9)), Raw::from(["a", ""])),
            "at 1 must have between 1 and 9 characters, but has 0"
        );
        assert_eq!(problem(whole(), number("1.5")), "must be a whole number, but is 1.5");
        assert!(problem(whole(), number("18446744073709551616")).contains("64 bits"));
        assert!(problem(duration(), "soon".into()).contains("30m"));
    }

    #[test]
    fn what_fits_passes() {
        for (validator, raw) in [
            (length(1..=3), Raw::from("äöü")),
            (range(1..=5), number("4.5")),
            (range(0..=i64::MAX), number("9223372036854775807")),
            (one_of(["a", "b"]), Raw::from("b")),
            (each(length(1..=9)), Raw::List(vec![Raw::Unknown, Raw::Null])),
            (whole(), number("18446744073709551615")),
            (duration(), Raw::from("1h30m")),
        ] {
            assert_eq!(validator.check(&raw), Ok(()), "{validator:?} {raw:?}");
        }
    }
}
