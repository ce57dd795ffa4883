//! Errors as text.

use std::error::Error;

/// An error and its causes in one line, each cause once: some libraries repeat the cause in their own message, and some
/// write several lines.
pub fn chain(error: &dyn Error) -> String {
    let mut text = line(error);
    let mut source = error.source();
    while let Some(cause) = source {
        let part = line(cause);
        if !text.ends_with(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        source = cause.source();
    }
    text
}

fn line(error: &dyn Error) -> String {
    let text = error.to_string();
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Self>>,
    }

    fn layers(texts: &[&'static str]) -> Layer {
        let (text, rest) = texts.split_first().unwrap();
        let source = (!rest.is_empty()).then(|| Box::new(layers(rest)));
        Layer { text, source }
    }

    #[test]
    fn causes_stand_once_and_in_one_line() {
        assert_eq!(chain(&layers(&["a", "b", "c"])), "a: b: c");
        assert_eq!(chain(&layers(&["a: b", "b", "c"])), "a: b: c");
        assert_eq!(chain(&layers(&["tried:\n  one\n  two\n"])), "tried: one two");
    }
}
