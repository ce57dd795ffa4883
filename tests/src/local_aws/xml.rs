//! The little XML that the harness must read in the replies of moto, which is well-formed and has no attributes, comments or
//! CDATA in the elements looked for.

/// The text of the first `<name>` in `document`.
pub(crate) fn text<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    texts(document, name).next()
}

/// The text of each `<name>` in `document`, in order.
pub(crate) fn texts<'a>(document: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let open = format!("<{name}>");
    let close = format!("</{name}>");
    let mut rest = document;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&open)?;
        let (inside, after) = after.split_once(&close)?;
        rest = after;
        Some(inside)
    })
}

/// `text` with the characters that XML reserves written as entities.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_elements_in_order() {
        let document = "<r><id>a</id><x/><id>b</id><open>";
        assert_eq!(texts(document, "id").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(text(document, "x"), None);
        assert_eq!(text(document, "open"), None);
    }
}
