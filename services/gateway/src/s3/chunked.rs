//! Bodies in chunks (`aws-chunked`): verified and taken apart as they stream, and whole upstream or
//! not at all.
//!
//! The chunks' own signatures end here, as they are the client's. A checksum in the trailer goes on
//! in a trailer, so that the upstream checks it once more and keeps it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use sigv4::{AnnouncedChunks, ChecksumAlgorithm, ChunkPiece, ChunkedBody, Denial};

use super::payload::Proof;
use crate::body::BoxError;

/// So much data in each chunk that is sent on, in bytes, but the last. S3 wants at least 8 KiB, and some
/// stores hold a chunk in memory; SDKs of AWS send as much as this.
const ONWARD_CHUNK_BYTES: u64 = 128 << 10;

/// How the data of a body in chunks goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// By itself, as a body of known length.
    Plain,
    /// In unsigned chunks that this checksum follows: `STREAMING-UNSIGNED-PAYLOAD-TRAILER`.
    WithTrailer(ChecksumAlgorithm),
}

impl Form {
    /// How many bytes a body of so much data then has.
    pub(crate) fn content_length(self, decoded_bytes: u64) -> u64 {
        let Self::WithTrailer(algorithm) = self else { return decoded_bytes };
        let chunk = |bytes: u64| (size_line(bytes).len() + CRLF.len()) as u64 + bytes;
        let (full, rest) = (decoded_bytes / ONWARD_CHUNK_BYTES, decoded_bytes % ONWARD_CHUNK_BYTES);
        let last = if rest > 0 { chunk(rest) } else { 0 };
        let trailer = size_line(0).len()
            + algorithm.header().len()
            + ":".len()
            + algorithm.value_len()
            + 2 * CRLF.len();
        full * chunk(ONWARD_CHUNK_BYTES) + last + trailer as u64
    }
}

/// A body's data, which ends only if everything about it was right: signatures, lengths, checksum.
///
/// Before that, the last piece of the data is held back. (To hold back the trailer is not enough: there are
/// stores that take an upload for whole once they have as much data as was announced.) No data has no
/// last piece: see [`Decoded::is_nothing`].
pub(crate) struct Decoded<B> {
    inner: B,
    /// Until its end is reached, for better or for worse.
    chunks: Option<ChunkedBody>,
    form: Form,
    proof: Proof,
    /// How much data is still to come.
    left: u64,
    /// How much of it in the chunk that was begun.
    left_in_chunk: u64,
    /// What can be sent on, but for the last piece of data while there is no proof.
    ready: VecDeque<Piece>,
    /// How many pieces of data are in it.
    ready_data: usize,
}

enum Piece {
    Data(Bytes),
    Framing(Bytes),
}

