//! The interpreter that an ELF program names: the dynamic linker, which the kernel starts in the program's place.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

/// The interpreter of a 64-bit little-endian program; none if it is statically linked.
///
/// The file is trusted: it is the running program.
pub(super) fn interpreter(program: &File) -> io::Result<Option<PathBuf>> {
    const INTERPRETER: u32 = 3;

    let header: [u8; 64] = bytes(program, 0)?;
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no 64-bit little-endian ELF file"));
    }
    let (table, size, count) = (long(&header, 32), short(&header, 54), short(&header, 56));
    for index in 0..count {
        let place = u64::from(index).saturating_mul(u64::from(size)).saturating_add(table);
        let segment: [u8; 56] = bytes(program, place)?;
        if word(&segment, 0) == INTERPRETER {
            let mut path = vec![0; usize::from(u16::try_from(long(&segment, 32)).unwrap_or(u16::MAX))];
            program.read_exact_at(&mut path, long(&segment, 8))?;
            // It ends with a zero.
            path.truncate(path.iter().position(|byte| *byte == 0).unwrap_or(path.len()));
            return Ok(Some(PathBuf::from(std::ffi::OsString::from_vec(path))));
        }
    }
    Ok(None)
}

fn bytes<const N: usize>(file: &File, place: u64) -> io::Result<[u8; N]> {
    let mut buffer = [0; N];
    file.read_exact_at(&mut buffer, place)?;
    Ok(buffer)
}

/// The number at a place inside `bytes`; what is beyond them counts as zero.
fn number(bytes: &[u8], place: usize, length: usize) -> u64 {
    let part = bytes.iter().skip(place).take(length).rev();
    part.fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn long(bytes: &[u8], place: usize) -> u64 {
    number(bytes, place, 8)
}

fn word(bytes: &[u8], place: usize) -> u32 {
    u32::try_from(number(bytes, place, 4)).unwrap_or(u32::MAX)
}

fn short(bytes: &[u8], place: usize) -> u16 {
    u16::try_from(number(bytes, place, 2)).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_interpreter_is_what_the_kernel_mapped() {
        let found = interpreter(&File::open("/proc/self/exe").unwrap()).unwrap();
        assert_eq!(found.is_some(), cfg!(target_env = "gnu"));
        if let Some(path) = found {
            let mapped = fs::canonicalize(path).unwrap();
            let maps = fs::read_to_string("/proc/self/maps").unwrap();
            assert!(maps.contains(mapped.to_str().unwrap()), "{} is not in {maps}", mapped.display());
        }
    }
}
