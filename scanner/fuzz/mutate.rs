//! The seeds of fuzzing and mutations of them, for tests that run them without a fuzzer.

use std::fs;
use std::path::Path;

/// The seeds of a fuzz target, by name.
pub(crate) fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|above| above.join("scanner/fuzz/corpus"))
        .find(|corpus| corpus.is_dir())
        .unwrap()
        .join(target);
    let mut seeds: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap())
        })
        .collect();
    seeds.sort();
    assert!(!seeds.is_empty());
    seeds
}

/// Damages encoded images: the same way in every run.
pub(crate) struct Mutator {
    state: u64,
}

impl Mutator {
    pub(crate) fn new() -> Self {
        Self { state: 0x9e37_79b9_7f4a_7c15 }
    }

    /// Xorshift64*.
    fn random(&mut self, below: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let mixed = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(mixed).unwrap() % below
    }

    /// Changes up to sixteen places: bits, bytes, whole numbers that are extreme, and numbers copied from elsewhere.
    pub(crate) fn mutate(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut mutated = seed.to_vec();
        for _ in 0..=self.random(16) {
            // On-disk numbers are aligned; so are the sectors of the encoding, behind a header of four bytes.
            let at = self.random(mutated.len() / 4 - 1) * 4;
            match self.random(6) {
                0 => mutated[at + self.random(4)] ^= 1 << self.random(8),
                1 => mutated[at + self.random(4)] = u8::try_from(self.random(256)).unwrap(),
                2 => mutated[at..at + 4].fill(0xff),
                3 => mutated[at..at + 4].fill(0),
                4 => {
                    let from = self.random(mutated.len() / 4 - 1) * 4;
                    mutated.copy_within(from..from + 4, at);
                }
                _ => {
                    let number = u16::from_le_bytes([mutated[at], mutated[at + 1]]);
                    let near = number.wrapping_add(u16::try_from(self.random(5)).unwrap()).wrapping_sub(2);
                    mutated[at..at + 2].copy_from_slice(&near.to_le_bytes());
                }
            }
        }
        mutated
    }
}
