//! Members of gzip that say how long they are, so that several threads can read a file of them.
//!
//! The size stands in the subfield `IG` of the header's extra field, as mgzip and gzp write it
//! (<https://github.com/vinlyx/mgzip>, <https://docs.rs/gzp>). For every other reader it is ordinary gzip (RFC 1952).

use std::io::{self, Read};

use libdeflater::{CompressionLvl, Compressor, DecompressionError, Decompressor};

use super::block::{PACKED_LIMIT_BYTES, damaged, fill, fill_or_end};

/// Deflate, and an extra field; behind it four bytes of time and two of other words.
const MAGIC: [u8; 4] = [0x1f, 0x8b, 8, 4];
const NO_TIME_UNKNOWN_SYSTEM: [u8; 6] = [0, 0, 0, 0, 0, 255];
/// One subfield of four bytes.
const EXTRA: [u8; 6] = [8, 0, b'I', b'G', 4, 0];
const EXTRA_AT: usize = 10;
const SIZE_AT: usize = 16;
/// Of a member's head.
pub(super) const HEAD_BYTES: usize = 20;
const FOOT_BYTES: usize = 8;

/// A compressor of this level; all that are offered exist.
pub(super) fn packer(level: u8) -> io::Result<Compressor> {
    let level = CompressionLvl::new(level.into())
        .map_err(|_| io::Error::other(format!("libdeflate knows no level {level}")))?;
    Ok(Compressor::new(level))
}

/// Makes a member of `plain`.
pub(super) fn pack(packer: &mut Compressor, plain: &[u8], packed: &mut Vec<u8>) -> io::Result<()> {
    packed.resize(HEAD_BYTES + packer.deflate_compress_bound(plain.len()), 0);
    let bytes = packer
        .deflate_compress(plain, &mut packed[HEAD_BYTES..])
        .map_err(io::Error::other)?;
    packed.truncate(HEAD_BYTES + bytes);
    packed.extend(libdeflater::crc32(plain).to_le_bytes());
    packed.extend(count(plain.len())?);
    let size = count(packed.len())?;
    packed[..MAGIC.len()].copy_from_slice(&MAGIC);
    packed[MAGIC.len()..EXTRA_AT].copy_from_slice(&NO_TIME_UNKNOWN_SYSTEM);
    packed[EXTRA_AT..SIZE_AT].copy_from_slice(&EXTRA);
    packed[SIZE_AT..HEAD_BYTES].copy_from_slice(&size);
    Ok(())
}

/// As gzip counts; a block is far smaller than it can.
fn count(bytes: usize) -> io::Result<[u8; 4]> {
    let count = u32::try_from(bytes).map_err(io::Error::other)?;
    Ok(count.to_le_bytes())
}

/// Unpacks one whole member. What is hidden between its end and its checksum, as a size that lies could, nobody gets to see.
pub(super) fn unpack(
    unpacker: &mut Decompressor,
    packed: &[u8],
    plain: &mut [u8],
) -> io::Result<usize> {
    let (deflated, foot) = packed
        .split_at_checked(packed.len().saturating_sub(FOOT_BYTES))
        .and_then(|(front, foot)| Some((front.get(HEAD_BYTES..)?, foot)))
        .ok_or_else(|| damaged("a member of gzip is too short"))?;
    let bytes = unpacker
        .deflate_decompress(deflated, plain)
        .map_err(|error| match error {
            DecompressionError::BadData => damaged("a member of gzip cannot be unpacked"),
            DecompressionError::InsufficientSpace => {
                damaged("a member of gzip unpacks to more than a block")
            }
        })?;
    let found = [
        libdeflater::crc32(&plain[..bytes]).to_le_bytes(),
        count(bytes)?,
    ];
    if foot != found.concat() {
        return Err(damaged("a member of gzip has another checksum"));
    }
    Ok(bytes)
}

/// The size that a member says it has, where it says one that is ours.
pub(super) fn size_of_member(head: &[u8]) -> Option<usize> {
    let is_ours = head.starts_with(&MAGIC) && head.get(EXTRA_AT..SIZE_AT)? == EXTRA;
    let size = u32::from_le_bytes(head.get(SIZE_AT..HEAD_BYTES)?.try_into().ok()?);
    let size = usize::try_from(size).ok()?;
    let is_plausible = (HEAD_BYTES + FOOT_BYTES..=PACKED_LIMIT_BYTES).contains(&size);
    (is_ours && is_plausible).then_some(size)
}

/// Reads the next member, whole; `false` at the end of the file.
pub(super) fn read_member(from: &mut impl Read, packed: &mut Vec<u8>) -> io::Result<bool> {
    packed.resize(HEAD_BYTES, 0);
    if !fill_or_end(from, packed)? {
        return Ok(false);
    }
    let size = size_of_member(packed)
        .ok_or_else(|| damaged("where a member of gzip should begin is something else"))?;
    packed.resize(size, 0);
    fill(from, &mut packed[HEAD_BYTES..])?;
    Ok(true)
}
