//! The hash of a file's content, of which holes are no part: a file of terabytes costs what its data costs.

use std::iter;
use std::ops::Range;

use sha2::{Digest, Sha256};

/// Holes are left out in units of this size, aligned to it.
const UNIT: usize = 64 << 10;
/// How much is read at a time.
const BUFFER: usize = 16 * UNIT;
/// Larger files are compared in windows: who reads them without knowing their holes would have to read all of them.
const WHOLE: u64 = 16 << 30;
/// Of such a file the first and the last 4 MiB are read, and as much at the start of equal parts of whole GiB: at most so
/// many.
const WINDOWS: u64 = 64;
const WINDOW: u64 = 4 << 20;

/// Hashes each unit that is not zero, with its position, and the length.
///
/// `next_data` gives the first position from its argument on where there may be data, if there is any; `read` fills what
/// it is given, but for the end of the file.
pub(super) fn digest<E>(
    size: u64,
    mut next_data: impl FnMut(u64) -> Result<Option<u64>, E>,
    mut read: impl FnMut(u64, &mut [u8]) -> Result<usize, E>,
) -> Result<[u8; 32], E> {
    static ZEROS: [u8; UNIT] = [0; UNIT];
    let unit = u64::try_from(UNIT).unwrap();
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; usize::try_from(size).unwrap().min(BUFFER)];
    let mut end = size;
    for window in windows(size) {
        let mut at = window.start;
        while at < window.end {
            let Some(data) = next_data(at)? else { break };
            at = at.max(data / unit * unit);
            let wanted = usize::try_from(window.end.saturating_sub(at)).unwrap().min(buffer.len());
            let given = read(at, &mut buffer[..wanted])?;
            for (part, bytes) in (at..).step_by(UNIT).zip(buffer[..given].chunks(UNIT)) {
                if *bytes != ZEROS[..bytes.len()] {
                    hasher.update(part.to_le_bytes());
                    hasher.update(bytes);
                }
            }
            at += u64::try_from(given).unwrap();
            if given < wanted {
                end = end.min(at);
                break;
            }
        }
    }
    hasher.update(end.to_le_bytes());
    Ok(hasher.finalize().into())
}

/// The parts of a file that are compared.
fn windows(size: u64) -> Vec<Range<u64>> {
    if size <= WHOLE {
        return iter::once(0..size).collect();
    }
    let part = (size / WINDOWS).next_multiple_of(1 << 30);
    let last = (size - WINDOW) / u64::try_from(UNIT).unwrap() * u64::try_from(UNIT).unwrap();
    let mut windows: Vec<_> =
        (0..last).step_by(usize::try_from(part).unwrap()).map(|at| at..at + WINDOW).collect();
    windows.push(last..size);
    windows
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn hash(content: &[u8], starts_of_data: &[u64]) -> [u8; 32] {
        let read = |at: u64, buffer: &mut [u8]| {
            let rest = &content[usize::try_from(at).unwrap().min(content.len())..];
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok::<_, Infallible>(count)
        };
        // Data goes on to the end of its unit, and behind it there is a hole up to the next start.
        let next = |at: u64| {
            let unit = u64::try_from(UNIT).unwrap();
            let later = starts_of_data.iter().find(|&&start| start / unit * unit + unit > at);
            Ok(later.map(|&start| start.max(at)))
        };
        digest(u64::try_from(content.len()).unwrap(), next, read).unwrap()
    }

    #[test]
    fn holes_need_not_be_read_and_data_must_be_where_it_is() {
        let mut content = vec![0; 40 * UNIT + 17];
        content[5] = 1;
        content[33 * UNIT + 100] = 2;
        let everywhere: Vec<u64> = (0..41).map(|part| part * 65_536).collect();
        let all = hash(&content, &everywhere);
        assert_eq!(hash(&content, &[0, 33 * 65_536 + 100]), all);

        let length = content.len();
        assert_ne!(hash(&content[..length - 1], &everywhere), all);
        content.swap(33 * UNIT + 100, 34 * UNIT + 100);
        assert_ne!(hash(&content, &everywhere), all);
    }

    #[test]
    fn the_largest_file_has_few_windows() {
        for size in [0, 1, WHOLE, WHOLE + 1, 1 << 40, (1 << 63) - 1] {
            let windows = windows(size);
            assert!(windows.len() <= 66, "{size}: {}", windows.len());
            assert_eq!(windows.last().unwrap().end, size);
            assert!(windows.is_sorted_by(|a, b| a.end <= b.start), "{size}: {windows:?}");
        }
    }
}
