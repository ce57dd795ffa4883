//! Random access to what a deflate stream decompresses to: RFC 1951, and the members of gzip around it, RFC 1952.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};

use crate::fs::FsError;
use crate::limits::Budget;
use crate::volume::Volume;
use crate::volume::bytes::{Bytes, to_u64, to_usize};

/// A compressed run of bytes of a volume. What was passed is decompressed again from the last checkpoint before it.
pub(super) struct Inflated {
    volume: Arc<dyn Volume>,
    range: Range<u64>,
    is_gzip: bool,
    state: RefCell<State>,
}

struct State {
    here: Cursor,
    /// In the order of the stream, the first at its start.
    checkpoints: Vec<Cursor>,
    /// Decompressed bytes between two of them.
    spacing: u64,
    /// Compressed bytes, and where the first of them is in the volume.
    buffer: Vec<u8>,
    buffer_start: u64,
}

/// A place in the stream.
#[derive(Clone)]
struct Cursor {
    /// Where the next compressed bytes are in the volume.
    input: u64,
    /// Decompressed bytes before it.
    output: u64,
    /// The same where its member of a gzip file begins.
    member: u64,
    /// None between members. With the last 32 KiB, it is 43 KiB of memory.
    inflater: Option<Box<InflateState>>,
    has_ended: bool,
}

/// Compressed bytes that are read at once.
const PIECE: u64 = 128 << 10;
/// Decompressed bytes between two checkpoints, at first.
const SPACING: u64 = 4 << 20;
/// Checkpoints of one stream; then every second one goes.
const CHECKPOINTS: usize = 32;

impl fmt::Debug for Inflated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflated").field("range", &self.range).finish_non_exhaustive()
    }
}

impl Inflated {
    /// The members of a gzip file.
    pub(super) fn gzip(volume: Arc<dyn Volume>) -> Self {
        let range = 0..volume.size();
        Self::new(volume, range, true)
    }

    /// A deflate stream without anything around it.
    pub(super) fn raw(volume: Arc<dyn Volume>, range: Range<u64>) -> Self {
        Self::new(volume, range, false)
    }

    fn new(volume: Arc<dyn Volume>, range: Range<u64>, is_gzip: bool) -> Self {
        let inflater = (!is_gzip).then(|| InflateState::new_boxed(DataFormat::Raw));
        let here = Cursor { input: range.start, output: 0, member: 0, inflater, has_ended: false };
        let state = State {
            checkpoints: vec![here.clone()],
            here,
            spacing: SPACING,
            buffer: Vec::new(),
            buffer_start: 0,
        };
        Self { volume, range, is_gzip, state: RefCell::new(state) }
    }

    /// Reads at `offset` of what it decompresses to, and returns how many bytes it gave: fewer than asked only at the end.
    pub(super) fn read_at(&self, offset: u64, dst: &mut [u8], budget: &Budget) -> Result<usize, FsError> {
        let mut state = self.state.borrow_mut();
        let result = self.read(&mut state, offset, dst, budget);
        if result.is_err() {
            // Where it stands now nothing is known of.
            if let Some(start) = state.checkpoints.first().cloned() {
                state.here = start;
            }
        }
        result
    }

