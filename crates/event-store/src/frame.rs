//! How an event is stored: one frame of bytes, that can be checked by itself.
//!
//! ```text
//! format   u8        1
//! body     u32 + n   length, little endian, then a protobuf message (`Body` in this file)
//! sealed   u8        0 the event never had a sealed part, 1 it follows, 2 it was dropped
//!         (u32 + n)  only after 1: length and bytes
//! crc32c   u32       of everything before it
//! ```
//!
//! An event's hash is the SHA-256 of its body. The body holds the hash of the event before (so that
//! each hash stands for the whole log up to there) and the hash of the sealed part, not the part
//! itself: it can be dropped and the chain still holds.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use uuid::Uuid;

use crate::{Actor, Claim, ClaimOp, Hash, Label, Position, Recorded, Revision, StreamId};

/// The largest frame: seventeen of them, a full leaf of sled's, stay below what sled keeps in place.
pub const FRAME_BYTES_MAX: usize = 7 * 1024;

const FORMAT: u8 = 1;
const SEALED_NEVER: u8 = 0;
const SEALED_HERE: u8 = 1;
const SEALED_DROPPED: u8 = 2;

/// Why bytes are no frame. Reading them again gets the same answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FrameError {
    /// It ends too early, or something follows it.
    #[error("frame has the wrong length")]
    Length,
    /// Written by a version that this one does not know.
    #[error("frame format {0} is unknown")]
    Format(u8),
    /// Some byte is not what was written.
    #[error("checksum does not match")]
    Checksum,
    /// The body is no message.
    #[error("body does not decode")]
    Body,
    /// A field of the body is not what it must be.
    #[error("{0} is malformed")]
    Field(&'static str),
    /// The sealed part is not the one that the chain stands for.
    #[error("sealed part does not match its hash")]
    Sealed,
}