impl<B> Decoded<B>
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    pub(crate) fn new(
        inner: B,
        announced: AnnouncedChunks,
        chunks: ChunkedBody,
        form: Form,
    ) -> Self {
        Self {
            inner,
            chunks: Some(chunks),
            form,
            proof: Proof::default(),
            left: announced.decoded_bytes(),
            left_in_chunk: 0,
            ready: VecDeque::new(),
            ready_data: 0,
        }
    }

    /// Whether there is no data, so that the upstream might take this for whole before there is any proof.
    pub(crate) fn is_nothing(&self) -> bool {
        self.left == 0
    }

    pub(crate) fn proof(&self) -> Proof {
        self.proof.clone()
    }

    /// All that goes on of what has no data.
    ///
    /// # Errors
    /// As the body's own.
    pub(crate) async fn whole(mut self) -> Result<Bytes, BoxError> {
        let mut whole = BytesMut::new();
        while let Some(frame) = self.frame().await {
            whole.extend(frame?.into_data());
        }
        Ok(whole.freeze())
    }

    /// Takes apart what has arrived.
    fn decode(&mut self, read: &Bytes) -> Result<(), Denial> {
        let Some(mut chunks) = self.chunks.take() else { return Ok(()) };
        let mut rest = &**read;
        while let Some(piece) = chunks.read(&mut rest)? {
            match piece {
                ChunkPiece::Data(data) => self.push(read.slice_ref(data)),
                ChunkPiece::Signed { .. } => {}
            }
        }
        self.chunks = Some(chunks);
        Ok(())
    }

    fn push(&mut self, mut data: Bytes) {
        if self.form == Form::Plain {
            return self.push_data(data);
        }
        while !data.is_empty() {
            if self.left_in_chunk == 0 {
                self.left_in_chunk = self.left.min(ONWARD_CHUNK_BYTES);
                self.ready.push_back(Piece::Framing(size_line(self.left_in_chunk).into()));
            }
            let n = usize::try_from(self.left_in_chunk).map_or(data.len(), |n| n.min(data.len()));
            self.push_data(data.split_to(n));
            self.left_in_chunk -= n as u64;
            if self.left_in_chunk == 0 {
                self.ready.push_back(Piece::Framing(CRLF.into()));
            }
        }
    }

    fn push_data(&mut self, data: Bytes) {
        self.left = self.left.saturating_sub(data.len() as u64);
        self.ready_data += 1;
        self.ready.push_back(Piece::Data(data));
    }

    /// All has arrived: is it right?
    fn finish(&mut self) -> Result<(), Denial> {
        let Some(chunks) = self.chunks.take() else { return Ok(()) };
        let proof = chunks.finish()?;
        if let (Form::WithTrailer(_), Some(checksum)) = (self.form, proof.checksum()) {
            let name = checksum.algorithm().header();
            let trailer = format!("{}{name}:{checksum}\r\n\r\n", size_line(0));
            self.ready.push_back(Piece::Framing(trailer.into()));
        }
        self.proof.give();
        Ok(())
    }

    /// What may be sent on now.
    fn pop(&mut self) -> Option<Bytes> {
        if self.ready_data < 2 && !self.proof.given() {
            return None;
        }
        Some(match self.ready.pop_front()? {
            Piece::Framing(framing) => framing,
            Piece::Data(data) => {
                self.ready_data -= 1;
                data
            }
        })
    }
}

