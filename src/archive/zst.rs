//! Frames of zstd that are preceded by their size, so that several threads can read a file of them.
//!
//! The size stands in a skippable frame, as `pzstd` writes it
//! (<https://github.com/facebook/zstd/tree/dev/contrib/pzstd>). For every other reader it is ordinary zstd (RFC 8878).
//! An empty frame comes first: what tells files by their first bytes does not know a skippable frame.

use std::io::{self, BufRead, Read};

use zstd::bulk::{Compressor, Decompressor};
use zstd::stream::read::Decoder;

use super::block::{PACKED_LIMIT_BYTES, damaged, fill, fill_or_end};

/// What a file of ours begins with: a frame without content.
pub(super) const PREFACE: [u8; 9] = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0];
/// What every frame begins with.
pub(super) const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// A skippable frame of four bytes.
const HEAD: [u8; 8] = [0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0];
const HEAD_BYTES: usize = HEAD.len() + 4;
/// 8 MiB, which RFC 8878 wants of every reader and `zstd -19` needs; a file may ask for much more.
const WINDOW_LOG_LIMIT: u32 = 23;

/// A compressor of this level.
pub(super) fn packer(level: u8) -> io::Result<Compressor<'static>> {
    let mut packer = Compressor::new(level.into())?;
    packer.include_checksum(true)?;
    Ok(packer)
}

/// Makes a frame of `plain`, with its size before it.
pub(super) fn pack(
    packer: &mut Compressor<'_>,
    plain: &[u8],
    packed: &mut Vec<u8>,
) -> io::Result<()> {
    packed.resize(HEAD_BYTES + PACKED_LIMIT_BYTES, 0);
    let bytes = packer.compress_to_buffer(plain, &mut packed[HEAD_BYTES..])?;
    packed.truncate(HEAD_BYTES + bytes);
    let size = u32::try_from(bytes).map_err(io::Error::other)?;
    packed[..HEAD.len()].copy_from_slice(&HEAD);
    packed[HEAD.len()..HEAD_BYTES].copy_from_slice(&size.to_le_bytes());
    Ok(())
}

/// Unpacks one whole frame.
pub(super) fn unpack(
    unpacker: &mut Decompressor<'_>,
    packed: &[u8],
    plain: &mut [u8],
) -> io::Result<usize> {
    unpacker
        .decompress_to_buffer(packed, plain)
        .map_err(|error| damaged(&format!("a frame of zstd cannot be unpacked: {error}")))
}

/// Reads the next frame, whole, and leaves out its size; `false` at the end of the file.
pub(super) fn read_member(from: &mut impl Read, packed: &mut Vec<u8>) -> io::Result<bool> {
    let mut head = [0; HEAD_BYTES];
    if !fill_or_end(from, &mut head)? {
        return Ok(false);
    }
    let size = head
        .strip_prefix(&HEAD)
        .and_then(|size| usize::try_from(u32::from_le_bytes(size.try_into().ok()?)).ok())
        .filter(|size| (1..=PACKED_LIMIT_BYTES).contains(size))
        .ok_or_else(|| damaged("where the size of a frame of zstd should be is something else"))?;
    packed.resize(size, 0);
    fill(from, packed)?;
    Ok(true)
}

/// Reads frames one after another, of any writer.
pub(super) fn stream<'a, R: BufRead + 'a>(from: R) -> io::Result<Decoder<'a, R>> {
    let mut decoder = Decoder::with_buffer(from)?;
    decoder.window_log_max(WINDOW_LOG_LIMIT)?;
    Ok(decoder)
}
