//! Gives every request over a local socket an authority that h2 accepts.
//!
//! gRPC names no authority for a Unix socket, so clients send what they like: grpcio the socket's path
//! percent-encoded, grpc-java the path itself. Neither is a host, and h2 refuses the request before any of our code
//! sees it. So the authority is replaced on its way in; nothing here or behind it ever reads it.
//!
//! Only frames with header fields are looked into, and of these only the lengths: no value is decoded, no table is
//! kept. Where a field is literal and its name is `:authority`, its value becomes [`VALUE`]. That is
//! no longer than any value that was there, so h2's table never drops an entry earlier than the client believes,
//! and as entries are counted from the newest, each index means the same on both sides. All else passes as it is.
//!
//! # Source
//! RFC 9113 sections 3.4, 4.1 and 6.2; RFC 7541 sections 4, 5 and 6. The clients: hyperium/h2 pull request 487,
//! grpc/grpc issue 38142.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The authority of every request.
const VALUE: u8 = b'x';

/// Length of the connection preface that comes before the first frame.
const PREFACE_BYTES: usize = 24;
const FRAME_HEAD_BYTES: usize = 9;
/// Largest frame: we announce no other than the smallest allowed maximum.
const FRAME_BYTES_MAX: usize = 16 * 1024;
/// Most bytes taken from the socket at a time.
const READ_BYTES: usize = 16 * 1024;

const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
/// Bytes of the priority in a frame that has one.
const PRIORITY_BYTES: usize = 5;

/// The name as an entry of the static table.
const AUTHORITY_INDEX: u64 = 1;
/// The name as a string, which is how grpcio writes it: as it is, and in the code of Huffman.
const NAMES: [(bool, &[u8]); 2] =
    [(false, b":authority"), (true, b"\xb8\x3b\x53\x39\xec\x32\x7d\x7f")];

/// Bytes that are no HTTP/2, or more header fields than one frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not HTTP/2, or a request head of more than {FRAME_BYTES_MAX} bytes")]
struct Broken;

/// A socket whose incoming requests have an authority that h2 accepts.
#[derive(Debug)]
pub(crate) struct PlainAuthority<S> {
    socket: S,
    rewriter: Rewriter,
    scratch: Box<[u8]>,
    /// Rewritten bytes from `taken` on are still to be read.
    ready: Vec<u8>,
    taken: usize,
}

/// Where in the stream of frames we are.
#[derive(Debug)]
enum Rewriter {
    /// So many bytes pass as they are; a frame head follows.
    Pass(usize),
    /// In the head of a frame.
    Head(Vec<u8>),
    /// In a frame of header fields.
    Fields { block: Block, left: usize, frame: Vec<u8> },
    /// In the head of a frame that must continue these header fields.
    More { block: Block, head: Vec<u8> },
}

/// The header fields of one request, gathered over its frames.
#[derive(Debug, Default)]
struct Block {
    flags: u8,
    is_last: bool,
    stream: [u8; 4],
    bytes: Vec<u8>,
}

