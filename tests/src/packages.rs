//! The truth about this machine's packages, and what a CycloneDX file says of them.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use serde_json::Value;

use crate::tools::{self, ToolError};

/// One installed package, as dpkg identifies it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its whole version, with epoch and revision.
    pub version: String,
    /// Its architecture, `all` among them.
    pub architecture: String,
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.version, self.architecture)
    }
}

/// How two package lists differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// In the truth, not in the list.
    pub missing: Vec<Package>,
    /// In the list, not in the truth.
    pub extra: Vec<Package>,
}

impl Difference {
    /// Compares a list with the truth.
    pub fn between(truth: &BTreeSet<Package>, list: &BTreeSet<Package>) -> Self {
        Self {
            missing: truth.difference(list).cloned().collect(),
            extra: list.difference(truth).cloned().collect(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.extra.is_empty()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} missing, {} extra", self.missing.len(), self.extra.len())?;
        let lines = self.missing.iter().map(|p| ('-', p)).chain(self.extra.iter().map(|p| ('+', p)));
        lines.take(20).try_for_each(|(sign, package)| write!(f, "\n  {sign} {package}"))
    }
}

/// What `dpkg-query -W` says is installed on this machine.
///
/// Left out are packages of which only the configuration files remain (state `config-files`): nothing of them can run.
pub fn installed_here() -> Result<BTreeSet<Package>, ToolError> {
    let dpkg_query = dpkg_query()?;
    let format = "-f=${db:Status-Status}\t${Package}\t${Version}\t${Architecture}\n";
    let listed = tools::run(&dpkg_query, ["-W", format])?;
    Ok(String::from_utf8_lossy(&listed)
        .lines()
        .filter_map(|line| {
            let mut fields = line.split('\t');
            let state = fields.next()?;
            let (name, version, architecture) = (fields.next()?, fields.next()?, fields.next()?);
            (state == "installed").then(|| Package {
                name: name.to_owned(),
                version: version.to_owned(),
                architecture: architecture.to_owned(),
            })
        })
        .collect())
}

/// Looks for the program that [`installed_here`] runs.
pub fn look_for_tools() -> Result<(), ToolError> {
    dpkg_query().map(drop)
}

fn dpkg_query() -> Result<PathBuf, ToolError> {
    tools::find("dpkg-query", "this needs a Debian or Ubuntu machine")
}

/// The Debian packages in a CycloneDX document, read from their package URLs. `Err` names a component that has none or
/// a malformed one.
pub fn in_bom(bom: &Value) -> Result<BTreeSet<Package>, String> {
    let components = bom["components"].as_array().ok_or("the document has no components")?;
    let mut packages = BTreeSet::new();
    for component in components.iter().filter(|component| component["type"] == "library") {
        let purl = component["purl"].as_str().ok_or_else(|| format!("no package URL: {component}"))?;
        // What is installed for a language beside.
        if !purl.starts_with("pkg:deb/") {
            continue;
        }
        let (package, qualifiers) =
            parse_deb_purl(purl).ok_or_else(|| format!("malformed package URL {purl}"))?;
        let qualifier = |name: &str| {
            qualifiers
                .split('&')
                .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
                .map(percent_decode)
        };
        let epoch = qualifier("epoch").map(|epoch| format!("{epoch}:")).unwrap_or_default();
        let (name, version) = package.split_once('@').ok_or_else(|| format!("no version in {purl}"))?;
        let architecture = qualifier("arch").ok_or_else(|| format!("no architecture in {purl}"))?;
        let package = Package {
            name: percent_decode(name),
            version: format!("{epoch}{}", percent_decode(version)),
            architecture,
        };
        if !packages.insert(package) {
            return Err(format!("{purl} is in the document twice"));
        }
    }
    Ok(packages)
}

/// `pkg:deb/NAMESPACE/NAME@VERSION?QUALIFIERS`: the part after the namespace, and the qualifiers.
fn parse_deb_purl(purl: &str) -> Option<(&str, &str)> {
    let (path, qualifiers) = purl.strip_prefix("pkg:deb/")?.split_once('?')?;
    let (_namespace, package) = path.split_once('/')?;
    Some((package, qualifiers))
}

/// Undoes percent-encoding (RFC 3986, section 2.1). What is not an escape stays as it is.
pub fn percent_decode(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        let escaped = match (byte, after) {
            (b'%', [high, low, after @ ..]) => {
                hex(*high).zip(hex(*low)).map(|(high, low)| (high * 16 + low, after))
            }
            _ => None,
        };
        match escaped {
            Some((value, after)) => {
                decoded.push(value);
                rest = after;
            }
            None => decoded.push(*byte),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_package_url_gives_name_version_and_architecture_back() {
        let bom = json!({ "components": [
            { "type": "operating-system", "name": "debian" },
            { "type": "library", "purl": "pkg:deb/debian/g%2B%2B@12.2.0-3%2Bb1?arch=amd64&distro=debian-12&epoch=4" }
        ] });
        let package = in_bom(&bom).unwrap().pop_first().unwrap();
        assert_eq!(package.to_string(), "g++ 4:12.2.0-3+b1 amd64");
    }

    #[test]
    fn a_package_that_is_listed_twice_is_an_error() {
        let component = json!({ "type": "library", "purl": "pkg:deb/debian/a@1?arch=all" });
        let bom = json!({ "components": [component, component] });
        assert!(in_bom(&bom).unwrap_err().contains("twice"));
    }

    #[test]
    fn a_difference_names_both_sides() {
        let package = |name: &str| Package {
            name: name.to_owned(),
            version: "1".to_owned(),
            architecture: "all".to_owned(),
        };
        let difference =
            Difference::between(&[package("a"), package("b")].into(), &[package("b"), package("c")].into());
        assert_eq!(difference.to_string(), "1 missing, 1 extra\n  - a 1 all\n  + c 1 all");
    }
}
