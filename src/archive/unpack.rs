//! The tar in a file, whatever it is compressed with; on several threads where the file says where its pieces are.
//!
//! What a file is is told by its first bytes: its name may be another by now.

use std::io::{self, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;
use libdeflater::Decompressor as Inflater;
use zstd::bulk::Decompressor as ZstdDecompressor;

use super::block::{BLOCK_BYTES, damaged, fill};
use super::pipeline::{self, Block, Drain, Feed};
use super::source::Source;
use super::{gzip, zst};

/// Enough for a header of tar.
const HEAD_BYTES: u64 = 512;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Any of the sixteen.
const SKIPPABLE_MAGIC: [u8; 3] = [0x2a, 0x4d, 0x18];
const TAR_MAGIC: &[u8] = b"ustar";
const TAR_MAGIC_AT: usize = 257;
/// A database rarely is compressed to less than this part; the number of threads hangs on it, and nothing else.
const USUAL_RATIO: u64 = 3;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Pieces that say how long they are.
    Members(Format),
    /// As any program may have written it.
    Stream(Format),
    Tar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Gzip,
    Zstd,
}

impl Form {
    fn of(head: &[u8]) -> Option<Self> {
        let is_skippable = head.get(1..4) == Some(&SKIPPABLE_MAGIC);
        if gzip::size_of_member(head).is_some() {
            Some(Self::Members(Format::Gzip))
        } else if head.starts_with(&GZIP_MAGIC) {
            Some(Self::Stream(Format::Gzip))
        } else if head.starts_with(&zst::PREFACE) {
            Some(Self::Members(Format::Zstd))
        } else if head.starts_with(&zst::MAGIC) || is_skippable {
            Some(Self::Stream(Format::Zstd))
        } else {
            let magic = head.get(TAR_MAGIC_AT..)?;
            magic.starts_with(TAR_MAGIC).then_some(Self::Tar)
        }
    }

    /// Looks at the beginning; the whole is returned as well.
    fn of_source(mut reader: Whole) -> io::Result<(Self, Whole)> {
        let mut head = Vec::new();
        reader.by_ref().take(HEAD_BYTES).read_to_end(&mut head)?;
        let form = Self::of(&head)
            .ok_or_else(|| damaged("its beginning is neither gzip nor zstd nor tar"))?;
        Ok((form, Box::new(Cursor::new(head).chain(reader))))
    }
}

type Whole = Box<dyn Read + Send>;

/// Reads it on this thread alone, as far as somebody wants it.
pub(super) fn stream(source: Source, buffer_bytes: usize) -> io::Result<Box<dyn Read>> {
    let (form, whole) = Form::of_source(source.reader)?;
    stream_of(form, whole, buffer_bytes)
}

fn stream_of(form: Form, whole: Whole, buffer_bytes: usize) -> io::Result<Box<dyn Read>> {
    let from = BufReader::with_capacity(buffer_bytes, whole);
    Ok(match form {
        Form::Members(Format::Gzip) | Form::Stream(Format::Gzip) => {
            Box::new(MultiGzDecoder::new(from))
        }
        Form::Members(Format::Zstd) | Form::Stream(Format::Zstd) => Box::new(zst::stream(from)?),
        Form::Tar => Box::new(from),
    })
}

/// Reads it whole, on several threads where that can be; `drain` gets what is in it.
pub(super) fn whole<T>(
    source: Source,
    buffer_bytes: usize,
    drain: impl FnOnce(&mut dyn Read) -> T,
) -> io::Result<T> {
    let blocks = source.bytes * USUAL_RATIO / BLOCK_BYTES as u64 + 1;
    let (form, whole) = Form::of_source(source.reader)?;
    let Form::Members(format) = form else {
        return Ok(drain(&mut stream_of(form, whole, buffer_bytes)?));
    };
    let unpackers = (0..pipeline::workers_for(blocks))
        .map(|_| {
            let mut unpacker = Unpacker::new(format)?;
            Ok(move |block: &mut Block| unpacker.unpack(block))
        })
        .collect::<io::Result<Vec<_>>>()?;
    let mut from = BufReader::with_capacity(buffer_bytes, whole);
    let feed = |feed: &mut Feed| feed_members(&mut from, format, feed);
    pipeline::run(unpackers, feed, |blocks| {
        drain(&mut Joined { blocks, at: 0 })
    })
}

fn feed_members(from: &mut impl Read, format: Format, feed: &mut Feed) -> io::Result<()> {
    if format == Format::Zstd {
        fill(from, &mut [0; zst::PREFACE.len()])?;
    }
    loop {
        let mut block = feed.free_block()?;
        let is_there = match format {
            Format::Gzip => gzip::read_member(from, &mut block.packed)?,
            Format::Zstd => zst::read_member(from, &mut block.packed)?,
        };
        if !is_there {
            return Ok(());
        }
        feed.send(block)?;
    }
}

/// What one thread unpacks with.
enum Unpacker {
    Gzip(Inflater),
    Zstd(ZstdDecompressor<'static>),
}

impl Unpacker {
    fn new(format: Format) -> io::Result<Self> {
        Ok(match format {
            Format::Gzip => Self::Gzip(Inflater::new()),
            Format::Zstd => Self::Zstd(ZstdDecompressor::new()?),
        })
    }

    /// No more than one block comes out of it, whatever the piece says.
    fn unpack(&mut self, block: &mut Block) -> io::Result<()> {
        block.plain.resize(BLOCK_BYTES, 0);
        let bytes = match self {
            Self::Gzip(unpacker) => gzip::unpack(unpacker, &block.packed, &mut block.plain)?,
            Self::Zstd(unpacker) => zst::unpack(unpacker, &block.packed, &mut block.plain)?,
        };
        block.plain.truncate(bytes);
        Ok(())
    }
}

/// The blocks as one stream.
struct Joined {
    blocks: Drain,
    at: usize,
}

impl Read for Joined {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let rest = self
                .blocks
                .current()
                .and_then(|block| block.plain.get(self.at..));
            if let Some(rest) = rest.filter(|rest| !rest.is_empty()) {
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                self.at += count;
                return Ok(count);
            }
            self.at = 0;
            if self.blocks.next()?.is_none() {
                return Ok(0);
            }
        }
    }
}