impl<S> PlainAuthority<S> {
    pub(crate) fn new(socket: S) -> Self {
        Self {
            socket,
            rewriter: Rewriter::Pass(PREFACE_BYTES),
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
            ready: Vec::new(),
            taken: 0,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PlainAuthority<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let ready = this.ready.get(this.taken..).unwrap_or_default();
            let given = ready.len().min(to.remaining());
            if given > 0 || to.remaining() == 0 {
                to.put_slice(ready.get(..given).unwrap_or_default());
                this.taken = this.taken.saturating_add(given);
                return Poll::Ready(Ok(()));
            }
            this.ready.clear();
            this.taken = 0;
            let mut arrived = ReadBuf::new(&mut this.scratch);
            ready!(Pin::new(&mut this.socket).poll_read(context, &mut arrived))?;
            if arrived.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            let rewritten = this.rewriter.take(arrived.filled(), &mut this.ready);
            if let Err(broken) = rewritten {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, broken)));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PlainAuthority<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

impl Rewriter {
    /// Takes the next bytes of a connection and appends what h2 gets instead.
    fn take(&mut self, mut bytes: &[u8], to: &mut Vec<u8>) -> Result<(), Broken> {
        while !bytes.is_empty() {
            let state = std::mem::replace(self, Self::Pass(0));
            *self = match state {
                Self::Pass(0) => Self::Head(Vec::with_capacity(FRAME_HEAD_BYTES)),
                Self::Pass(left) => {
                    let passed = split(&mut bytes, left);
                    to.extend_from_slice(passed);
                    Self::Pass(left.saturating_sub(passed.len()))
                }
                Self::Head(mut head) => {
                    gather(&mut bytes, &mut head, FRAME_HEAD_BYTES);
                    Self::after_head(head, to)?
                }
                Self::More { block, mut head } => {
                    gather(&mut bytes, &mut head, FRAME_HEAD_BYTES);
                    Self::after_continuation_head(block, head)?
                }
                Self::Fields { block, left, mut frame } => {
                    gather(&mut bytes, &mut frame, left);
                    Self::after_fields(block, left, frame, to)?
                }
            };
        }
        Ok(())
    }

    fn after_head(head: Vec<u8>, to: &mut Vec<u8>) -> Result<Self, Broken> {
        let [a, b, c, kind, flags, stream @ ..] = head.as_slice() else {
            return Ok(Self::Head(head));
        };
        let Ok(stream) = <[u8; 4]>::try_from(stream) else { return Ok(Self::Head(head)) };
        let length = length(*a, *b, *c)?;
        if *kind != HEADERS {
            to.extend_from_slice(&head);
            return Ok(Self::Pass(length));
        }
        let is_last = *flags & END_HEADERS != 0;
        let block = Block { flags: *flags, is_last, stream, bytes: Vec::new() };
        if length == 0 {
            return Err(Broken);
        }
        Ok(Self::Fields { block, left: length, frame: Vec::with_capacity(length) })
    }

    fn after_continuation_head(mut block: Block, head: Vec<u8>) -> Result<Self, Broken> {
        let [a, b, c, kind, flags, stream @ ..] = head.as_slice() else {
            return Ok(Self::More { block, head });
        };
        if stream.len() < block.stream.len() {
            return Ok(Self::More { block, head });
        }
        // A frame without bytes would make an endless row of them free of charge.
        let length = length(*a, *b, *c)?;
        if *kind != CONTINUATION || *stream != block.stream || length == 0 {
            return Err(Broken);
        }
        block.is_last = *flags & END_HEADERS != 0;
        // What was gathered is kept as it is; only the first frame has padding or a priority.
        Ok(Self::Fields { block, left: length, frame: Vec::with_capacity(length) })
    }

