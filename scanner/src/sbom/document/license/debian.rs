//! Debian's short names of licences as expressions of SPDX.

use super::{is_expression, is_identifier};

/// What a short name, or several with `and` and `or` between them, is in the language of SPDX (Debian's "Machine-readable
/// debian/copyright file" 1.0, section 7). `None` where it is not certain to say the same.
///
/// `GPL-2` is left as it is: where a copyright file is not machine-readable, it is only the text that the file refers to, and
/// which later versions are allowed stands elsewhere.
pub(super) fn expression(recorded: &str) -> Option<String> {
    // A comma changes what belongs together.
    if recorded.contains(',') {
        return None;
    }
    let words = recorded.split_whitespace().enumerate().map(|(index, word)| match (index % 2, word) {
        (0, name) => identifier(name),
        (_, "and") => Some("AND".to_owned()),
        (_, "or") => Some("OR".to_owned()),
        _ => None,
    });
    let expression = words.collect::<Option<Vec<_>>>()?.join(" ");
    is_expression(&expression).then_some(expression)
}

/// The identifier of one short name.
fn identifier(name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    let identifier = match &*lower {
        "expat" => "MIT".to_owned(),
        "bsd-2-clause" => "BSD-2-Clause".to_owned(),
        "bsd-3-clause" => "BSD-3-Clause".to_owned(),
        "bsd-4-clause" => "BSD-4-Clause".to_owned(),
        "zlib" => "Zlib".to_owned(),
        _ => match lower.strip_suffix('+').and_then(|versioned| versioned.split_once('-')) {
            Some((family @ ("gpl" | "lgpl" | "agpl" | "gfdl"), version)) => {
                // Debian leaves out a zero at the end.
                let minor = if version.contains('.') { "" } else { ".0" };
                format!("{}-{version}{minor}-or-later", family.to_ascii_uppercase())
            }
            _ => name.to_owned(),
        },
    };
    is_identifier(&identifier).then_some(identifier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_those_of_the_list_where_they_say_the_same() {
        for (recorded, expected) in [
            ("Expat", "MIT"),
            ("GPL-2+", "GPL-2.0-or-later"),
            ("LGPL-2.1+", "LGPL-2.1-or-later"),
            ("AGPL-3+", "AGPL-3.0-or-later"),
            ("GFDL-1.3+", "GFDL-1.3-or-later"),
            ("BSD-3-clause", "BSD-3-Clause"),
            ("zlib", "Zlib"),
            ("Apache-2.0", "Apache-2.0"),
            ("GPL-2+ or Expat", "GPL-2.0-or-later OR MIT"),
            ("LGPL-2+ and BSD-2-clause or ISC", "LGPL-2.0-or-later AND BSD-2-Clause OR ISC"),
        ] {
            assert_eq!(expression(recorded).as_deref(), Some(expected), "{recorded}");
        }
        for recorded in [
            "GPL-2",
            "GPL",
            "GPL+",
            "GPL-9+",
            "Artistic",
            "public-domain",
            "GPL-2+ with OpenSSL exception",
            "GPL-2+ or Artistic",
            "GPL-2+, and Expat or ISC",
            "GFDL-NIV-1.3+",
            "Expat or",
            "or",
            "",
        ] {
            assert_eq!(expression(recorded), None, "{recorded}");
        }
    }
}
