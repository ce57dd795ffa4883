//! Decimal numbers of any size.

use std::fmt::{self, Display};
use std::str::FromStr;

use thiserror::Error;

/// How many digits a number may have on either side of the point. Terraform computes with 512 bits, about 155 digits;
/// an exact `f64` needs up to 1,074 after the point. An exponent beyond this bound is refused, not expanded.
const MAX_DIGITS: usize = 1_100;

/// A decimal number, exact.
///
/// Terraform's numbers are neither integers nor floats: `0.1` is exactly a tenth and `18446744073709551616` is not
/// rounded. The canonical text is kept, so that two equal numbers are equal here too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number {
    /// `-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?`, and never `-0`.
    text: String,
}

/// Why a text or a float is not a [`Number`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NumberError {
    /// Not a decimal number.
    #[error("not a decimal number")]
    Syntax,
    /// More digits than any computation of Terraform yields.
    #[error("a number of more than {MAX_DIGITS} digits")]
    TooLong,
    /// Infinity or not-a-number.
    #[error("infinity and not-a-number are not supported")]
    NotFinite,
}

impl Number {
    /// The canonical decimal text, without exponent.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether nothing stands behind the point.
    pub fn is_whole(&self) -> bool {
        !self.text.contains('.')
    }

    /// As a signed integer, when it is one and fits.
    pub fn as_i64(&self) -> Option<i64> {
        self.text.parse().ok()
    }

    /// As an unsigned integer, when it is one and fits.
    pub fn as_u64(&self) -> Option<u64> {
        self.text.parse().ok()
    }

    /// The nearest float, or `None` when the number is too large for one.
    pub fn as_f64(&self) -> Option<f64> {
        self.text.parse().ok().filter(|float: &f64| float.is_finite())
    }

    /// The exact value of a float that came over the wire.
    ///
    /// Terraform sends a float only for a number that is exactly that float, so its full binary expansion counts,
    /// unlike in [`TryFrom<f64>`](#impl-TryFrom<f64>-for-Number), which means the decimal a programmer wrote.
    pub(crate) fn from_exact(float: f64) -> Result<Self, NumberError> {
        if !float.is_finite() {
            return Err(NumberError::NotFinite);
        }
        // 1,074 fractional digits write any f64 exactly.
        format!("{float:.1074}").parse()
    }
}

impl FromStr for Number {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, NumberError> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => {
                (mantissa, exponent.parse::<i64>().map_err(|_| exponent_error(exponent))?)
            }
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.len() + fraction.len() == 0
            || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit())
        {
            return Err(NumberError::Syntax);
        }
        if whole.len() > MAX_DIGITS || fraction.len() > MAX_DIGITS {
            return Err(NumberError::TooLong);
        }
        let shift = usize::try_from(exponent.unsigned_abs())
            .ok()
            .filter(|shift| *shift <= MAX_DIGITS)
            .ok_or(NumberError::TooLong)?;
        let (whole, fraction) = if exponent < 0 {
            let digits = format!("{}{whole}", "0".repeat(shift));
            let (left, right) = digits.split_at(digits.len() - shift);
            (left.to_owned(), format!("{right}{fraction}"))
        } else {
            let digits = format!("{fraction}{}", "0".repeat(shift.saturating_sub(fraction.len())));
            let (left, right) = digits.split_at(shift);
            (format!("{whole}{left}"), right.to_owned())
        };
        Ok(Self { text: canonical(negative, &whole, &fraction) })
    }
}

fn exponent_error(exponent: &str) -> NumberError {
    let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        NumberError::TooLong
    } else {
        NumberError::Syntax
    }
}

fn canonical(negative: bool, whole: &str, fraction: &str) -> String {
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let zero = whole.is_empty() && fraction.is_empty();
    let mut text = String::with_capacity(whole.len() + fraction.len() + 3);
    if negative && !zero {
        text.push('-');
    }
    text.push_str(if whole.is_empty() { "0" } else { whole });
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(fraction);
    }
    text
}

impl TryFrom<f64> for Number {
    type Error = NumberError;

    /// The shortest decimal that reads back as this float: `0.1` becomes exactly a tenth, as in a configuration.
    fn try_from(float: f64) -> Result<Self, NumberError> {
        if !float.is_finite() {
            return Err(NumberError::NotFinite);
        }
        float.to_string().parse()
    }
}

impl From<i64> for Number {
    fn from(int: i64) -> Self {
        Self { text: int.to_string() }
    }
}

impl From<u64> for Number {
    fn from(int: u64) -> Self {
        Self { text: int.to_string() }
    }
}

impl Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Number {
        text.parse().unwrap()
    }

    #[test]
    fn one_number_has_one_text() {
        for (text, expected) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.00", "0"),
            ("007", "7"),
            ("1.50", "1.5"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1e3", "1000"),
            ("1.25e1", "12.5"),
            ("1.25E+4", "12500"),
            ("125e-2", "1.25"),
            ("-1e-3", "-0.001"),
            ("18446744073709551616", "18446744073709551616"),
        ] {
            assert_eq!(number(text).as_str(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "-", ".", "e5", "1e", "1ex", "0x10", "1 ", "١", "1.2.3", "inf", "NaN", "--1"] {
            assert_eq!(text.parse::<Number>(), Err(NumberError::Syntax), "{text:?}");
        }
        for text in ["1e1000000", "1e-99999999999999999999", "1e99999999999999999999"] {
            assert_eq!(text.parse::<Number>(), Err(NumberError::TooLong), "{text:?}");
        }
        assert_eq!(Number::try_from(f64::NAN), Err(NumberError::NotFinite));
        assert_eq!(Number::from_exact(f64::INFINITY), Err(NumberError::NotFinite));
    }

    #[test]
    fn a_programmers_tenth_is_a_tenth_but_a_float_from_the_wire_is_exact() {
        assert_eq!(Number::try_from(0.1).unwrap().as_str(), "0.1");
        assert_eq!(
            Number::from_exact(0.1).unwrap().as_str(),
            "0.1000000000000000055511151231257827021181583404541015625"
        );
        assert_eq!(
            Number::from_exact(18_446_744_073_709_551_616.0).unwrap().as_str(),
            "18446744073709551616"
        );
    }

    proptest! {
        #[test]
        fn integers_and_floats_come_back(int: i64, unsigned: u64, float in prop::num::f64::NORMAL | prop::num::f64::ZERO) {
            prop_assert_eq!(Number::from(int).as_i64(), Some(int));
            prop_assert_eq!(Number::from(unsigned).as_u64(), Some(unsigned));
            prop_assert_eq!(Number::try_from(float).unwrap().as_f64(), Some(float));
            prop_assert_eq!(Number::from_exact(float).unwrap().as_f64(), Some(float));
        }

        #[test]
        fn canonical_text_parses_to_itself(text in "-?[0-9]{1,40}(\\.[0-9]{1,40})?([eE][-+]?[0-9]{1,3})?") {
            let once = number(&text);
            prop_assert_eq!(number(once.as_str()), once);
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = text.parse::<Number>();
        }
    }
}
