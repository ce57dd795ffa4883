//! Which of the packages in a database need each other.
//!
//! This is for databases of text, which are in memory as a whole: names are borrowed from them. The headers of `os/rpm` pass
//! by one at a time, are matched by files too, and a package's own name counts for no more than what others provide: it has
//! a graph of its own.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::limits::Limits;

/// The names by which the installed packages of one database can be needed: their own, and those that they provide.
#[derive(Debug)]
pub(in crate::extract) struct Relations<'a> {
    packages: HashSet<&'a [u8]>,
    /// By what is provided, the names of the packages that do.
    providers: HashMap<&'a [u8], Vec<&'a [u8]>>,
    limit: u64,
    left: u64,
    is_exceeded: bool,
}

impl<'a> Relations<'a> {
    /// Those of a database without packages.
    pub(in crate::extract) fn new(limits: &Limits) -> Self {
        let limit = limits.relations;
        Self { packages: HashSet::new(), providers: HashMap::new(), limit, left: limit, is_exceeded: false }
    }

    /// There is a package of this name.
    pub(in crate::extract) fn package(&mut self, name: &'a [u8]) {
        if self.take() {
            self.packages.insert(name);
        }
    }

    /// The package `by` provides what may be needed under this name.
    pub(in crate::extract) fn provide(&mut self, name: &'a [u8], by: &'a [u8]) {
        if self.take() {
            self.providers.entry(name).or_default().push(by);
        }
    }

    /// The installed packages that `by` needs, sorted: those of these names or, where there is none, those that provide it.
    /// What is not installed is left out, and so is the package itself.
    pub(in crate::extract) fn needed<'n>(
        &mut self,
        by: &[u8],
        names: impl Iterator<Item = &'n [u8]>,
    ) -> Vec<String> {
        let mut needed: BTreeSet<&[u8]> = BTreeSet::new();
        for name in names {
            let found = match self.packages.get(name) {
                Some(package) => std::slice::from_ref(package),
                None => self.providers.get(name).map(Vec::as_slice).unwrap_or_default(),
            };
            for &package in found {
                let Some(left) = self.left.checked_sub(1) else {
                    self.is_exceeded = true;
                    break;
                };
                self.left = left;
                if package != by {
                    needed.insert(package);
                }
            }
        }
        needed.into_iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    }

    /// All of these names, sorted, each once, for a package whose database is known only in part: what they stand for is found
    /// when everything was read.
    pub(in crate::extract) fn unresolved<'n>(
        &mut self,
        names: impl Iterator<Item = &'n [u8]>,
    ) -> Vec<String> {
        let names: BTreeSet<&[u8]> = names.take_while(|_| self.take()).collect();
        names.into_iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    }

    /// What is missing, if there was more than the limit allows.
    pub(in crate::extract) fn problem(&self) -> Option<String> {
        let limit = self.limit;
        self.is_exceeded.then(|| {
            format!("there are more relations of packages than the limit of {limit} (`relations`): some are missing")
        })
    }

    fn take(&mut self) -> bool {
        let left = self.left.checked_sub(1);
        self.is_exceeded |= left.is_none();
        self.left = left.unwrap_or(0);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed(relations: &mut Relations<'_>, names: &[&str]) -> Vec<String> {
        relations.needed(b"self", names.iter().map(|name| name.as_bytes()))
    }

    #[test]
    fn a_package_stands_for_its_name_and_providers_for_what_nothing_is_called() {
        let mut relations = Relations::new(&Limits::default());
        for package in [&b"self"[..], b"mawk", b"gawk", b"libc6"] {
            relations.package(package);
        }
        relations.provide(b"awk", b"mawk");
        relations.provide(b"awk", b"gawk");
        relations.provide(b"libc6", b"mawk");
        relations.provide(b"own", b"self");
        assert_eq!(needed(&mut relations, &["libc6", "awk", "own", "absent"]), ["gawk", "libc6", "mawk"]);
        assert_eq!(relations.problem(), None);
    }

    #[test]
    fn relations_without_end_stop_at_the_limit_and_say_so() {
        let mut relations = Relations::new(&Limits { relations: 4, ..Limits::default() });
        relations.package(b"a");
        relations.provide(b"v", b"a");
        assert_eq!(needed(&mut relations, &["v", "a", "v"]), ["a"]);
        assert!(relations.problem().unwrap().contains("limit of 4 (`relations`)"));
        relations.package(b"b");
        assert!(needed(&mut relations, &["b"]).is_empty());
    }
}
