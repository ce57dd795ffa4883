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
            self.gaps.push(Gap::new(None, None, reason));
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
    Gap::new(Some(path.to_string()), None, reason)
}

/// What is at a place in a value: names with dots between them. Null if there is nothing.
pub(super) fn at<'a>(value: &'a Value, place: &str) -> &'a Value {
    const NOTHING: &Value = &Value::Null;

    place.split('.').fold(value, |here, name| here.get(name).unwrap_or(NOTHING))
}

/// Bytes of a text about a container. The longest is the reference of an image, with 255 of its name, 128 of its tag and 71 of
/// its digest. Against a thousand containers whose every text is as long as a file.
pub(super) const MOST_TEXT: usize = 512;

/// Texts in a list about a container: the layers of an image, of which Docker allows 127, and its tags.
const MOST_TEXTS: usize = 128;

/// A text that is not empty, and not longer than one of its kind can be.
pub(super) fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty() && text.len() <= MOST_TEXT).map(str::to_owned)
}

/// The texts of a list.
pub(super) fn texts(value: &Value) -> Vec<String> {
    few(value.as_array().into_iter().flatten().filter_map(text))
}

/// A list that is kept for each container: what it has beyond the limit is counted.
pub(super) fn few(texts: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut texts = texts.into_iter();
    let mut few: Vec<_> = texts.by_ref().take(MOST_TEXTS).collect();
    let more = texts.count();
    if more > 0 {
        few.push(format!("… ({more} more)"));
    }
    few
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_for_each_container_is_short() {
        let list: Vec<_> = (0..1000).map(|number| Value::from(format!("tag-{number}"))).collect();
        let tags = texts(&Value::from(list));
        assert_eq!((tags.len(), &tags[0][..], &tags[128][..]), (129, "tag-0", "… (872 more)"));
        assert_eq!(text(&Value::from("n".repeat(512))).map(|name| name.len()), Some(512));
        assert_eq!(text(&Value::from("n".repeat(513))), None);
        assert_eq!(text(&Value::from("")), None);
    }
}