impl<B> Body for Decoded<B>
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
        loop {
            if let Some(piece) = this.pop() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            if this.chunks.is_none() {
                return Poll::Ready(None);
            }
            let step = match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
                // Trailers of HTTP say nothing here: those of S3 stand in the body.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(read) => this.decode(&read).map_err(BoxError::from),
                    Err(_) => Ok(()),
                },
                Some(Err(error)) => Err(error),
                None => this.finish().map_err(BoxError::from),
            };
            if let Err(error) = step {
                this.chunks = None;
                this.ready.clear();
                this.ready_data = 0;
                return Poll::Ready(Some(Err(error)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.chunks.is_none() && self.ready.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

const CRLF: &str = "\r\n";

/// What a chunk of so many bytes begins with.
fn size_line(bytes: u64) -> String {
    format!("{bytes:x}\r\n")
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::stream;
    use http_body_util::StreamBody;
    use proptest::prelude::*;
    use sigv4::PayloadMode;

    use super::*;

    const CRC32: ChecksumAlgorithm = ChecksumAlgorithm::Crc32;

    /// Of `abcd` and of nothing, by zlib.
    const CHECKSUMS: [(&[u8], &str); 2] = [(b"abcd", "7YLNEQ=="), (b"", "AAAAAA==")];

    fn announced(decoded_bytes: usize) -> AnnouncedChunks {
        let length = decoded_bytes.to_string();
        let headers =
            [("x-amz-decoded-content-length", &*length), ("x-amz-trailer", CRC32.header())];
        let headers = headers.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        AnnouncedChunks::find(PayloadMode::UnsignedChunksTrailer, headers).expect("announced")
    }

    fn sent(data: &[u8], checksum: &str) -> Vec<u8> {
        let mut sent = vec![];
        if !data.is_empty() {
            sent.extend([size_line(data.len() as u64).as_bytes(), data, b"\r\n"].concat());
        }
        sent.extend(format!("0\r\n{}:{checksum}\r\n\r\n", CRC32.header()).bytes());
        sent
    }

    /// What goes on of what arrives in pieces of so many bytes, and how it ends.
    fn run(
        form: Form,
        decoded_bytes: usize,
        sent: &[u8],
        piece: usize,
    ) -> (Vec<u8>, Option<Denial>) {
        let frames = sent.chunks(piece).map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece))));
        let frames: Vec<Result<_, BoxError>> = frames.collect();
        let announced = announced(decoded_bytes);
        let chunks = ChunkedBody::new(announced, None).expect("not signed");
        let mut body = Decoded::new(StreamBody::new(stream::iter(frames)), announced, chunks, form);
        let proof = body.proof();
        let mut out = vec![];
        block_on(async {
            while let Some(frame) = body.frame().await {
                match frame {
                    Ok(frame) => out.extend(frame.into_data().expect("data")),
                    Err(error) => {
                        assert!(body.frame().await.is_none(), "nothing follows an error");
                        assert!(!proof.given());
                        return (out, Some(*error.downcast::<Denial>().expect("a denial")));
                    }
                }
            }
            assert!(proof.given());
            (out, None)
        })
    }

    #[test]
    fn data_goes_on_by_itself_or_with_its_checksum() {
        for (data, checksum) in CHECKSUMS {
            let arrives = sent(data, checksum);
            for piece in [1, 3, 1000] {
                let (out, error) = run(Form::Plain, data.len(), &arrives, piece);
                assert_eq!((out.as_slice(), error), (data, None));
                let (out, error) = run(Form::WithTrailer(CRC32), data.len(), &arrives, piece);
                assert_eq!((&out, error), (&arrives, None));
            }
        }
    }

    #[test]
    fn what_is_wrong_never_goes_on_whole() {
        let (data, right) = CHECKSUMS[0];
        let arrives = sent(data, right);
        let wrong_data = sent(b"abce", right);
        let cut = &arrives[..arrives.len() - 2];
        let longer = [&*arrives, b"x"].concat();
        for (arrives, code) in [
            (&*sent(data, "AAAAAA=="), "BadDigest"),
            (&wrong_data, "BadDigest"),
            (cut, "IncompleteBody"),
            (&arrives[..3], "IncompleteBody"),
            (b"", "IncompleteBody"),
            (&longer, "MalformedTrailerError"),
            (b"4\r\nabcd\r\n0\r\n\r\n", "MalformedTrailerError"),
        ] {
            for form in [Form::Plain, Form::WithTrailer(CRC32)] {
                for piece in [1, 1000] {
                    let (out, error) = run(form, data.len(), arrives, piece);
                    assert_eq!(error.expect("an error").code.as_str(), code);
                    let data_out = out.iter().filter(|byte| b"abcde".contains(byte)).count();
                    assert!(data_out < 4, "{form:?}: {out:?}");
                }
            }
        }
    }

    #[test]
    fn nothing_has_no_last_piece_to_hold_back() {
        let decoded = |bytes, form, sent: &[u8]| {
            let announced = announced(bytes);
            let chunks = ChunkedBody::new(announced, None).expect("not signed");
            Decoded::new(crate::body::full(sent.to_vec()), announced, chunks, form)
        };
        for form in [Form::Plain, Form::WithTrailer(CRC32)] {
            let right = sent(b"", CHECKSUMS[1].1);
            let body = decoded(0, form, &right);
            assert!(body.is_nothing() && !decoded(1, form, b"").is_nothing());
            let whole = block_on(body.whole()).expect("right");
            assert_eq!(whole.len() as u64, form.content_length(0));
            let error = block_on(decoded(0, form, b"").whole()).expect_err("it is not whole");
            let denial = error.downcast_ref::<Denial>().expect("a denial");
            assert_eq!(denial.code.as_str(), "IncompleteBody");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// However it arrives, its length is as told before, and whoever reads it finds the same data.
        #[test]
        fn what_goes_on_is_what_was_announced(
            len in prop_oneof![0_usize..5, 131_071_usize..131_074, 0_usize..500_000],
            piece in 1_usize..200_000,
        ) {
            let data: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
            let mut crc = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32IsoHdlc);
            crc.update(&data);
            let value = (crc.finalize() as u32).to_be_bytes();
            let value = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, value);
            let form = Form::WithTrailer(CRC32);
            let (out, error) = run(form, len, &sent(&data, &value), piece);
            prop_assert_eq!(error, None);
            prop_assert_eq!(out.len() as u64, form.content_length(len as u64));
            let (again, error) = run(Form::Plain, len, &out, piece);
            prop_assert_eq!((again, error), (data, None));
        }
    }
}
