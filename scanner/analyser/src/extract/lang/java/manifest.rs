//! `META-INF/MANIFEST.MF`, as the JAR File Specification and `OSGi` describe it.

use std::borrow::Cow;

use super::name::text;
use crate::limits::Limits;

/// The attributes of a manifest's main section that say what the archive is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) implementation_title: Option<String>,
    pub(super) implementation_version: Option<String>,
    pub(super) implementation_vendor_id: Option<String>,
    pub(super) specification_title: Option<String>,
    pub(super) specification_version: Option<String>,
    pub(super) symbolic_name: Option<String>,
    pub(super) bundle_name: Option<String>,
    pub(super) bundle_version: Option<String>,
    pub(super) module_name: Option<String>,
    pub(super) licenses: Vec<String>,
}

impl Manifest {
    /// Reads the main section. What is not understood is left out: everything here is said for other purposes.
    pub(super) fn parse(content: &[u8], limits: &Limits) -> Self {
        let mut manifest = Self::default();
        let content = String::from_utf8_lossy(content);
        for line in main_section(&content, limits.field_bytes) {
            let Some((name, value)) = line.split_once(':') else { continue };
            // Only the first counts where an attribute stands twice.
            let value = value.trim();
            let set = |slot: &mut Option<String>| {
                if slot.is_none() {
                    *slot = text(value, limits);
                }
            };
            // The names of attributes are not case-sensitive.
            match name.trim().to_ascii_lowercase().as_str() {
                "implementation-title" => set(&mut manifest.implementation_title),
                "implementation-version" => set(&mut manifest.implementation_version),
                "implementation-vendor-id" => set(&mut manifest.implementation_vendor_id),
                "specification-title" => set(&mut manifest.specification_title),
                "specification-version" => set(&mut manifest.specification_version),
                // Directives follow: `org.example;singleton:=true`.
                "bundle-symbolicname" => {
                    let name = value.split(';').next().unwrap_or_default().trim();
                    manifest.symbolic_name = manifest.symbolic_name.or_else(|| text(name, limits));
                }
                "bundle-name" => set(&mut manifest.bundle_name),
                "bundle-version" => set(&mut manifest.bundle_version),
                "automatic-module-name" => set(&mut manifest.module_name),
                "bundle-license" if manifest.licenses.is_empty() && value.len() <= limits.field_bytes => {
                    manifest.licenses = licenses(value);
                }
                _ => {}
            }
        }
        manifest
    }
}

/// The lines up to the first empty one, put together where they are continued: one that begins with a space continues that
/// before it ("Line length"). Of what has no end so much is kept that it is longer than the `most` bytes that a value may have.
fn main_section(content: &str, most: usize) -> impl Iterator<Item = Cow<'_, str>> {
    let mut lines = content.split('\n').map(|line| line.trim_end_matches('\r')).peekable();
    std::iter::from_fn(move || {
        let mut line = Cow::Borrowed(lines.next().filter(|line| !line.is_empty())?);
        while let Some(more) = lines.next_if(|line| line.starts_with(' ')) {
            if line.len() <= most.saturating_mul(2) {
                line.to_mut().push_str(more.get(1..).unwrap_or_default());
            }
        }
        Some(line)
    })
}

/// Licences of `Bundle-License`: `name;link=…;description=…`, separated by commas (`OSGi` Core, section 3.2.1.10).
fn licenses(value: &str) -> Vec<String> {
    let mut is_quoted = false;
    let clauses = value.split(|character: char| {
        is_quoted ^= character == '"';
        character == ',' && !is_quoted
    });
    let names = clauses.map(|clause| clause.split(';').next().unwrap_or_default().trim().trim_matches('"'));
    let is_name =
        |name: &&str| !name.is_empty() && *name != "<<EXTERNAL>>" && !name.contains(char::is_control);
    names.filter(is_name).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(content: &str) -> Manifest {
        Manifest::parse(content.as_bytes(), &Limits::default())
    }

    #[test]
    fn attributes_of_the_main_section_are_read_across_lines() {
        let manifest = parse(
            "Manifest-Version: 1.0\r\nImplementation-Title: spring-\r\n core\r\nimplementation-version: 4.3.30\r\n\
             Bundle-SymbolicName: org.example.core;singleton:=t\r\n rue\r\nImplementation-Version: 5\r\n\
             Implementation-Vendor-Id: org.example\nAutomatic-Module-Name: spring.core\n\n\
             Name: org/other/\nSpecification-Title: not of the main section\n",
        );
        let expected = Manifest {
            implementation_title: Some("spring-core".to_owned()),
            implementation_version: Some("4.3.30".to_owned()),
            implementation_vendor_id: Some("org.example".to_owned()),
            symbolic_name: Some("org.example.core".to_owned()),
            module_name: Some("spring.core".to_owned()),
            ..Manifest::default()
        };
        assert_eq!(manifest, expected);
    }

    #[test]
    fn licences_are_names_without_links() {
        for (value, expected) in [
            ("BSD-3-Clause;link=https://asm.ow2.io/LICENSE.txt", &["BSD-3-Clause"][..]),
            ("\"Apache-2.0\";link=\"https://a,b\",EPL-2.0", &["Apache-2.0", "EPL-2.0"]),
            (
                "https://www.apache.org/licenses/LICENSE-2.0.txt",
                &["https://www.apache.org/licenses/LICENSE-2.0.txt"],
            ),
            ("<<EXTERNAL>>", &[]),
            ("", &[]),
        ] {
            assert_eq!(parse(&format!("Bundle-License: {value}\n")).licenses, expected, "{value}");
        }
    }

    #[test]
    fn lines_without_end_and_odd_lines_cost_nothing_else() {
        let long = "Bundle-Version: ".to_owned() + &"1\n ".repeat(100_000);
        let manifest = parse(&format!("no attribute\n: x\n{long}\nImplementation-Version: 1\n"));
        assert_eq!((manifest.bundle_version, manifest.implementation_version), (None, Some("1".to_owned())));
    }
}
