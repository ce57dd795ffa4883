//! Package lists in standard formats.
//!
//! A [`Document`](document::Document) is made of a report once and says everything that is to be written; each format is a
//! writer of it: CycloneDX in [JSON](cyclonedx::json) and [protocol buffers](cyclonedx::protobuf), and [SPDX](self::spdx).

pub mod cyclonedx;
pub mod document;
mod purl;
pub mod spdx;
#[cfg(test)]
pub(crate) mod testing;

/// A standard format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// CycloneDX 1.6 in JSON.
    CyclonedxJson,
    /// CycloneDX 1.4 in protocol buffers.
    CyclonedxProtobuf,
    /// SPDX 2.3 in JSON.
    SpdxJson,
}

impl Format {
    /// How the names of files in this format end.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::CyclonedxJson => ".cdx.json",
            Self::CyclonedxProtobuf => ".cdx.bin",
            Self::SpdxJson => ".spdx.json",
        }
    }

    /// Writes a document in this format.
    pub fn write(self, document: &document::Document, writer: impl std::io::Write) -> std::io::Result<()> {
        match self {
            Self::CyclonedxJson => cyclonedx::json::write(document, writer),
            Self::CyclonedxProtobuf => cyclonedx::protobuf::write(document, writer),
            Self::SpdxJson => spdx::write(document, writer),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The lists of these tests as files, which `tests/tests/consumers` gives to programs of others. `UPDATE_GOLDEN=1` writes them
    /// anew; a change of the formats shows in a review.
    #[test]
    fn lists_are_those_of_the_golden_files() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/lists");
        let all = testing::all(&testing::report()).into_iter();
        let names = ["host", "container"];
        let lists = names.into_iter().zip(all).chain([("target", testing::document())]);
        for (name, list) in lists {
            for format in [Format::CyclonedxJson, Format::CyclonedxProtobuf, Format::SpdxJson] {
                let golden = folder.join(format!("{name}{}", format.suffix()));
                let mut bytes = Vec::new();
                format.write(&list, &mut bytes).unwrap();
                if std::env::var_os("UPDATE_GOLDEN").is_some() {
                    std::fs::create_dir_all(&folder).unwrap();
                    std::fs::write(&golden, &bytes).unwrap();
                }
                let is_same = std::fs::read(&golden).unwrap() == bytes;
                assert!(is_same, "{}: see the test's comment", golden.display());
            }
        }
    }
}
