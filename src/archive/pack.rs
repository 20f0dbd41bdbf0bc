//! The tar, cut into blocks that several threads compress, into a file.

use std::io::{self, Write};

use libdeflater::Compressor as Deflater;
use zstd::bulk::Compressor as ZstdCompressor;

use super::block::BLOCK_BYTES;
use super::compression::Compression;
use super::pipeline::{self, Block, Drain, Feed};
use super::{gzip, zst};

/// What one thread compresses with.
enum Packer {
    Gzip(Deflater),
    Zstd(ZstdCompressor<'static>),
    Copy,
}

impl Packer {
    fn new(compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::Gzip(level) => Self::Gzip(gzip::packer(level)?),
            Compression::Zstd(level) => Self::Zstd(zst::packer(level)?),
            Compression::None => Self::Copy,
        })
    }

    fn pack(&mut self, block: &mut Block) -> io::Result<()> {
        match self {
            Self::Gzip(packer) => gzip::pack(packer, &block.plain, &mut block.packed),
            Self::Zstd(packer) => zst::pack(packer, &block.plain, &mut block.packed),
            Self::Copy => {
                block.packed.clone_from(&block.plain);
                Ok(())
            }
        }
    }
}

/// Compresses what `write` writes, about `length` bytes, and hands the pieces of the file to `drain`.
pub(super) fn packed(
    compression: Compression,
    length: u64,
    write: impl FnOnce(&mut Cutter<'_>) -> io::Result<()> + Send,
    drain: impl FnOnce(Drain) -> io::Result<()>,
) -> io::Result<()> {
    let workers = match compression {
        Compression::None => 1,
        _ => pipeline::workers_for(length / BLOCK_BYTES as u64 + 1),
    };
    let packers = (0..workers)
        .map(|_| {
            let mut packer = Packer::new(compression)?;
            Ok(move |block: &mut Block| packer.pack(block))
        })
        .collect::<io::Result<Vec<_>>>()?;
    let feed = |feed: &mut Feed| {
        let mut cutter = Cutter { feed, block: None };
        write(&mut cutter)?;
        cutter.flush()
    };
    pipeline::run(packers, feed, drain)?
}

/// What the file begins with.
pub(super) fn preface(compression: Compression) -> &'static [u8] {
    match compression {
        Compression::Zstd(_) => &zst::PREFACE,
        Compression::Gzip(_) | Compression::None => &[],
    }
}

/// Cuts a stream into blocks. Flushing ends one early.
pub(super) struct Cutter<'f> {
    feed: &'f mut Feed,
    block: Option<Block>,
}

impl Write for Cutter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut block = match self.block.take() {
            Some(block) => block,
            None => empty(self.feed.free_block()?),
        };
        let count = bytes.len().min(BLOCK_BYTES - block.plain.len());
        block.plain.extend_from_slice(&bytes[..count]);
        if block.plain.len() == BLOCK_BYTES {
            self.feed.send(block)?;
        } else {
            self.block = Some(block);
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.block.take() {
            Some(block) => self.feed.send(block),
            None => Ok(()),
        }
    }
}

fn empty(mut block: Block) -> Block {
    block.plain.clear();
    block.plain.reserve_exact(BLOCK_BYTES);
    block
}
