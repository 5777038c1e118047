//! A body is only whole if it is the one that was signed.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use sha2::{Digest, Sha256};

use crate::body::BoxError;

/// A SHA-256, printed as S3 writes it.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) struct Hash(pub(crate) [u8; 32]);

impl Hash {
    /// Of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A body has another SHA-256 than the one that was signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the body's SHA-256 is {computed}, not {signed}")]
pub(crate) struct Mismatch {
    pub(crate) signed: Hash,
    pub(crate) computed: Hash,
}

/// Says whether a body has turned out to be the one that was signed. Clones share the answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proof(Arc<AtomicBool>);

impl Proof {
    /// Whether it has. True before the last byte leaves, so whoever has that byte may rely on it.
    pub(crate) fn given(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Says that it has.
    pub(crate) fn give(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Hashes a body as it streams, and holds its last piece back until the hash is right.
///
/// The receiver knows the length, so it takes nothing for whole before that piece is there. A body
/// of no bytes has no last piece: it must be checked before anything is sent.
#[derive(Debug)]
pub(crate) struct HoldBack<B> {
    inner: B,
    signed: Hash,
    proof: Proof,
    hasher: Sha256,
    held: Option<Bytes>,
    ended: bool,
}

impl<B> HoldBack<B> {
    pub(crate) fn new(inner: B, signed: Hash) -> Self {
        let (proof, hasher) = (Proof::default(), Sha256::new());
        Self { inner, signed, proof, hasher, held: None, ended: false }
    }

    pub(crate) fn proof(&self) -> Proof {
        self.proof.clone()
    }

    fn finish(&mut self) -> Result<Option<Bytes>, Mismatch> {
        self.ended = true;
        let held = self.held.take();
        let computed = Hash(self.hasher.finalize_reset().into());
        if computed != self.signed {
            return Err(Mismatch { signed: self.signed, computed });
        }
        self.proof.give();
        Ok(held)
    }
}

impl<B> Body for HoldBack<B>
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        while !this.ended {
            match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers end here: nobody signed them.
                    let Ok(data) = frame.into_data() else { continue };
                    if data.is_empty() {
                        continue;
                    }
                    this.hasher.update(&data);
                    if let Some(before) = this.held.replace(data) {
                        return Poll::Ready(Some(Ok(Frame::data(before))));
                    }
                }
                Some(Err(error)) => {
                    this.ended = true;
                    this.held = None;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    let last = this.finish().map_err(BoxError::from);
                    return Poll::Ready(last.map(|held| held.map(Frame::data)).transpose());
                }
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.held.as_ref().map_or(0, |held| held.len() as u64);
        let inner = self.inner.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + held);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + held);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::stream;
    use http_body_util::{BodyExt, StreamBody};
    use proptest::prelude::*;

    use super::*;

    /// What comes out of a body of these pieces, and what it ended with.
    fn run(
        pieces: &[Vec<u8>],
        signed: Hash,
        broken: bool,
    ) -> (Vec<u8>, Result<bool, Option<Mismatch>>) {
        let frames = pieces.iter().map(|piece| Ok(Frame::data(Bytes::from(piece.clone()))));
        let end = broken.then(|| Err(BoxError::from("broken")));
        let frames: Vec<_> = frames.chain(end).collect();
        let mut body = HoldBack::new(StreamBody::new(stream::iter(frames)), signed);
        let proof = body.proof();
        let mut out = vec![];
        block_on(async {
            while let Some(frame) = body.frame().await {
                match frame {
                    Ok(frame) => out.extend(frame.into_data().expect("data")),
                    Err(error) => {
                        assert!(body.frame().await.is_none(), "nothing follows an error");
                        return (out, Err(error.downcast_ref().copied()));
                    }
                }
            }
            (out, Ok(proof.given()))
        })
    }

    proptest! {
        #[test]
        fn a_right_body_passes_however_it_is_split(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..12),
        ) {
            let whole = pieces.concat();
            let (out, end) = run(&pieces, Hash::of(&whole), false);
            prop_assert_eq!(out, whole);
            prop_assert_eq!(end, Ok(true));
        }

        #[test]
        fn a_wrong_body_never_passes_whole(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..12),
            other in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let whole = pieces.concat();
            prop_assume!(whole != other);
            let (out, end) = run(&pieces, Hash::of(&other), false);
            prop_assert!(whole.is_empty() || out.len() < whole.len());
            prop_assert!(whole.starts_with(&out));
            let (signed, computed) = (Hash::of(&other), Hash::of(&whole));
            prop_assert_eq!(end, Err(Some(Mismatch { signed, computed })));
        }

        #[test]
        fn a_body_that_breaks_off_never_passes_whole(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 1..12),
        ) {
            // Even if everything had come that was signed.
            let whole = pieces.concat();
            let (out, end) = run(&pieces, Hash::of(&whole), true);
            prop_assert!(out.len() < whole.len());
            prop_assert_eq!(end, Err(None));
        }
    }

    #[test]
    fn the_length_counts_what_is_held_back() {
        let mut body = HoldBack::new(crate::body::full("hello"), Hash::of(b"hello"));
        assert_eq!(body.size_hint().exact(), Some(5));
        block_on(body.frame());
        assert!(body.proof().given() && body.is_end_stream());
    }
}
