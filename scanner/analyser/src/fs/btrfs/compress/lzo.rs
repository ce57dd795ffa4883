//! LZO1X, and the frame that Btrfs puts around it.
//!
//! Written from the description of the stream in the kernel's documentation, `staging/lzo.rst`; the frame is described in
//! its `fs/btrfs/lzo.c`.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use crate::volume::bytes::{Bytes, to_usize};

/// The length of the number before the extent, and before each of its segments.
const LENGTH: usize = 4;

/// Decompresses an extent: its length in bytes with this number itself, then segments that each hold one sector of
/// content, each behind its length. A length does not go across the end of a sector.
pub(super) fn decompress_extent(
    source: &[u8],
    dst: &mut [u8],
    sector_size: usize,
) -> Result<(), &'static str> {
    let total = to_usize(Bytes(source).le32(0).map_err(|_| "it is too short for LZO")?);
    let source = source.get(..total).ok_or("its LZO length is more than it has")?;
    let mut at = LENGTH;
    for sector in dst.chunks_mut(sector_size.max(1)) {
        let left = sector_size.saturating_sub(at.checked_rem(sector_size).unwrap_or(0));
        if left < LENGTH {
            at = at.saturating_add(left);
        }
        if at >= source.len() {
            break;
        }
        let length = to_usize(Bytes(source).le32(at).map_err(|_| "its last LZO segment has no length")?);
        at = at.saturating_add(LENGTH);
        let segment = Bytes(source).get(at, length).map_err(|_| "an LZO segment is not within it")?;
        at = at.saturating_add(length);
        decompress(segment, sector)?;
    }
    Ok(())
}

/// Decompresses one LZO1X stream, and returns how many bytes it gave. A stream that gives more than `dst` has room for is
/// an error.
fn decompress(source: &[u8], dst: &mut [u8]) -> Result<usize, &'static str> {
    let mut stream = Stream { source, at: 0, dst, filled: 0 };
    // How many literals the instruction before copied, 4 standing for more: it decides what the lowest instructions mean.
    let mut state;
    let first = stream.peek()?;
    if first > 17 {
        stream.at = 1;
        let count = usize::from(first.saturating_sub(17));
        stream.literals(count)?;
        state = count.min(4);
    } else {
        state = 0;
    }
    loop {
        let instruction = stream.byte()?;
        let low = usize::from(instruction);
        let (distance, length, literals) = match instruction {
            // A run of literals, or a short match whose meaning depends on what was before.
            0..=15 if state == 0 => {
                let count = if low == 0 { stream.long_length(15)? } else { low };
                stream.literals(count.saturating_add(3))?;
                state = 4;
                continue;
            }
            0..=15 => {
                let high = usize::from(stream.byte()?) << 2;
                let distance = (low >> 2).saturating_add(high).saturating_add(1);
                if state == 4 { (distance.saturating_add(2048), 3, low & 3) } else { (distance, 2, low & 3) }
            }
            16..=31 => {
                let count = low & 7;
                let count = if count == 0 { stream.long_length(7)? } else { count };
                let pair = stream.pair()?;
                let distance = ((low & 8) << 11).saturating_add(pair >> 2);
                if distance == 0 {
                    return Ok(stream.filled);
                }
                (distance.saturating_add(16_384), count.saturating_add(2), pair & 3)
            }
            32..=63 => {
                let count = low & 31;
                let count = if count == 0 { stream.long_length(31)? } else { count };
                let pair = stream.pair()?;
                ((pair >> 2).saturating_add(1), count.saturating_add(2), pair & 3)
            }
            64..=127 => {
                let high = usize::from(stream.byte()?) << 3;
                let distance = ((low >> 2) & 7).saturating_add(high).saturating_add(1);
                (distance, ((low >> 5) & 1).saturating_add(3), low & 3)
            }
            128..=255 => {
                let high = usize::from(stream.byte()?) << 3;
                let distance = ((low >> 2) & 7).saturating_add(high).saturating_add(1);
                (distance, ((low >> 5) & 3).saturating_add(5), low & 3)
            }
        };
        stream.repeat(distance, length)?;
        stream.literals(literals)?;
        state = literals;
    }
}