/// The protobuf message in a frame. Fields are only ever added.
#[derive(Clone, PartialEq, Message)]
struct Body {
    #[prost(uint64, tag = "1")]
    position: u64,
    /// 32 bytes.
    #[prost(bytes = "bytes", tag = "2")]
    prev_hash: Bytes,
    /// Milliseconds since 1970 UTC.
    #[prost(uint64, tag = "3")]
    time_ms: u64,
    /// 16 bytes.
    #[prost(bytes = "bytes", tag = "4")]
    account: Bytes,
    #[prost(string, tag = "5")]
    stream: String,
    #[prost(uint64, tag = "6")]
    revision: u64,
    #[prost(uint32, tag = "7")]
    event_type: u32,
    /// At most 65535.
    #[prost(uint32, tag = "8")]
    schema_version: u32,
    /// 16 bytes.
    #[prost(bytes = "bytes", tag = "9")]
    command_id: Bytes,
    /// 32 bytes.
    #[prost(bytes = "bytes", tag = "10")]
    command_digest: Bytes,
    #[prost(uint32, tag = "11")]
    batch_index: u32,
    #[prost(uint32, tag = "12")]
    batch_len: u32,
    #[prost(message, required, tag = "13")]
    actor: ActorBody,
    /// The whole batch's, in its first event.
    #[prost(message, repeated, tag = "14")]
    claims: Vec<ClaimBody>,
    #[prost(bytes = "bytes", tag = "15")]
    payload: Bytes,
    /// 32 bytes, or none if the event never had a sealed part.
    #[prost(bytes = "bytes", tag = "16")]
    sealed_hash: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct ActorBody {
    #[prost(string, tag = "1")]
    principal: String,
    #[prost(string, tag = "2")]
    facade: String,
    #[prost(string, tag = "3")]
    source_address: String,
    #[prost(string, tag = "4")]
    request_id: String,
}

#[derive(Clone, PartialEq, Message)]
struct ClaimBody {
    #[prost(bool, tag = "1")]
    release: bool,
    #[prost(string, tag = "2")]
    kind: String,
    #[prost(string, tag = "3")]
    key: String,
}

/// Encodes an event and sets its `hash` and, if the sealed part is there, its `sealed_hash`.
pub(crate) fn encode(event: &mut Recorded) -> Bytes {
    if let Some(sealed) = &event.sealed {
        event.sealed_hash = Some(Hash::of(sealed));
    }
    let body = Body::from(&*event).encode_to_vec();
    event.hash = Hash::of(&body);
    assemble(&body, event.sealed.as_ref(), event.sealed_hash.is_some())
}

fn assemble(body: &[u8], sealed: Option<&Bytes>, had_sealed: bool) -> Bytes {
    let mut frame = BytesMut::with_capacity(body.len() + sealed.map_or(0, Bytes::len) + 14);
    frame.put_u8(FORMAT);
    put_part(&mut frame, body);
    match sealed {
        Some(sealed) => {
            frame.put_u8(SEALED_HERE);
            put_part(&mut frame, sealed);
        }
        None if had_sealed => frame.put_u8(SEALED_DROPPED),
        None => frame.put_u8(SEALED_NEVER),
    }
    frame.put_u32_le(crc32c::crc32c(&frame));
    frame.freeze()
}

/// Writes a part and its length. Parts are bounded by a batch's limits, far below 4 GiB.
fn put_part(frame: &mut BytesMut, part: &[u8]) {
    frame.put_u32_le(u32::try_from(part.len()).unwrap_or(u32::MAX));
    frame.put_slice(part);
}

/// Decodes a frame and checks it as far as it can be checked by itself: checksum, form, sealed part.
///
/// Payload and sealed part share the memory of `frame`.
///
/// # Errors
/// [`FrameError`]; any bytes whatever give an error or an event, never a panic.
pub fn decode(frame: Bytes) -> Result<Recorded, FrameError> {
    let (body, sealed, tag) = parts(frame)?;
    let hash = Hash::of(&body);
    let body = Body::decode(body).map_err(|_| FrameError::Body)?;
    let event = body.into_recorded(hash, sealed)?;
    match (tag, &event.sealed, event.sealed_hash) {
        (SEALED_NEVER, None, None) | (SEALED_DROPPED, None, Some(_)) => Ok(event),
        (SEALED_HERE, Some(sealed), Some(hash)) if Hash::of(sealed) == hash => Ok(event),
        _ => Err(FrameError::Sealed),
    }
}

/// The same frame without its sealed part; the chain over it holds as before.
///
/// # Errors
/// [`FrameError`] when it is no frame.
pub fn without_sealed(frame: Bytes) -> Result<Bytes, FrameError> {
    let (body, _, tag) = parts(frame)?;
    Ok(assemble(&body, None, tag != SEALED_NEVER))
}

/// Checks the checksum and takes a frame apart: body, sealed part, what is said about the latter.
fn parts(mut frame: Bytes) -> Result<(Bytes, Option<Bytes>, u8), FrameError> {
    let checked = frame.len().checked_sub(4).ok_or(FrameError::Length)?;
    let mut checksum = frame.split_off(checked);
    let format = *frame.first().ok_or(FrameError::Length)?;
    if format != FORMAT {
        return Err(FrameError::Format(format));
    }
    if checksum.get_u32_le() != crc32c::crc32c(&frame) {
        return Err(FrameError::Checksum);
    }
    frame.advance(1);
    let body = take_part(&mut frame)?;
    let tag = frame.try_get_u8().map_err(|_| FrameError::Length)?;
    let sealed = if tag == SEALED_HERE { Some(take_part(&mut frame)?) } else { None };
    if frame.is_empty() { Ok((body, sealed, tag)) } else { Err(FrameError::Length) }
}

fn take_part(frame: &mut Bytes) -> Result<Bytes, FrameError> {
    let length = frame.try_get_u32_le().map_err(|_| FrameError::Length)?;
    let length = usize::try_from(length).map_err(|_| FrameError::Length)?;
    if length > frame.len() { Err(FrameError::Length) } else { Ok(frame.split_to(length)) }
}

impl From<&Recorded> for Body {
    fn from(event: &Recorded) -> Self {
        let bytes = Bytes::copy_from_slice;
        Self {
            position: event.position.0,
            prev_hash: bytes(&event.prev_hash.0),
            time_ms: event.time_ms,
            account: bytes(event.account.as_bytes()),
            stream: event.stream.as_str().to_owned(),
            revision: event.revision.0,
            event_type: event.event_type,
            schema_version: u32::from(event.schema_version),
            command_id: bytes(event.command_id.as_bytes()),
            command_digest: bytes(&event.command_digest),
            batch_index: event.batch_index,
            batch_len: event.batch_len,
            actor: ActorBody {
                principal: event.actor.principal.as_str().to_owned(),
                facade: event.actor.facade.as_str().to_owned(),
                source_address: event.actor.source_address.as_str().to_owned(),
                request_id: event.actor.request_id.as_str().to_owned(),
            },
            claims: event.claims.iter().map(ClaimBody::from).collect(),
            payload: event.payload.clone(),
            sealed_hash: event.sealed_hash.map(|hash| bytes(&hash.0)).unwrap_or_default(),
        }
    }
}

impl Body {
    fn into_recorded(self, hash: Hash, sealed: Option<Bytes>) -> Result<Recorded, FrameError> {
        let sealed_hash = match self.sealed_hash.len() {
            0 => None,
            _ => Some(Hash(array(&self.sealed_hash, "hash of the sealed part")?)),
        };
        Ok(Recorded {
            position: Position(self.position),
            prev_hash: Hash(array(&self.prev_hash, "previous hash")?),
            hash,
            time_ms: self.time_ms,
            account: Uuid::from_bytes(array(&self.account, "account")?),
            stream: StreamId::parse(self.stream).map_err(|_| FrameError::Field("stream"))?,
            revision: Revision(self.revision),
            event_type: self.event_type,
            schema_version: u16::try_from(self.schema_version)
                .map_err(|_| FrameError::Field("schema version"))?,
            command_id: Uuid::from_bytes(array(&self.command_id, "command ID")?),
            command_digest: array(&self.command_digest, "command digest")?,
            batch_index: self.batch_index,
            batch_len: self.batch_len,
            actor: Actor {
                principal: label(self.actor.principal, "principal")?,
                facade: label(self.actor.facade, "facade")?,
                source_address: label(self.actor.source_address, "source address")?,
                request_id: label(self.actor.request_id, "request ID")?,
            },
            claims: self.claims.into_iter().map(ClaimOp::try_from).collect::<Result<_, _>>()?,
            payload: self.payload,
            sealed,
            sealed_hash,
        })
    }
}

impl From<&ClaimOp> for ClaimBody {
    fn from(op: &ClaimOp) -> Self {
        let Claim { kind, key } = op.claim();
        let release = matches!(op, ClaimOp::Release(_));
        Self { release, kind: kind.as_str().to_owned(), key: key.as_str().to_owned() }
    }
}

impl TryFrom<ClaimBody> for ClaimOp {
    type Error = FrameError;

    fn try_from(body: ClaimBody) -> Result<Self, FrameError> {
        let claim = Claim { kind: label(body.kind, "claim")?, key: label(body.key, "claim")? };
        Ok(if body.release { Self::Release(claim) } else { Self::Take(claim) })
    }
}

fn array<const N: usize>(bytes: &[u8], field: &'static str) -> Result<[u8; N], FrameError> {
    bytes.try_into().map_err(|_| FrameError::Field(field))
}

fn label<const N: usize>(text: String, field: &'static str) -> Result<Label<N>, FrameError> {
    Label::parse(text).map_err(|_| FrameError::Field(field))
}

#[cfg(test)]
mod tests;
