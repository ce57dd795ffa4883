//! Lists of packages in a form in which they can be compared.

use std::collections::BTreeMap;
use std::str::FromStr;

use agentless_core::package::PackageKind;
use packageurl::PackageUrl;
use serde::Deserialize;
use serde_json::Value;

/// Packages, each with a file in which it was found.
pub(crate) type List = BTreeMap<Package, String>;

/// What a package is. Names are in the form in which its package manager compares them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Package {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) version: String,
}

impl Package {
    fn new(kind: &str, name: &str, version: &str) -> Self {
        let name = match PackageKind::deserialize(
            serde::de::value::StrDeserializer::<serde::de::value::Error>::new(kind),
        ) {
            // One of the others writes them so.
            Ok(PackageKind::Golang) => name.to_lowercase(),
            Ok(kind) => kind.compared_name(name).into_owned(),
            Err(_) => name.to_owned(),
        };
        Self { kind: kind.to_owned(), name, version: version.to_owned() }
    }
}

/// What `list-packages` prints.
pub(crate) fn of_ours(printed: &str) -> List {
    let lines = printed.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    lines
        .map(|fields| {
            let [kind, name, version, _, _, path] = fields[..] else { panic!("{fields:?}") };
            (Package::new(kind, name, version), path.to_owned())
        })
        .collect()
}

/// The entries of a document that have a package URL. One without is a file or a system, and no package.
pub(crate) fn of_urls<'a>(entries: &'a Value, path: impl Fn(&'a Value) -> &'a str) -> List {
    let entries = entries.as_array().into_iter().flatten();
    entries.filter_map(|entry| Some((of_url(entry["purl"].as_str()?), path(entry).to_owned()))).collect()
}

fn of_url(text: &str) -> Package {
    let Ok(url) = PackageUrl::from_str(text) else { return Package::new("", text, "") };
    let kind = url.ty();
    let name = match (url.namespace(), kind) {
        // The distribution, and none of the name.
        (Some(_), "apk" | "deb" | "rpm") | (None, _) => url.name().to_owned(),
        (Some(group), "maven") => format!("{group}:{}", url.name()),
        (Some(group), _) => format!("{group}/{}", url.name()),
    };
    let version = url.version().unwrap_or_default();
    let version = match url.qualifiers().get("epoch") {
        Some(epoch) => format!("{epoch}:{version}"),
        None => version.to_owned(),
    };
    Package::new(kind, &name, &version)
}
