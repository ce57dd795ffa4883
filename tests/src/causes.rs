//! Errors as the last words of a command-line program.

use std::error::Error;
use std::fmt::Write as _;

/// An error with each of its causes on a line of its own. The lines of a message stay as they are: some of them hold
/// what another program wrote.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing to a String does not fail.
        let _ = write!(text, "\n  caused by: {cause}");
        source = cause.source();
    }
    text
}
