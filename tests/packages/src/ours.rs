//! What we find.

use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;

use agentless_analyser::extract;
use agentless_analyser::fs::Tree;
use agentless_core::findings::Findings;
use agentless_core::fs::Directory;
use agentless_core::limits::Limits;
use agentless_core::package::PackageKind;

/// Everything that is found in a directory.
pub fn findings(root: &Path) -> Findings {
    let limits = Limits::default();
    let tree = Tree::new(Rc::new(Directory::open(root, &limits).unwrap()), limits);
    extract::run(&tree)
}

/// Names and versions of the packages of one format.
pub fn names_and_versions(findings: &Findings, kind: PackageKind) -> BTreeSet<(String, String)> {
    let packages = findings.packages.iter().filter(|package| package.kind == kind);
    packages.map(|package| (package.name.clone(), package.version.clone())).collect()
}
