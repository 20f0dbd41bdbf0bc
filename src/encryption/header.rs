//! The header of an age file, bounded before anybody parses it: text, up to a line that begins with `---`.

use std::io::{self, Read};

/// 64 recipients need a third of it.
const LIMIT_BYTES: u64 = 32 * 1024;
/// Every one is tried with every identity.
const MOST_STANZAS: usize = 128;
const STANZA: &[u8] = b"-> ";
const END: &[u8] = b"---";

/// Reads the file's beginning, in which the whole header is.
///
/// # Errors
/// In words of what is wrong with it, where the header is larger than one of ours can be, or does not end.
pub(super) fn front(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut front = Vec::new();
    from.take(LIMIT_BYTES).read_to_end(&mut front)?;
    let mut stanzas = 0;
    for line in front.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(STANZA) {
            stanzas += 1;
        }
        if stanzas > MOST_STANZAS {
            return Err(invalid("its age header has too many recipients"));
        }
        if line.starts_with(END) && line.ends_with(b"\n") {
            return Ok(front);
        }
    }
    if front.len() as u64 == LIMIT_BYTES {
        return Err(invalid("its age header is too large"));
    }
    Err(invalid("its age header is cut off"))
}

fn invalid(words: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, words)
}