struct Stream<'a> {
    source: &'a [u8],
    at: usize,
    dst: &'a mut [u8],
    filled: usize,
}

impl Stream<'_> {
    fn peek(&self) -> Result<u8, &'static str> {
        self.source.get(self.at).copied().ok_or("an LZO stream has no end")
    }

    fn byte(&mut self) -> Result<u8, &'static str> {
        let byte = self.peek()?;
        self.at = self.at.saturating_add(1);
        Ok(byte)
    }

    /// Two bytes, little-endian.
    fn pair(&mut self) -> Result<usize, &'static str> {
        Ok(usize::from(u16::from_le_bytes([self.byte()?, self.byte()?])))
    }

    /// A length that did not fit into its instruction: each zero byte adds 255, and the first other one ends it.
    fn long_length(&mut self, base: usize) -> Result<usize, &'static str> {
        let mut length = base;
        loop {
            match self.byte()? {
                0 => length = length.saturating_add(255),
                last => return Ok(length.saturating_add(usize::from(last))),
            }
        }
    }

    fn literals(&mut self, count: usize) -> Result<(), &'static str> {
        let source = self.source.get(self.at..self.at.saturating_add(count));
        let source = source.ok_or("an LZO stream has no end")?;
        let end = self.filled.saturating_add(count);
        self.dst.get_mut(self.filled..end).ok_or(TOO_LONG)?.copy_from_slice(source);
        self.at = self.at.saturating_add(count);
        self.filled = end;
        Ok(())
    }

    /// Copies `length` bytes from `distance` bytes before; where that is less, what was copied is copied again.
    fn repeat(&mut self, distance: usize, length: usize) -> Result<(), &'static str> {
        let start = self.filled.checked_sub(distance).ok_or("an LZO match begins before the start")?;
        let end = self.filled.saturating_add(length);
        if end > self.dst.len() {
            return Err(TOO_LONG);
        }
        let mut from = start;
        while self.filled < end {
            // What is there grows with each round, so that a run of one byte is not copied byte by byte.
            let count = self.filled.saturating_sub(from).min(end.saturating_sub(self.filled));
            self.dst.copy_within(from..from.saturating_add(count), self.filled);
            self.filled = self.filled.saturating_add(count);
            from = start;
        }
        Ok(())
    }
}

