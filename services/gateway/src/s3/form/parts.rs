//! The parts of a form, read as they arrive: so much before the file, and then the file.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::Stream;
use http_body::Body;
use multer::{Field, Multipart};
use sigv4::{FORM_BYTES_MAX, FORM_FIELDS_MAX};

use crate::body::BoxError;
use crate::s3::error_xml::S3Error;
use crate::s3::forward;

/// The most bytes before the file, fields and what parts them: that they are within their own bounds
/// ([`FORM_BYTES_MAX`], [`FORM_FIELDS_MAX`]) is known only once they are read.
const BYTES_BEFORE_FILE_MAX: usize = 64 << 10;

/// Names and values of the fields before the file, in order.
pub(super) type Fields = Vec<(String, String)>;

/// A form that is not read yet.
pub(super) struct Parts {
    parts: Multipart<'static>,
    file_begun: Arc<AtomicBool>,
}

/// The file in a form.
pub(super) struct File {
    field: Field<'static>,
    name: String,
}

impl Parts {
    pub(super) fn new<B>(body: B, boundary: String) -> Self
    where
        B: Body<Data = Bytes, Error = BoxError> + Send + Unpin + 'static,
    {
        let file_begun = Arc::new(AtomicBool::new(false));
        let begun = Arc::clone(&file_begun);
        let pieces = Pieces { body, read: 0, file_begun: begun, rests: false };
        Self { parts: Multipart::new(pieces, boundary), file_begun }
    }

    /// Reads up to the file. What comes after it is no part of the form.
    ///
    /// # Errors
    /// `MalformedPOSTRequest`, `MaxPostPreDataLengthExceededError`, `InvalidArgument` if there is no
    /// file; and as the body breaks off.
    pub(super) async fn read(mut self) -> Result<(Fields, File), S3Error> {
        let (mut fields, mut bytes) = (Fields::new(), 0);
        loop {
            let Some(mut field) = self.parts.next_field().await.map_err(failure)? else {
                let message = "POST requires exactly one file upload per request.";
                return Err(S3Error::invalid_argument(message, "file").with("ArgumentValue", "0"));
            };
            let name = field.name().ok_or_else(S3Error::malformed_form)?.to_owned();
            if name.eq_ignore_ascii_case("file") {
                self.file_begun.store(true, Ordering::Relaxed);
                let name = field.file_name().unwrap_or_default().to_owned();
                return Ok((fields, File { field, name }));
            }
            bytes += name.len();
            let mut value = vec![];
            while let Some(piece) = field.chunk().await.map_err(failure)? {
                bytes += piece.len();
                if bytes > FORM_BYTES_MAX {
                    return Err(too_much());
                }
                value.extend_from_slice(&piece);
            }
            if fields.len() == FORM_FIELDS_MAX {
                return Err(too_much());
            }
            fields.push((name, String::from_utf8(value).map_err(|_| S3Error::malformed_form())?));
        }
    }
}

impl File {
    /// As the browser called it; empty if it did not.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The next piece.
    ///
    /// # Errors
    /// `IncompleteBody` or `RequestTimeout` if the body breaks off before the file's end.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, S3Error> {
        self.field.chunk().await.map_err(failure)
    }
}

/// There is more before the file than there may be.
#[derive(Debug, thiserror::Error)]
#[error("too much before the file")]
struct TooMuch;

fn too_much() -> S3Error {
    let message = "Your POST request fields preceding the upload file were too large.";
    S3Error::new(http::StatusCode::BAD_REQUEST, "MaxPostPreDataLengthExceededError", message)
        .with("MaxPostPreDataLengthBytes", FORM_BYTES_MAX.to_string())
}

fn failure(error: multer::Error) -> S3Error {
    if let multer::Error::StreamReadFailed(error) = error {
        return if error.is::<TooMuch>() { too_much() } else { forward::failure(&*error) };
    }
    let breaks_off = matches!(
        error,
        multer::Error::IncompleteFieldData { .. } | multer::Error::IncompleteStream
    );
    if breaks_off { S3Error::incomplete_body() } else { S3Error::malformed_form() }
}

/// The pieces of a body, one at a time: the parser reads on for as long as there is one, wanted or not.
struct Pieces<B> {
    body: B,
    read: usize,
    file_begun: Arc<AtomicBool>,
    /// The last poll gave a piece.
    rests: bool,
}

impl<B> Stream for Pieces<B>
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if std::mem::take(&mut this.rests) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            if this.read > BYTES_BEFORE_FILE_MAX && !this.file_begun.load(Ordering::Relaxed) {
                return Poll::Ready(Some(Err(TooMuch.into())));
            }
            let frame = match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            };
            let Ok(data) = frame.into_data() else { continue };
            this.read = this.read.saturating_add(data.len());
            this.rests = true;
            return Poll::Ready(Some(Ok(data)));
        }
    }
}
