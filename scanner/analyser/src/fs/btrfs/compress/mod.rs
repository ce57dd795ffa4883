//! Compressed extents. What one decompresses to is bounded by what its item says, which is at most 128 KiB.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod lzo;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use ruzstd::io::Read;

use super::FsError;
use crate::limits::Budget;

/// The largest window that the kernel reads, `ZSTD_BTRFS_MAX_WINDOWLOG`. A frame that asks for more memory is refused.
const ZSTD_WINDOW: u64 = 128 << 10;

/// What a block of a zstd frame costs besides its content, in steps: it may have tables of its own, and a frame of 128 KiB
/// has room for thousands of blocks with nothing else.
const ZSTD_BLOCK: u64 = 64;

/// How an extent is compressed, `BTRFS_COMPRESS_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Compression {
    None,
    Zlib,
    Lzo,
    Zstd,
}

impl Compression {
    pub(super) fn from_number(number: u8) -> Result<Self, FsError> {
        match number {
            0 => Ok(Self::None),
            1 => Ok(Self::Zlib),
            2 => Ok(Self::Lzo),
            3 => Ok(Self::Zstd),
            _ => Err(FsError::Unsupported { feature: format!("Btrfs compression of type {number}") }),
        }
    }
}

/// Decompressors, kept because making one costs more than a small extent.
#[derive(Default)]
pub(super) struct Decompressor {
    zlib: Box<DecompressorOxide>,
    zstd: FrameDecoder,
}

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decompressor")
    }
}

impl Decompressor {
    /// What `source` decompresses to, exactly `length` bytes: where there is less, zeros follow, as in the kernel.
    /// `Err` says what is wrong.
    pub(super) fn run(
        &mut self,
        compression: Compression,
        source: &[u8],
        length: usize,
        sector_size: usize,
        budget: &Budget,
    ) -> Result<Vec<u8>, &'static str> {
        let mut content = vec![0; length];
        match compression {
            Compression::None => {
                for (to, from) in content.iter_mut().zip(source) {
                    *to = *from;
                }
            }
            Compression::Zlib => self.zlib(source, &mut content)?,
            Compression::Lzo => lzo::decompress_extent(source, &mut content, sector_size)?,
            Compression::Zstd => self.zstd(source, &mut content, budget)?,
        }
        Ok(content)
    }

    /// A zlib stream. Its own checksum is left to the filesystem's, as in the kernel.
    fn zlib(&mut self, source: &[u8], dst: &mut [u8]) -> Result<(), &'static str> {
        let flags = inflate_flags::TINFL_FLAG_PARSE_ZLIB_HEADER
            | inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF
            | inflate_flags::TINFL_FLAG_IGNORE_ADLER32;
        self.zlib.init();
        match decompress(&mut self.zlib, source, dst, 0, flags).0 {
            TINFLStatus::Done | TINFLStatus::HasMoreOutput => Ok(()),
            _ => Err("its zlib stream is damaged"),
        }
    }

    /// One zstd frame.
    fn zstd(&mut self, source: &[u8], dst: &mut [u8], budget: &Budget) -> Result<(), &'static str> {
        const DAMAGED: &str = "its zstd frame is damaged";
        let mut source = source;
        self.zstd.set_max_window_size(ZSTD_WINDOW);
        self.zstd.reset(&mut source).map_err(|_| DAMAGED)?;
        let mut rest = dst;
        while !rest.is_empty() {
            // Each block has at most 128 KiB, so what waits to be collected is bounded, too.
            budget.steps(ZSTD_BLOCK).map_err(|_| "its zstd frame has more blocks than are paid for")?;
            let one = BlockDecodingStrategy::UptoBlocks(1);
            let finished = self.zstd.decode_blocks(&mut source, one).map_err(|_| DAMAGED)?;
            let count = self.zstd.read(rest).map_err(|_| DAMAGED)?;
            rest = rest.get_mut(count..).unwrap_or_default();
            if finished {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    fn run(compression: Compression, source: &[u8], length: usize) -> Result<Vec<u8>, &'static str> {
        Decompressor::default().run(compression, source, length, 4096, &Budget::new(&Limits::default()))
    }

    #[test]
    fn zlib_streams_give_no_more_than_was_asked_for() {
        let content: Vec<u8> = (0_u32..5000).flat_map(u32::to_le_bytes).collect();
        let mut stream = miniz_oxide::deflate::compress_to_vec_zlib(&content, 3);
        // An extent is filled up to whole sectors.
        stream.extend([0; 100]);
        assert_eq!(run(Compression::Zlib, &stream, content.len()).unwrap(), content);
        assert_eq!(run(Compression::Zlib, &stream, 10).unwrap(), content[..10]);
        let longer = run(Compression::Zlib, &stream, content.len() + 3).unwrap();
        assert_eq!((&longer[..content.len()], &longer[content.len()..]), (&content[..], &[0; 3][..]));
        assert!(run(Compression::Zlib, &stream[..2000], content.len()).is_err());
        assert!(run(Compression::Zlib, b"no stream", 10).is_err());
    }

    #[test]
    fn zstd_frames_give_no_more_than_was_asked_for() {
        let content = b"some content ".repeat(1000);
        let mut frame =
            ruzstd::encoding::compress_to_vec(&content[..], ruzstd::encoding::CompressionLevel::Fastest);
        frame.extend([0; 100]);
        assert_eq!(run(Compression::Zstd, &frame, content.len()).unwrap(), content);
        assert_eq!(run(Compression::Zstd, &frame, 10).unwrap(), content[..10]);
        assert!(run(Compression::Zstd, &frame[..20], content.len()).is_err());
        assert!(run(Compression::Zstd, b"no frame", 10).is_err());
        // A window of 2 MiB, and no content.
        assert!(run(Compression::Zstd, &[0x28, 0xb5, 0x2f, 0xfd, 0, 0x58, 1, 0, 0], 10).is_err());
    }

    /// A run of one byte is three bytes in a frame, and a frame has as many of them as it likes.
    #[test]
    fn a_frame_that_expands_without_end_stops_at_the_length() {
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x38];
        for _ in 0..10_000 {
            let run_of_128_kib = (128_u32 << 10 << 3) | 2;
            frame.extend(&run_of_128_kib.to_le_bytes()[..3]);
            frame.push(7);
        }
        assert_eq!(run(Compression::Zstd, &frame, 128 << 10).unwrap(), vec![7; 128 << 10]);
    }

    /// An empty block is three bytes.
    #[test]
    fn blocks_without_content_are_paid_for() {
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x38];
        frame.resize(frame.len() + 3 * 10_000, 0);
        frame.extend([1, 0, 0]);
        let run = |steps| {
            let budget = Budget::new(&Limits { steps, ..Limits::default() });
            Decompressor::default().run(Compression::Zstd, &frame, 10, 4096, &budget)
        };
        assert_eq!(run(10_001 * ZSTD_BLOCK).unwrap(), [0; 10]);
        assert!(run(10_000 * ZSTD_BLOCK).unwrap_err().contains("more blocks"));
    }
}