const TOO_LONG: &str = "an LZO stream is longer than its sector";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decompressed(source: &[u8], room: usize) -> Result<Vec<u8>, &'static str> {
        let mut dst = vec![0; room];
        let length = decompress(source, &mut dst)?;
        dst.truncate(length);
        Ok(dst)
    }

    const END: [u8; 3] = [0x11, 0, 0];

    fn stream(instructions: &[&[u8]]) -> Vec<u8> {
        [&instructions.concat()[..], &END].concat()
    }

    /// Streams written by hand, instruction by instruction, from the description.
    #[test]
    fn each_instruction() {
        let literals = |bytes: &[u8]| [&[u8::try_from(bytes.len()).unwrap() + 17][..], bytes].concat();
        let abcdefgh = literals(b"abcdefgh");
        let after = |instructions: &[&[u8]]| {
            let stream = stream(&[&[&abcdefgh[..]], instructions].concat());
            String::from_utf8(decompressed(&stream, 400).unwrap()[8..].to_vec()).unwrap()
        };
        // 0 1 L D D D S S: length 3 + L; distance D from 1.
        assert_eq!(after(&[&[0b0100_1101, 0, b'X']]), "efgX");
        assert_eq!(after(&[&[0b0111_1100, 0]]), "abcd");
        // 1 L L D D D S S: length 5 + L.
        assert_eq!(after(&[&[0b1110_0000, 0]]), "hhhhhhhh");
        assert_eq!(after(&[&[0b1000_0010, 0, b'X', b'Y']]), "hhhhhXY");
        // 0 0 1 L L L L L: length 2 + L; two bytes of distance and literals.
        assert_eq!(after(&[&[0b0010_0010, (1 << 2) | 1, 0, b'X']]), "ghghX");
        // The same with a length in the next byte: 31 + 2 + 1.
        assert_eq!(after(&[&[0b0010_0000, 1, 0, 0]]), "h".repeat(34));
        // And with two: 31 + 255 + 2 + 2.
        assert_eq!(after(&[&[0b0010_0000, 0, 2, 0, 0]]), "h".repeat(290));
        // After one to three literals, 0 0 0 0 D D S S is a match of two bytes.
        assert_eq!(after(&[&[0b0100_0001, 0, b'X'], &[0b0000_0100, 0]]), "hhhXhX");
        // After no literal it is a run of literals.
        assert_eq!(after(&[&[0b0100_0000, 0], &[1], b"wxyz"]), "hhhwxyz");
        assert_eq!(after(&[&[0b0100_0000, 0], &[0, 1], &[b'-'; 19]]), "hhh".to_owned() + &"-".repeat(19));
    }

    #[test]
    fn far_matches() {
        let mut head = vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        // 18 + 255 × 10 + 232 literals.
        head.push(232);
        let literals: Vec<u8> = (0_u32..2800).map(|index| u8::try_from(index % 251).unwrap()).collect();
        head.extend(&literals);
        // After a run of literals, 0 0 0 0 D D S S is a match of three bytes from 2049 on.
        let near = decompressed(&stream(&[&head, &[0b0000_0000, 0]]), 4096).unwrap();
        assert_eq!(near[2800..], literals[2800 - 2049..][..3]);
        let far = decompressed(&stream(&[&head, &[0b0000_1100, 1]]), 4096).unwrap();
        assert_eq!(far[2800..], literals[2800 - 2049 - 3 - 4..][..3]);

        // 0 0 0 1 H L L L: from 16384 on. 18 + 255 × 65 + 200 literals.
        let mut head = vec![0; 66];
        head.push(200);
        let literals: Vec<u8> = (0_u32..16_793).map(|index| u8::try_from(index % 253).unwrap()).collect();
        head.extend(&literals);
        let far = decompressed(&stream(&[&head, &[0b0001_0001, 25 << 2, 0]]), 20_000).unwrap();
        assert_eq!(far[16_793..], literals[16_793 - 16_384 - 25..][..3]);
    }

    #[test]
    fn damaged_streams_are_refused() {
        assert!(decompressed(&[], 10).is_err());
        assert!(decompressed(&[18, b'a'], 10).is_err(), "no end");
        assert!(decompressed(&stream(&[&[18, b'a', 0b0100_0100, 0]]), 10).is_err(), "before the start");
        assert!(decompressed(&stream(&[&[18, b'a', 0b1110_0000, 0]]), 5).is_err(), "too long");
        assert!(decompressed(&stream(&[&[22, b'a', b'b', b'c', b'd', b'e']]), 4).is_err(), "too long");
    }

    /// A frame with one segment per sector; literals only.
    #[test]
    fn segments_are_sectors() {
        let segment = |byte: u8| {
            [&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 253][..], &vec![byte; 4096], &END].concat()
        };
        let mut frame = vec![0; 4];
        for byte in [b'a', b'b'] {
            if 4096 - frame.len() % 4096 < 4 {
                frame.resize(frame.len().next_multiple_of(4096), 0);
            }
            let segment = segment(byte);
            frame.extend(u32::try_from(segment.len()).unwrap().to_le_bytes());
            frame.extend(segment);
        }
        let total = u32::try_from(frame.len()).unwrap();
        frame[..4].copy_from_slice(&total.to_le_bytes());
        let mut dst = vec![0; 8192];
        decompress_extent(&frame, &mut dst, 4096).unwrap();
        assert_eq!(dst, [vec![b'a'; 4096], vec![b'b'; 4096]].concat());
        frame[..4].fill(0xff);
        assert!(decompress_extent(&frame, &mut dst, 4096).is_err());
        assert!(decompress_extent(&[1], &mut dst, 4096).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_end(source in proptest::collection::vec(any::<u8>(), 0..300), room in 0_usize..5000) {
            let _ = decompressed(&source, room);
            let _ = decompress_extent(&source, &mut vec![0; room], 4096);
        }
    }
}
