//! The identifiers of physical volumes, logical volumes and groups: LVM2's own, not those of RFC 9562.

use std::fmt;

/// 32 letters and digits, as in `struct id` of LVM2's `lib/uuid/uuid.h`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uuid(pub(super) [u8; 32]);

impl Uuid {
    /// From its written form: with dashes, or without.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let characters: Vec<u8> = text.bytes().filter(|&byte| byte != b'-').collect();
        characters.try_into().ok().map(Self)
    }
}

/// As LVM2's tools write it: in groups of 6, 4, 4, 4, 4, 4 and 6.
impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, &byte) in self.0.iter().enumerate() {
            if (6..=26).contains(&at) && at % 4 == 2 {
                f.write_str("-")?;
            }
            write!(f, "{}", char::from(byte).escape_default())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_as_it_is_read() {
        let text = "0Ytc6g-fxBp-v1sg-Cvjf-nYHL-3Kce-fsFAV4";
        assert_eq!(Uuid::parse(text).unwrap().to_string(), text);
        assert_eq!(Uuid::parse(&text.replace('-', "")).unwrap().to_string(), text);
        assert_eq!(Uuid::parse("0Ytc6g"), None);
    }
}
