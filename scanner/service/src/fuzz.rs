//! Entry points of the fuzz targets.

use bytes::Bytes;

/// A file of the spool. Any outcome but a panic is right.
#[doc(hidden)]
pub fn spool(file: &[u8]) {
    let _ = crate::spool::entry::payload(&Bytes::copy_from_slice(file));
    // The checksum keeps a fuzzer out: here it is right.
    if let Some(summed) = file.get(12..) {
        let sealed = [b"AGSPOOL\x01".as_slice(), &crc32fast::hash(summed).to_le_bytes(), summed].concat();
        let _ = crate::spool::entry::payload(&Bytes::from(sealed));
    }
}
