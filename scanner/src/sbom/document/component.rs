//! What a document lists.

use std::collections::BTreeSet;

use serde::Serialize;

use super::license::Licenses;

/// Something that a document lists, with where it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Component {
    /// What it is.
    pub kind: ComponentKind,
    /// What the rest of the document calls it: once in a document.
    pub reference: String,
    /// What its name is a part of: the group of a Java artifact, the scope of a Node.js package.
    pub group: Option<String>,
    /// Its name, without the group.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// Its name for people.
    pub description: Option<String>,
    /// Who maintains or built it.
    pub supplier: Option<String>,
    /// Its package URL.
    pub purl: Option<String>,
    /// Its licences.
    pub licenses: Licenses,
    /// How it is known what it is, the surest first.
    pub methods: BTreeSet<Method>,
    /// Where it was found.
    pub occurrences: BTreeSet<Occurrence>,
    /// What else is known of it, sorted.
    pub properties: BTreeSet<Property>,
    /// What is in it, if it is a container.
    pub components: Vec<Self>,
}

/// What a component is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ComponentKind {
    /// A function with its code.
    Application,
    /// A container with what is installed in it.
    Container,
    /// A machine, a volume or a snapshot of one.
    Device,
    /// A disk image or a directory.
    File,
    /// A package.
    Library,
    /// An operating system.
    OperatingSystem,
    /// What a function runs on.
    Platform,
}

/// How the identity of a package is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Method {
    /// How sure that is. Of [`Confidence`], the surest is the first.
    pub confidence: Confidence,
    /// What was looked at.
    pub technique: Technique,
    /// Where.
    pub value: String,
}

/// What was looked at to identify a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Technique {
    /// What a package manager or the package itself records.
    ManifestAnalysis,
    /// What a compiler put into a program.
    BinaryAnalysis,
    /// The name of a file.
    Filename,
}

impl Technique {
    /// Its name in CycloneDX.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ManifestAnalysis => "manifest-analysis",
            Self::BinaryAnalysis => "binary-analysis",
            Self::Filename => "filename",
        }
    }
}

/// How sure the identity of a package is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Confidence {
    /// It is recorded as such.
    Recorded,
    /// It was put together of what is recorded for other purposes.
    Derived,
    /// A part of it is only a file's name.
    Guessed,
}

impl Confidence {
    /// On the scale from 0 to 1 that CycloneDX has. Only the order of these numbers means something.
    pub const fn value(self) -> f64 {
        match self {
            Self::Recorded => 1.0,
            Self::Derived => 0.8,
            Self::Guessed => 0.5,
        }
    }
}

/// A place where something was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Occurrence {
    /// The file, and after `!/` the path in it, if it is an archive.
    pub location: String,
    /// The device or directory that the file is on.
    pub place: String,
    /// Whether the file says only that it is to be installed: a lock file.
    pub is_locked: bool,
}

impl Occurrence {
    /// What there is to say beside the file.
    pub fn context(&self) -> String {
        let Self { place, is_locked, .. } = self;
        if *is_locked { format!("{place} (lock file)") } else { place.clone() }
    }
}

/// Something about a component or a document, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Property {
    /// Its name.
    pub name: &'static str,
    /// Its place among several of one name whose order says something; else zero.
    #[serde(skip)]
    pub order: usize,
    /// Its value.
    pub value: String,
}

impl Property {
    /// A property.
    pub fn new(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, order: 0, value: value.into() }
    }
}

impl Component {
    /// One of which nothing is known but what it is, and its name.
    pub fn new(kind: ComponentKind, reference: String, name: String) -> Self {
        Self {
            kind,
            reference,
            group: None,
            name,
            version: None,
            description: None,
            supplier: None,
            purl: None,
            licenses: Licenses::None,
            methods: BTreeSet::new(),
            occurrences: BTreeSet::new(),
            properties: BTreeSet::new(),
            components: Vec::new(),
        }
    }

    /// Adds what another place says of the same package. What can be said once only is what the first place said.
    pub fn merge(&mut self, other: Self) {
        let Self { supplier, licenses, methods, occurrences, properties, .. } = other;
        self.supplier = self.supplier.take().or(supplier);
        if self.licenses == Licenses::None {
            self.licenses = licenses;
        }
        self.occurrences.extend(occurrences);
        self.properties.extend(properties);
        // One place is enough to show how something is known; a package may be there a thousand times.
        for method in methods {
            let is_new =
                |known: &Method| (known.confidence, known.technique) != (method.confidence, method.technique);
            if self.methods.iter().all(is_new) {
                self.methods.insert(method);
            }
        }
    }
}
