//! How large the blocks are that are compressed by themselves, and what they have in common in all formats.

use std::io::{self, Read};

/// Smaller ones compress worse, by less than 1 % here; larger ones make the memory of 8 threads count.
pub(super) const BLOCK_BYTES: usize = 256 * 1024;
/// What cannot be compressed is a little longer than it was.
pub(super) const PACKED_LIMIT_BYTES: usize = BLOCK_BYTES + 4096;

/// Fills the buffer, or finds the end of the file before its first byte.
pub(super) fn fill_or_end(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    let (first, rest) = buffer.split_at_mut(1);
    let mut begun = from.take(1);
    if io::copy(&mut begun, &mut &mut first[..])? == 0 {
        return Ok(false);
    }
    fill(from, rest)?;
    Ok(true)
}

/// Fills the buffer.
pub(super) fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<()> {
    from.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("unexpected end of file"),
        _ => error,
    })
}

pub(super) fn damaged(words: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, words)
}
