//! Which files an extractor reads.

/// Which files an extractor reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interest {
    /// Exactly this path. It is looked up, and links on the way are followed.
    Exact(&'static str),
    /// Every file directly in this directory, which is looked up.
    Within(&'static str),
    /// Every regular file of this name, wherever it is.
    Name(&'static str),
    /// Every regular file whose name ends like this, wherever it is. In lower case: names are compared without case.
    Suffix(&'static str),
    /// Every regular file that somebody may execute and that has at least so many bytes, wherever it is.
    Executable {
        /// Bytes.
        least: u64,
    },
}

impl Interest {
    /// The interest as a pattern for people: a path, or a directory's files.
    pub fn pattern(self) -> String {
        match self {
            Self::Exact(path) => path.to_owned(),
            Self::Within(directory) => format!("{directory}/*"),
            Self::Name(name) => format!("**/{name}"),
            Self::Suffix(suffix) => format!("**/*{suffix}"),
            Self::Executable { least } => format!("executables of at least {least} bytes"),
        }
    }

    /// Whether nothing less than a walk over everything finds these files.
    pub fn needs_a_walk(self) -> bool {
        match self {
            Self::Exact(_) | Self::Within(_) => false,
            Self::Name(_) | Self::Suffix(_) | Self::Executable { .. } => true,
        }
    }
}
