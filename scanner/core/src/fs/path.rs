//! Paths inside a tree.

use std::fmt;

/// A path from the root of a tree: absolute, without `.`, `..` or empty components, so that it cannot leave the root.
///
/// Symbolic links are not resolved here: that is what the analyser's tree does. Like a Linux path it is a string of any
/// bytes but NUL; [`Display`](fmt::Display) shows what is not UTF-8, and control characters, in an escaped form.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FsPath {
    /// Without the leading `/`: the components, joined by `/`. Empty for the root.
    inner: Vec<u8>,
}

impl FsPath {
    /// The root of the tree.
    pub fn root() -> Self {
        Self::default()
    }

    /// The path that `path` names from the root, with or without a leading `/`. `..` above the root stays at the root,
    /// as it does in Linux.
    ///
    /// ```
    /// use agentless_core::fs::FsPath;
    /// assert_eq!(FsPath::new("/etc/../../usr//lib/./os-release").to_string(), "/usr/lib/os-release");
    /// ```
    pub fn new(path: impl AsRef<[u8]>) -> Self {
        Self::root().join(path)
    }

    /// The path that `relative` names from here. A leading `/` is ignored: the result is never outside the root, but
    /// `..` may lead to a parent of `self`.
    #[must_use]
    pub fn join(&self, relative: impl AsRef<[u8]>) -> Self {
        let mut joined = self.clone();
        for component in relative.as_ref().split(|&byte| byte == b'/') {
            joined.push(component);
        }
        joined
    }

    /// Goes one component further: `.` and the empty component stay, `..` goes up.
    pub fn push(&mut self, component: &[u8]) {
        match component {
            b"" | b"." => {}
            b".." => {
                let parent = self.inner.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                self.inner.truncate(parent);
            }
            name => {
                if !self.inner.is_empty() {
                    self.inner.push(b'/');
                }
                self.inner.extend_from_slice(name);
            }
        }
    }

    /// The names from the root to the file; none for the root.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.inner.split(|&byte| byte == b'/').filter(|name| !name.is_empty())
    }

    /// The last component, `None` for the root.
    pub fn file_name(&self) -> Option<&[u8]> {
        self.components().next_back()
    }

    /// The directory that holds it, `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        (!self.inner.is_empty()).then(|| self.join(".."))
    }

    /// Whether this is `directory`, or below it.
    pub fn starts_with(&self, directory: &Self) -> bool {
        let rest = self.inner.strip_prefix(directory.inner.as_slice());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/") || directory.inner.is_empty())
    }

    /// The path as bytes, without the leading `/`; empty for the root.
    pub fn as_relative_bytes(&self) -> &[u8] {
        &self.inner
    }
}

impl fmt::Display for FsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/")?;
        for chunk in self.inner.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() {
                    write!(f, "{}", character.escape_default())?;
                } else {
                    write!(f, "{character}")?;
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for FsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_normalised() {
        for (given, expected) in [
            ("", "/"),
            ("/", "/"),
            ("a/./b//c/", "/a/b/c"),
            ("/a/b/../../..", "/"),
            ("../../etc/passwd", "/etc/passwd"),
            ("/a/..b/...", "/a/..b/..."),
        ] {
            assert_eq!(FsPath::new(given).to_string(), expected, "{given:?}");
        }
        assert_eq!(FsPath::new("/usr/lib").join("../bin").to_string(), "/usr/bin");
        assert_eq!(FsPath::new("/usr/lib").parent(), Some(FsPath::new("/usr")));
        assert_eq!(FsPath::root().parent(), None);
        let below = |path, directory| FsPath::new(path).starts_with(&FsPath::new(directory));
        assert!(below("/a", "/") && below("/a/b", "/a") && below("/a", "/a") && below("/", "/"));
        assert!(!below("/ab", "/a") && !below("/", "/a") && !below("/b/a", "/a"));
        assert_eq!(FsPath::new("/usr/lib").file_name(), Some(&b"lib"[..]));
    }

    #[test]
    fn names_that_are_not_text_are_shown_escaped() {
        assert_eq!(FsPath::new(b"/a\xff\n\xc3\xa9").to_string(), "/a\\xff\\né");
    }

    proptest! {
        #[test]
        fn no_component_leads_up_and_the_form_is_stable(path in proptest::collection::vec(
            prop_oneof![Just(b'/'), Just(b'.'), any::<u8>()], 0..40))
        {
            let normal = FsPath::new(&path);
            prop_assert!(normal.components().all(|name| !name.is_empty() && name != b"." && name != b".."));
            prop_assert_eq!(FsPath::new(normal.as_relative_bytes()), normal);
        }
    }
}
