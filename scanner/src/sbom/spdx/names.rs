//! Names in the forms that SPDX has for them.

use sha2::{Digest, Sha256};

use crate::sbom::document::Component;

/// The identifier of a component: letters, digits, dots and hyphens only (SPDX 2.3, section 7.2), so not the reference itself.
pub(super) fn id(reference: &str) -> String {
    format!("SPDXRef-{}", digest(reference))
}

/// Twenty hexadecimal digits for a text. Two of a million texts have the same with a probability below 10⁻¹².
pub(super) fn digest(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(10).fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = std::fmt::Write::write_fmt(&mut hex, format_args!("{byte:02x}"));
        hex
    })
}

/// A component's name with its group, as its package manager writes it.
pub(super) fn full(Component { group, name, .. }: &Component) -> String {
    match group {
        Some(scope) if scope.starts_with('@') => format!("{scope}/{name}"),
        Some(group) => format!("{group}:{name}"),
        None => name.clone(),
    }
}

/// Who supplies a package, `name <address>`, as an organisation (SPDX 2.3, section 7.5). Whether it is a person is not recorded.
pub(super) fn supplier(maintainer: &str) -> String {
    // There, brackets are around the address and nowhere else, and a line is a line.
    let plain = |text: &str| {
        let text = text.replace(['(', ')'], " ");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let (name, address) = match maintainer.split_once('<') {
        Some((name, address)) => {
            (plain(unquoted(name)), plain(address.split('>').next().unwrap_or_default()))
        }
        None => (plain(maintainer), String::new()),
    };
    match (&*name, &*address) {
        ("", "") => super::NO_ASSERTION.to_owned(),
        ("", only) | (only, "") => format!("Organization: {only}"),
        (name, address) => format!("Organization: {name} ({address})"),
    }
}

/// A name without the quotes that it has around it if there is a dot or the like in it (RFC 5322, section 3.4).
fn unquoted(name: &str) -> &str {
    let name = name.trim();
    let inner = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.filter(|inner| !inner.contains(['"', '\\'])).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maintainers_become_organisations() {
        for (maintainer, expected) in [
            ("Debian (the) Team <team@debian.org>", "Organization: Debian the Team (team@debian.org)"),
            ("Red Hat, Inc.", "Organization: Red Hat, Inc."),
            ("\"A. Person\" <a@b>", "Organization: A. Person (a@b)"),
            ("\"A\" and \"B\" <a@b>", "Organization: \"A\" and \"B\" (a@b)"),
            ("<a@b>", "Organization: a@b"),
            ("two\nlines", "Organization: two lines"),
            (" () ", "NOASSERTION"),
        ] {
            assert_eq!(supplier(maintainer), expected);
        }
    }

    #[test]
    fn identifiers_have_no_other_characters() {
        assert_eq!(id("pkg:npm/%40a/b@1"), id("pkg:npm/%40a/b@1"));
        assert_ne!(id("a"), id("b"));
        assert_eq!(id("a"), "SPDXRef-ca978112ca1bbdcafac2");
    }
}
