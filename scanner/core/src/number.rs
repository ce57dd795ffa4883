//! Conversions of lengths and indices.

/// A length or an index as `u64`: no conversion loses anything on a platform this runs on.
pub fn to_u64(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

/// An on-disk number as an index: what does not fit becomes an index that is in no slice.
pub fn to_usize(value: impl TryInto<usize>) -> usize {
    value.try_into().unwrap_or(usize::MAX)
}