    fn read(
        &self,
        state: &mut State,
        offset: u64,
        dst: &mut [u8],
        budget: &Budget,
    ) -> Result<usize, FsError> {
        let before = state.checkpoints.iter().rfind(|checkpoint| checkpoint.output <= offset);
        let is_behind = state.here.output > offset;
        if let Some(before) = before.filter(|before| is_behind || before.output > state.here.output) {
            state.here = before.clone();
        }
        let mut scratch = Vec::new();
        while state.here.output < offset {
            scratch.resize(to_usize(offset.saturating_sub(state.here.output).min(PIECE)), 0);
            if self.step(state, &mut scratch, budget)? == 0 {
                return Ok(0);
            }
        }
        let mut done = 0_usize;
        while let Some(rest) = dst.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let count = self.step(state, rest, budget)?;
            if count == 0 {
                break;
            }
            done = done.saturating_add(count);
        }
        Ok(done)
    }

    /// Decompresses some bytes; none only at the end.
    fn step(&self, state: &mut State, dst: &mut [u8], budget: &Budget) -> Result<usize, FsError> {
        loop {
            if state.here.has_ended {
                return Ok(0);
            }
            if state.here.inflater.is_none() && !self.begin_member(state)? {
                state.here.has_ended = true;
                continue;
            }
            self.fill(state)?;
            let State { here, buffer, buffer_start, .. } = state;
            let Some(inflater) = &mut here.inflater else { return Ok(0) };
            let start = to_usize(here.input.saturating_sub(*buffer_start));
            let source = buffer.get(start..).unwrap_or_default();
            let result = inflate(inflater, source, dst, MZFlush::None);
            here.input = here.input.saturating_add(to_u64(result.bytes_consumed));
            here.output = here.output.saturating_add(to_u64(result.bytes_written));
            budget.step()?;
            budget.bytes(to_u64(result.bytes_consumed.max(result.bytes_written)))?;
            match result.status {
                Ok(MZStatus::StreamEnd) if self.is_gzip => self.end_member(state)?,
                Ok(MZStatus::StreamEnd) => here.has_ended = true,
                Ok(_) | Err(MZError::Buf) if result.bytes_consumed > 0 || result.bytes_written > 0 => {}
                Ok(_) | Err(MZError::Buf) => return Err(damaged("it is cut short")),
                Err(_) => return Err(damaged("it breaks the rules of deflate")),
            }
            state.keep();
            if result.bytes_written > 0 {
                return Ok(result.bytes_written);
            }
        }
    }

    /// Reads compressed bytes if all of those before are used.
    fn fill(&self, state: &mut State) -> Result<(), FsError> {
        let end = state.buffer_start.saturating_add(to_u64(state.buffer.len()));
        if (state.buffer_start..end).contains(&state.here.input) {
            return Ok(());
        }
        state.buffer_start = state.here.input;
        let count = self.range.end.saturating_sub(state.here.input).min(PIECE);
        state.buffer.resize(to_usize(count), 0);
        self.volume.read_at(state.here.input, &mut state.buffer)?;
        Ok(())
    }

    /// Skips the header of a member; there is none behind the last one, where some tools write zeros.
    fn begin_member(&self, state: &mut State) -> Result<bool, FsError> {
        /// As much as a header may have here: an extra field and a file's name.
        const MOST: u64 = 128 << 10;

        let start = state.here.input;
        let mut head = vec![0; to_usize(self.range.end.saturating_sub(start).min(MOST))];
        self.volume.read_at(start, &mut head)?;
        if !head.starts_with(&MAGIC) {
            return if start == self.range.start { Err(damaged("it is no gzip file")) } else { Ok(false) };
        }
        let length = header(&head).ok_or_else(|| damaged("the header of a member is cut short"))?;
        state.here.input = start.saturating_add(to_u64(length));
        state.here.member = state.here.output;
        state.here.inflater = Some(InflateState::new_boxed(DataFormat::Raw));
        Ok(true)
    }

    /// Skips the checksum and the size of a member. Bytes that the decompression looked ahead may be counted as used: the
    /// size says where it ends.
    fn end_member(&self, state: &mut State) -> Result<(), FsError> {
        const TRAILER: u64 = 8;
        const AHEAD: u64 = 8;

        let here = &mut state.here;
        let start = here.input.saturating_sub(AHEAD).max(self.range.start);
        let end = here.input.saturating_add(TRAILER).min(self.range.end);
        let mut tail = vec![0; to_usize(end.saturating_sub(start))];
        self.volume.read_at(start, &mut tail)?;
        // Modulo 2³², as the format has it.
        let [a, b, c, d, ..] = here.output.wrapping_sub(here.member).to_le_bytes();
        let size = [a, b, c, d];
        let at = tail.windows(size.len()).rposition(|window| window == size);
        let end = at.map(|at| start.saturating_add(to_u64(at)).saturating_add(to_u64(size.len())));
        here.input = end.ok_or_else(|| damaged("a member has another size than it says"))?;
        here.inflater = None;
        Ok(())
    }
}

impl State {
    /// Keeps this place, if the last one that was kept is far enough before it.
    fn keep(&mut self) {
        let last = self.checkpoints.last().map_or(0, |last| last.output);
        if self.here.output < last.saturating_add(self.spacing) {
            return;
        }
        if self.checkpoints.len() >= CHECKPOINTS {
            let mut is_kept = false;
            self.checkpoints.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
            self.spacing = self.spacing.saturating_mul(2);
        }
        self.checkpoints.push(self.here.clone());
    }
}

/// What each member starts with, the method deflate included (2.3.1).
pub(super) const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];

/// The length of a member's header (2.3).
fn header(head: &[u8]) -> Option<usize> {
    const HAS_CHECKSUM: u8 = 1 << 1;
    const HAS_EXTRA: u8 = 1 << 2;
    const HAS_NAME: u8 = 1 << 3;
    const HAS_COMMENT: u8 = 1 << 4;

    let flags = *head.get(3)?;
    let mut at = 10_usize;
    if flags & HAS_EXTRA != 0 {
        at = at.saturating_add(2).saturating_add(Bytes(head).le16(at).ok()?.into());
    }
    for flag in [HAS_NAME, HAS_COMMENT] {
        if flags & flag != 0 {
            let length = head.get(at..)?.iter().position(|&byte| byte == 0)?;
            at = at.saturating_add(length).saturating_add(1);
        }
    }
    if flags & HAS_CHECKSUM != 0 {
        at = at.saturating_add(2);
    }
    (at <= head.len()).then_some(at)
}

fn damaged(problem: &str) -> FsError {
    FsError::corrupt("the compressed stream", problem)
}
