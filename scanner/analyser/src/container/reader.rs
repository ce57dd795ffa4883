//! The files of a store, as far as they can be read.

use agentless_core::findings::Gap;
use serde_json::Value;

use crate::fs::{FileType, FsError, FsPath, Node, Tree};

/// Reads files of a store, and notes what could not be read.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) tree: &'a Tree,
    pub(super) gaps: Vec<Gap>,
    /// Gaps beyond those that are reported one by one.
    more: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(tree: &'a Tree) -> Self {
        Self { tree, gaps: Vec::new(), more: 0 }
    }

    pub(super) fn finish(mut self) -> Vec<Gap> {
        if self.more > 0 {
            let reason = format!("{} more problems with containers", self.more);
            self.gaps.push(Gap { path: None, extractor: None, reason });
        }
        self.gaps
    }

    pub(super) fn gap(&mut self, path: &FsPath, reason: impl Into<String>) {
        if self.gaps.len() < self.tree.limits().gaps {
            self.gaps.push(gap(path, reason));
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    /// A directory, if there is one.
    pub(super) fn directory(&mut self, path: &FsPath) -> Option<Node> {
        match self.tree.lookup(path) {
            Ok(found) => {
                found.filter(|(_, stat)| stat.file_type == FileType::Directory).map(|(node, _)| node)
            }
            Err(error) => {
                self.gap(path, crate::chain(&error));
                None
            }
        }
    }

    /// The names in a directory; none if there is no such directory.
    pub(super) fn names(&mut self, path: &FsPath) -> Vec<Vec<u8>> {
        if self.directory(path).is_none() {
            return Vec::new();
        }
        let entries = self.tree.read_dir(path).unwrap_or_else(|error| {
            self.gap(path, crate::chain(&error));
            None
        });
        entries.unwrap_or_default().into_iter().map(|entry| entry.name).collect()
    }

    /// A small file's bytes, if there is one.
    pub(super) fn bytes(&mut self, path: &FsPath) -> Option<Vec<u8>> {
        let read =
            || -> Result<_, FsError> { self.tree.open(path)?.map(|file| file.read_small()).transpose() };
        read().unwrap_or_else(|error| {
            self.gap(path, crate::chain(&error));
            None
        })
    }

    /// A small file's text, without space around it.
    pub(super) fn text(&mut self, path: &FsPath) -> Option<String> {
        let bytes = self.bytes(path)?;
        Some(String::from_utf8_lossy(bytes.trim_ascii()).into_owned())
    }

    /// A small file of JSON.
    pub(super) fn json(&mut self, path: &FsPath) -> Option<Value> {
        let bytes = self.bytes(path)?;
        match serde_json::from_slice(&bytes) {
            Ok(value) => Some(value),
            Err(error) => {
                self.gap(path, format!("it is not JSON: {error}"));
                None
            }
        }
    }
}

pub(super) fn gap(path: &FsPath, reason: impl Into<String>) -> Gap {
    Gap { path: Some(path.to_string()), extractor: None, reason: reason.into() }
}

/// What is at a place in a value: names with dots between them. Null if there is nothing.
pub(super) fn at<'a>(value: &'a Value, place: &str) -> &'a Value {
    const NOTHING: &Value = &Value::Null;

    place.split('.').fold(value, |here, name| here.get(name).unwrap_or(NOTHING))
}

/// A text that is not empty.
pub(super) fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The texts of a list.
pub(super) fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(text).collect()
}

/// Operating system and architecture, with the variant where there is one, as `linux/arm64/v8`: the same fields are in an
/// image's configuration and in a descriptor's platform (OCI image specification, "Image Configuration").
pub(super) fn platform(value: &Value) -> Option<String> {
    let (system, architecture) = (text(at(value, "os"))?, text(at(value, "architecture"))?);
    let variant = text(at(value, "variant")).map(|variant| format!("/{variant}")).unwrap_or_default();
    Some(format!("{system}/{architecture}{variant}"))
}

/// Whether a text is a name that can be put into a path: what stores name their files by is.
pub(super) fn is_plain(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.is_empty() && name.bytes().all(is_letter) && name != "." && name != ".."
}
