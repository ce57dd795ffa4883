//! Which files an extractor reads.

use std::ops::Range;

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

/// What an extractor surely reads of a file, so that it is fetched before, together with that of others: where reading has
/// latency, files that are read one after the other are waited for one after the other. What is fetched in vain costs too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// All of it.
    Whole,
    /// The start, such as the header of a program. What that says decides the rest.
    Start,
    /// The end, where an archive says what is in it.
    End,
    /// Both ends, such as of an archive whose first entry says what it is.
    Ends,
}

impl Reads {
    /// The bytes that are worth fetching of a file of this size.
    pub(super) fn ahead(self, size: u64) -> impl Iterator<Item = Range<u64>> {
        /// A larger file is asked for when it is its turn.
        const WHOLE: u64 = 16 << 20;
        /// What a filesystem reads at once: no more than a header needs, as the next byte may be in the next block of a
        /// snapshot.
        const HEADER: u64 = 4 << 10;

        let (start, end) = (0..size.min(HEADER), size.saturating_sub(HEADER)..size);
        let none = 0..0;
        let parts = match self {
            Self::Whole if size > WHOLE => [none.clone(), none],
            Self::Whole => [0..size, none],
            Self::Start => [start, none],
            Self::End => [end, none],
            Self::Ends => [start, end],
        };
        parts.into_iter().filter(|part| !part.is_empty())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_fetched_than_is_read() {
        const MIB: u64 = 1 << 20;
        for (reads, size, expected) in [
            (Reads::Whole, MIB, &[(0, MIB)][..]),
            (Reads::Whole, 17 * MIB, &[]),
            (Reads::Start, 100, &[(0, 100)]),
            (Reads::Start, MIB, &[(0, 4096)]),
            (Reads::End, 100, &[(0, 100)]),
            (Reads::End, MIB, &[(MIB - 4096, MIB)]),
            (Reads::Ends, 0, &[]),
            (Reads::Ends, 100, &[(0, 100), (0, 100)]),
            (Reads::Ends, MIB, &[(0, 4096), (MIB - 4096, MIB)]),
        ] {
            let ahead: Vec<_> = reads.ahead(size).map(|part| (part.start, part.end)).collect();
            assert_eq!(ahead, expected, "{reads:?} of {size}");
        }
    }
}
