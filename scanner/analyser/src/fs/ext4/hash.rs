//! The hashes by which an htree sorts names: `fs/ext4/hash.c` defines them.
//!
//! All arithmetic is modulo 2³².

use crate::fs::ext4::superblock::Superblock;

/// `dx_root_info.hash_version`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HashVersion {
    Legacy,
    HalfMd4,
    Tea,
}

/// The function that a directory uses, and whether it takes characters as unsigned. `None` for one that needs a key, or is
/// unknown.
pub(super) fn version(recorded: u8, sb: &Superblock) -> Option<(HashVersion, bool)> {
    match recorded {
        0 => Some((HashVersion::Legacy, sb.hash_unsigned)),
        1 => Some((HashVersion::HalfMd4, sb.hash_unsigned)),
        2 => Some((HashVersion::Tea, sb.hash_unsigned)),
        3 => Some((HashVersion::Legacy, true)),
        4 => Some((HashVersion::HalfMd4, true)),
        5 => Some((HashVersion::Tea, true)),
        _ => None,
    }
}

/// The major hash of `name`, without the lowest bit, which marks collisions.
pub(super) fn hash(name: &[u8], version: HashVersion, unsigned: bool, seed: [u32; 4]) -> u32 {
    let hash = match version {
        HashVersion::Legacy => legacy(name, unsigned),
        HashVersion::HalfMd4 => {
            let mut state = seed;
            for chunk in chunks(name, 32) {
                half_md4(&mut state, words(chunk, unsigned));
            }
            state[1]
        }
        HashVersion::Tea => {
            let mut state = seed;
            for chunk in chunks(name, 16) {
                tea(&mut state, words(chunk, unsigned));
            }
            state[0]
        }
    } & !1;
    // The greatest value means "end of directory".
    if hash == 0xffff_fffe { 0xffff_fffc } else { hash }
}

/// What remains of the name before each round: the padding depends on how much that is.
fn chunks(name: &[u8], size: usize) -> impl Iterator<Item = &[u8]> {
    (0..name.len()).step_by(size).map(|at| name.get(at..).unwrap_or_default())
}

fn character(byte: u8, unsigned: bool) -> u32 {
    if unsigned { u32::from(byte) } else { i32::from(byte.cast_signed()).cast_unsigned() }
}

/// The first `N` words of `rest`, each of four characters; what is missing is padded with the length.
fn words<const N: usize>(rest: &[u8], unsigned: bool) -> [u32; N] {
    let length = u32::try_from(rest.len()).unwrap_or(0);
    let pad = length | (length << 8);
    let pad = pad | (pad << 16);
    let mut characters = rest.chunks(4);
    [(); N].map(|()| {
        characters
            .next()
            .unwrap_or_default()
            .iter()
            .fold(pad, |word, &byte| character(byte, unsigned).wrapping_add(word << 8))
    })
}

/// The hash of the first htrees, before there was a seed.
fn legacy(name: &[u8], unsigned: bool) -> u32 {
    let (mut previous, mut before) = (0x12a3_fe2d_u32, 0x37ab_e8f9_u32);
    for &byte in name {
        let mixed = previous ^ character(byte, unsigned).wrapping_mul(7_152_373);
        let mut next = before.wrapping_add(mixed);
        if next & 0x8000_0000 != 0 {
            next = next.wrapping_sub(0x7fff_ffff);
        }
        before = previous;
        previous = next;
    }
    previous << 1
}

/// MD4 with its three rounds cut to half their length.
fn half_md4(state: &mut [u32; 4], input: [u32; 8]) {
    type Mix = fn(u32, u32, u32) -> u32;
    const ROUNDS: [(Mix, u32, [usize; 8], [u32; 4]); 3] = [
        (|x, y, z| z ^ (x & (y ^ z)), 0, [0, 1, 2, 3, 4, 5, 6, 7], [3, 7, 11, 19]),
        (|x, y, z| (x & y).wrapping_add((x ^ y) & z), 0x5a82_7999, [1, 3, 5, 7, 0, 2, 4, 6], [3, 5, 9, 13]),
        (|x, y, z| x ^ y ^ z, 0x6ed9_eba1, [3, 7, 2, 6, 1, 5, 0, 4], [3, 9, 11, 15]),
    ];
    let [mut a, mut b, mut c, mut d] = *state;
    for (mix, constant, order, shifts) in ROUNDS {
        for (index, shift) in order.into_iter().zip(shifts.into_iter().cycle()) {
            let word = input.get(index).copied().unwrap_or(0);
            let mixed = a.wrapping_add(mix(b, c, d)).wrapping_add(word).wrapping_add(constant);
            (a, b, c, d) = (d, mixed.rotate_left(shift), b, c);
        }
    }
    for (word, mixed) in state.iter_mut().zip([a, b, c, d]) {
        *word = word.wrapping_add(mixed);
    }
}

/// The Tiny Encryption Algorithm as a hash: the name is the key.
fn tea(state: &mut [u32; 4], [a, b, c, d]: [u32; 4]) {
    let [mut first, mut second, ..] = *state;
    let mut sum = 0_u32;
    for _ in 0..16 {
        sum = sum.wrapping_add(0x9e37_79b9);
        first = first.wrapping_add(
            (second << 4).wrapping_add(a) ^ second.wrapping_add(sum) ^ (second >> 5).wrapping_add(b),
        );
        second = second.wrapping_add(
            (first << 4).wrapping_add(c) ^ first.wrapping_add(sum) ^ (first >> 5).wrapping_add(d),
        );
    }
    state[0] = state[0].wrapping_add(first);
    state[1] = state[1].wrapping_add(second);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From `debugfs -R "dx_hash -h FUNCTION -s 01020304-0506-0708-090a-0b0c0d0e0f10 NAME"` of e2fsprogs.
    #[test]
    fn hashes_are_those_of_e2fsprogs() {
        const SEED: [u32; 4] = [0x0403_0201, 0x0807_0605, 0x0c0b_0a09, 0x100f_0e0d];
        let names = ["a", "hello.txt", "a-name-that-is-longer-than-thirty-two-characters-in-all", "café"];
        for (version, expected) in [
            (HashVersion::Legacy, [0xe74b_53e2, 0x65a0_5776, 0x8253_6c3a, 0x96ca_5a2c]),
            (HashVersion::HalfMd4, [0x8d08_ec4c, 0xac15_d19c, 0xf3a3_cef0, 0xeeef_3446]),
            (HashVersion::Tea, [0xf535_28f0, 0x8912_606c, 0xa8d4_3f14, 0x3037_ce66]),
        ] {
            let found = names.map(|name| hash(name.as_bytes(), version, false, SEED));
            assert_eq!(found, expected, "{version:?}");
        }
        // Only characters above 127 are hashed differently where they are unsigned.
        for name in names {
            let same = hash(name.as_bytes(), HashVersion::HalfMd4, true, SEED)
                == hash(name.as_bytes(), HashVersion::HalfMd4, false, SEED);
            assert_eq!(same, name.is_ascii(), "{name}");
        }
    }
}
