//! What we find.

use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;

use agentless_analyser::extract::{self, Around, Room};
use agentless_analyser::fs::Tree;
use agentless_core::findings::Findings;
use agentless_core::fs::Directory;
use agentless_core::limits::Limits;
use agentless_core::package::PackageKind;
use agentless_core::task::Scope;

/// Everything that is found in a directory.
pub fn findings(root: &Path) -> Findings {
    findings_in(root, Scope::default())
}

/// What of this scope is found in a directory.
pub fn findings_in(root: &Path, scope: Scope) -> Findings {
    let limits = Limits::default();
    let tree = Tree::new(Rc::new(Directory::open(root, &limits).unwrap()), limits);
    extract::run_within(&tree, scope, &mut Room::new(tree.limits()), Around::default())
}

/// Names and versions of the packages of one format.
pub fn names_and_versions(findings: &Findings, kind: PackageKind) -> BTreeSet<(String, String)> {
    let packages = findings.packages.iter().filter(|package| package.kind == kind);
    packages.map(|package| (package.name.clone(), package.version.clone())).collect()
}
