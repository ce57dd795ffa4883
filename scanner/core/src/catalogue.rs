//! What this version reads, for people and for the records of a scan.

/// The formats that the analyser knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalogue {
    /// The filesystems, by the names of their formats.
    pub filesystems: Vec<&'static str>,
    /// The extractors, by name.
    pub extractors: Vec<ExtractorInfo>,
}

/// One extractor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtractorInfo {
    /// Its stable name, such as `os/dpkg`.
    pub name: &'static str,
    /// Raised whenever a change alters what it finds.
    pub version: u16,
    /// What it reads, as one line for people.
    pub description: &'static str,
    /// Which files it reads, as patterns for people.
    pub reads: Vec<String>,
}
