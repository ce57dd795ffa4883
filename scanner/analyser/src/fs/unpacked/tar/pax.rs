//! Extended headers of pax: records `LENGTH KEY=VALUE` and a new line, the length being that of the whole record.

/// What such headers say of an entry, as far as it is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) target: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    /// The content is a sparse file's, in one of the forms of GNU tar.
    pub(super) is_sparse: bool,
}

impl Records {
    /// Adds those of one extended header. None if it is damaged.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Option<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let space = rest.iter().position(|&byte| byte == b' ')?;
            let length: usize = str::from_utf8(rest.get(..space)?).ok()?.parse().ok()?;
            let record = rest.get(space.checked_add(1)?..length)?.strip_suffix(b"\n")?;
            let equals = record.iter().position(|&byte| byte == b'=')?;
            let (key, value) = record.split_at_checked(equals)?;
            let value = value.get(1..).unwrap_or_default();
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.target = Some(value.to_vec()),
                b"size" => self.size = Some(str::from_utf8(value).ok()?.parse().ok()?),
                _ if key.starts_with(b"GNU.sparse.") => self.is_sparse = true,
                _ => {}
            }
            rest = rest.get(length..)?;
        }
        Some(())
    }

    /// These, and where they say nothing those of the whole archive.
    pub(super) fn or(self, global: &Self) -> Self {
        Self {
            path: self.path.or_else(|| global.path.clone()),
            target: self.target.or_else(|| global.target.clone()),
            size: self.size.or(global.size),
            is_sparse: self.is_sparse || global.is_sparse,
        }
    }
}

/// A field up to its first zero.
pub(super) fn until_zero(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_the_length_that_they_say() {
        let mut records = Records::default();
        records.read(b"12 path=a=b\n\n11 size=123\n").ok_or(()).unwrap_err();
        let mut records = Records::default();
        records.read(b"12 path=a=b\n13 size=1234\n22 GNU.sparse.major=1\n").unwrap();
        let expected =
            Records { path: Some(b"a=b".to_vec()), target: None, size: Some(1234), is_sparse: true };
        assert_eq!(records, expected);
        for damaged in
            [&b"5"[..], b"0 a=b\n", b"7 a=b\n", b"99 a=b\n", b"6 a=bc\n", b"18446744073709551615 a=b\n"]
        {
            assert_eq!(Records::default().read(damaged), None, "{damaged:?}");
        }
    }
}