    fn after_fields(
        mut block: Block,
        left: usize,
        frame: Vec<u8>,
        to: &mut Vec<u8>,
    ) -> Result<Self, Broken> {
        if frame.len() < left {
            return Ok(Self::Fields { block, left, frame });
        }
        if block.bytes.is_empty() {
            block.bytes.extend_from_slice(fragment(block.flags, &frame)?);
        } else {
            block.bytes.extend_from_slice(&frame);
        }
        if block.bytes.len() > FRAME_BYTES_MAX || block.bytes.is_empty() {
            return Err(Broken);
        }
        if !block.is_last {
            return Ok(Self::More { block, head: Vec::with_capacity(FRAME_HEAD_BYTES) });
        }
        block.write(to)?;
        Ok(Self::Pass(0))
    }
}

impl Block {
    /// Writes the fields as one frame.
    fn write(&self, to: &mut Vec<u8>) -> Result<(), Broken> {
        let fields = with_plain_authority(&self.bytes)?;
        let length = u32::try_from(fields.len()).map_err(|_too_long| Broken)?.to_be_bytes();
        let [_zero, a, b, c] = length;
        let flags = (self.flags | END_HEADERS) & !(PADDED | PRIORITY);
        to.extend_from_slice(&[a, b, c, HEADERS, flags]);
        to.extend_from_slice(&self.stream);
        to.extend_from_slice(&fields);
        Ok(())
    }
}

/// The header fields of a first frame, without its padding and priority.
fn fragment(flags: u8, frame: &[u8]) -> Result<&[u8], Broken> {
    let mut rest = frame;
    let mut padding = 0;
    if flags & PADDED != 0 {
        let (first, after) = rest.split_first().ok_or(Broken)?;
        (padding, rest) = (usize::from(*first), after);
    }
    if flags & PRIORITY != 0 {
        rest = rest.get(PRIORITY_BYTES..).ok_or(Broken)?;
    }
    rest.len().checked_sub(padding).and_then(|end| rest.get(..end)).ok_or(Broken)
}

/// Header fields in which each literal `:authority` has another value.
fn with_plain_authority(block: &[u8]) -> Result<Vec<u8>, Broken> {
    let mut rewritten = Vec::with_capacity(block.len());
    let mut rest = block;
    while let Some(first) = rest.first().copied() {
        let field = rest;
        let prefix_bits = match first {
            // An entry of a table: name and value. A new size of the table: neither.
            0x80.. => 7,
            0x20..0x40 => 5,
            // Literal, with and without a new entry.
            0x40.. => 6,
            0x00.. => 4,
        };
        let index = integer(&mut rest, prefix_bits)?;
        let mut end = None;
        if matches!(prefix_bits, 6 | 4) {
            let is_authority = match index {
                0 => NAMES.contains(&string(&mut rest)?),
                _ => index == AUTHORITY_INDEX,
            };
            let before_value = rest;
            let (_coding, value) = string(&mut rest)?;
            // An empty value is shorter than ours; h2 says what it thinks of it.
            end = Some(before_value).filter(|_| is_authority && !value.is_empty());
        }
        let kept = field.len().saturating_sub(end.unwrap_or(rest).len());
        rewritten.extend_from_slice(field.get(..kept).unwrap_or_default());
        if end.is_some() {
            rewritten.extend_from_slice(&[1, VALUE]);
        }
    }
    Ok(rewritten)
}

/// An integer with a prefix of so many bits.
fn integer(rest: &mut &[u8], prefix_bits: u32) -> Result<u64, Broken> {
    let mask = u8::MAX.checked_shr(8_u32.saturating_sub(prefix_bits)).unwrap_or(u8::MAX);
    let (first, mut after) = rest.split_first().ok_or(Broken)?;
    let mut value = u64::from(first & mask);
    if first & mask == mask {
        // No length or index here needs more than four further bytes.
        let mut shift = 0;
        loop {
            let (byte, next) = after.split_first().ok_or(Broken)?;
            after = next;
            value = value.saturating_add(u64::from(byte & 0x7f) << shift);
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
            if shift > 21 {
                return Err(Broken);
            }
        }
    }
    *rest = after;
    Ok(value)
}

/// Takes a string: whether it is in the code of Huffman, and its bytes as they are.
fn string<'a>(rest: &mut &'a [u8]) -> Result<(bool, &'a [u8]), Broken> {
    let is_huffman = rest.first().is_some_and(|first| first & 0x80 != 0);
    let length = usize::try_from(integer(rest, 7)?).map_err(|_too_long| Broken)?;
    let (string, after) = rest.split_at_checked(length).ok_or(Broken)?;
    *rest = after;
    Ok((is_huffman, string))
}

fn length(a: u8, b: u8, c: u8) -> Result<usize, Broken> {
    let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).map_err(|_large| Broken)?;
    if length > FRAME_BYTES_MAX { Err(Broken) } else { Ok(length) }
}

/// Takes up to `most` bytes off the front.
fn split<'a>(bytes: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at_checked(most).unwrap_or((bytes, &[]));
    *bytes = rest;
    taken
}

/// Moves bytes until `to` has as many as wanted.
fn gather(bytes: &mut &[u8], to: &mut Vec<u8>, wanted: usize) {
    let missing = wanted.saturating_sub(to.len());
    to.extend_from_slice(split(bytes, missing));
}

#[cfg(test)]
mod tests;
