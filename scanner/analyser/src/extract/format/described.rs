//! What most records of language packages say of one: name, version, licences and what it needs.

use super::text::{self, Listed, shown};
use crate::extract::Found;
use crate::limits::Limits;
use crate::package::{Details, PackageKind};

/// A package as its record describes it, while the record is read.
#[derive(Debug)]
pub(in crate::extract) struct Described<'a> {
    limits: &'a Limits,
    pub(in crate::extract) name: Option<String>,
    pub(in crate::extract) version: Option<String>,
    licenses: Listed,
    depends_on: Listed,
}

impl<'a> Described<'a> {
    /// One of which nothing was read yet.
    pub(in crate::extract) fn new(limits: &'a Limits) -> Self {
        let (licenses, depends_on) = (Listed::default(), Listed::default());
        Self { limits, name: None, version: None, licenses, depends_on }
    }

    pub(in crate::extract) fn license(&mut self, text: &str) {
        self.licenses.add(text, self.limits);
    }

    pub(in crate::extract) fn needs(&mut self, name: &str) {
        self.depends_on.add(name, self.limits);
    }

    /// The package, or what is missing of it.
    pub(in crate::extract) fn found(self, kind: PackageKind) -> Result<Found, String> {
        let Self { limits, name, version, licenses, depends_on } = self;
        let name = text::needed("name", name.as_deref(), limits)
            .map_err(|problem| format!("a package {problem}"))?;
        let version = text::needed("version", version.as_deref(), limits)
            .map_err(|problem| format!("package {:?} {problem}", shown(&name)))?;
        let details = Details {
            licenses: licenses.into_vec(),
            depends_on: depends_on.into_vec(),
            ..Details::default()
        };
        Ok(Found { details, ..Found::new(kind, name, version) })
    }
}
