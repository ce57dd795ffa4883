//! Disks that were made to do harm: the fuzz corpus, and thousands of mutations of each of its images.
//!
//! What a parser says about them does not matter here. That it says something does: no panic, no abort, and no more work
//! than the limits allow. Anything that is ever found by fuzzing belongs into `scanner/fuzz/corpus`, where these tests
//! replay it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "the helpers of tests fail as tests do, and print figures"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use agentless_scanner::fs::{FsError, fstab, survey};

/// The seeds of a fuzz target, by name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
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

/// Damages an encoded image: always the same way for the same `random`.
struct Mutator {
    state: u64,
}

impl Mutator {
    /// Xorshift64*.
    fn random(&mut self, below: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let mixed = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(mixed).unwrap() % below
    }

    /// Changes up to sixteen places: bits, bytes, whole numbers that are extreme, and numbers copied from elsewhere.
    fn mutate(&mut self, seed: &[u8]) -> Vec<u8> {
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

/// Runs `parse` on every seed of a target and on `count` mutations of each.
fn torment<T>(target: &str, count: usize, parse: impl Fn(&[u8]) -> Result<T, FsError>) {
    torment_sealed(target, count, |_| |_: &mut [u8]| (), parse);
}

/// As [`torment`]; `seal` makes from a seed what makes the checksums of its mutations right.
fn torment_sealed<T, S: Fn(&mut [u8])>(
    target: &str,
    count: usize,
    seal: impl Fn(&[u8]) -> S,
    parse: impl Fn(&[u8]) -> Result<T, FsError>,
) {
    let started = Instant::now();
    let (mut readable, mut slowest) = (0_u32, Duration::ZERO);
    let seeds = corpus(target);
    for (name, seed) in &seeds {
        // A seed that cannot be read at all would test nothing. Those that fuzzing found are named `crash-…`.
        let whole = parse(seed);
        assert!(whole.is_ok() || name.starts_with("crash-"), "{target}/{name}: {:?}", whole.err());
        let mut mutator = Mutator { state: 0x9e37_79b9_7f4a_7c15 };
        let seal = seal(seed);
        for _ in 0..count {
            let mut mutated = mutator.mutate(seed);
            seal(&mut mutated);
            let began = Instant::now();
            readable += u32::from(parse(&mutated).is_ok());
            slowest = slowest.max(began.elapsed());
        }
    }
    println!(
        "{target}: {} seeds with {count} mutations each, {readable} of them readable, {:.1?} in all, slowest {slowest:.1?}",
        seeds.len(),
        started.elapsed()
    );
}

#[test]
fn partition_tables() {
    torment("partition_table", 1000, survey::encoded_disk);
}

#[test]
fn file_systems() {
    torment("ext4", 400, survey::encoded_volume);
}

#[test]
fn tables_of_mounts() {
    torment("fstab", 2000, |content| -> Result<(), FsError> {
        fstab::fuzz_fstab(content);
        Ok(())
    });
}

#[test]
fn journals() {
    torment("journal", 2000, survey::encoded_journal);
}

#[test]
fn xfs() {
    torment("xfs", 100, survey::encoded_volume);
    // Most mutations end at a structure's checksum; with those made right, they reach what is behind.
    torment_sealed(
        "xfs",
        500,
        |seed| {
            let checksums = checksums(seed);
            move |mutated: &mut [u8]| seal_metadata(mutated, &checksums)
        },
        survey::encoded_volume,
    );
}

/// A checksum in an encoded image: the number of the sector where what it covers begins, how many bytes that has, and where
/// within it the checksum is.
type Checksum = (u32, usize, usize);

/// Finds the checksums of XFS's metadata: each of its structures begins at a sector, and has its checksum, computed as if
/// that were zero, at one of a few places.
fn checksums(seed: &[u8]) -> Vec<Checksum> {
    let sectors = sectors(seed);
    let mut found = Vec::new();
    for &number in sectors.keys() {
        // Blocks of directories, of indexes and of values, inodes, blocks of trees, and the superblock.
        let candidates = [4, 12, 100, 64, 224]
            .into_iter()
            .flat_map(|field| [512, 1024, 4096].into_iter().map(move |length| (number, length, field)));
        found.extend(candidates.filter(|&checksum| {
            let structure = structure(seed, &sectors, checksum);
            let (at, recorded) = (checksum.2, crc32c::crc32c(&structure).to_le_bytes());
            seed[sectors[&number] + at..][..4] == recorded
        }));
    }
    found
}

/// Makes the checksums at these places right in an encoded image.
fn seal_metadata(encoded: &mut [u8], checksums: &[Checksum]) {
    let sectors = sectors(encoded);
    for &checksum in checksums {
        let crc = crc32c::crc32c(&structure(encoded, &sectors, checksum));
        if let Some(&at) = sectors.get(&checksum.0) {
            encoded[at + checksum.2..][..4].copy_from_slice(&crc.to_le_bytes());
        }
    }
}

/// What a checksum covers, with the checksum itself as zeros.
fn structure(encoded: &[u8], sectors: &BTreeMap<u32, usize>, (number, length, field): Checksum) -> Vec<u8> {
    let count = u32::try_from(length / 512).unwrap();
    let of_sector = |number: u32| sectors.get(&number).map_or(&[0; 512][..], |&at| &encoded[at..at + 512]);
    let mut structure =
        (number..number.saturating_add(count)).flat_map(of_sector).copied().collect::<Vec<_>>();
    structure[field..field + 4].fill(0);
    structure
}

/// The sectors that an encoded image has, by their numbers: where their content begins.
fn sectors(encoded: &[u8]) -> BTreeMap<u32, usize> {
    (4..encoded.len().saturating_sub(515))
        .step_by(516)
        .map(|at| (u32::from_le_bytes(encoded[at..at + 4].try_into().unwrap()), at + 4))
        .collect()
}

#[test]
fn logs() {
    torment("xfs_log", 1000, |encoded| survey::encoded_log(encoded).map(drop));
    // Most mutations end at a record's checksum; with that made right, they reach what is behind it.
    torment_sealed("xfs_log", 2000, |_| seal_log, |encoded| survey::encoded_log(encoded).map(drop));
}

/// Makes the checksums of all log records right in an encoded image.
fn seal_log(encoded: &mut [u8]) {
    let word = |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let sectors = sectors(encoded);
    for (&number, &at) in &sectors {
        let header = &encoded[at..at + 512];
        if !header.starts_with(&[0xfe, 0xed, 0xba, 0xbe]) {
            continue;
        }
        let (length, size) = (word(header, 12).min(256 << 10), word(header, 320).min(256 << 10));
        let headers = if word(header, 8) == 2 { size.div_ceil(32 << 10).max(1) } else { 1 };
        let sector = |index: u32| {
            let place = number.checked_add(index).and_then(|number| sectors.get(&number));
            place.map_or(&[0; 512][..], |&at| &encoded[at..at + 512])
        };
        let mut covered = [&header[..32], &[0; 4], &header[36..328]].concat();
        for index in 1..length.div_ceil(32 << 10) {
            covered.extend_from_slice(&sector(index)[..260]);
        }
        let data = (0..length.div_ceil(512)).flat_map(|index| sector(headers + index));
        covered.extend(data.take(usize::try_from(length).unwrap()));
        let crc = crc32c::crc32c(&covered);
        encoded[at + 32..at + 36].copy_from_slice(&crc.to_le_bytes());
    }
}
