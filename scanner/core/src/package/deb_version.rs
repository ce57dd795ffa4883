//! The versions of Debian packages.

/// The parts of a Debian version, `[epoch:]upstream[-revision]` (Debian Policy, section 5.6.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DebVersion<'a> {
    /// Zero where it is not written.
    pub epoch: u64,
    /// The upstream version.
    pub upstream: &'a str,
    /// The distribution's revision: what follows the last hyphen.
    pub revision: Option<&'a str>,
}

impl<'a> DebVersion<'a> {
    /// Splits a version. Anything can be split: what is not an epoch belongs to the upstream version.
    pub fn new(version: &'a str) -> Self {
        let (epoch, rest) = match version.split_once(':').map(|(epoch, rest)| (epoch.parse(), rest)) {
            Some((Ok(epoch), rest)) => (epoch, rest),
            _ => (0, version),
        };
        match rest.rsplit_once('-') {
            Some((upstream, revision)) => Self { epoch, upstream, revision: Some(revision) },
            None => Self { epoch, upstream: rest, revision: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_split_as_the_policy_says() {
        for (version, epoch, upstream, revision) in [
            ("2.38.1-5+deb12u3", 0, "2.38.1", Some("5+deb12u3")),
            ("1:2.38.1-5+b1", 1, "2.38.1", Some("5+b1")),
            ("3.134", 0, "3.134", None),
            ("1-2-3", 0, "1-2", Some("3")),
            ("2:1:3-4", 2, "1:3", Some("4")),
            ("x:1-2", 0, "x:1", Some("2")),
            ("", 0, "", None),
        ] {
            assert_eq!(DebVersion::new(version), DebVersion { epoch, upstream, revision }, "{version}");
        }
    }
}
