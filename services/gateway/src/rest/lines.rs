//! Answers that go on: a message a line.

use std::panic::AssertUnwindSafe;

use bytes::Bytes;
use futures::{FutureExt, stream};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use prost_reflect::MessageDescriptor;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use super::problem::Problem;
use super::render;
use crate::body::{BoxBody, BoxError};

/// A body of the messages of a stream as newline-delimited JSON: each is asked for when there is room for
/// it. When the stream fails, or the gateway stops, the last line is `{"error": …}` with the problem.
pub(crate) fn body(
    messages: Streaming<Bytes>,
    message: MessageDescriptor,
    request_id: String,
    shutdown: CancellationToken,
) -> BoxBody {
    let lines = stream::unfold(Some(messages), move |messages| {
        let (message, request_id, shutdown) =
            (message.clone(), request_id.clone(), shutdown.clone());
        async move {
            let mut messages = messages?;
            let line =
                AssertUnwindSafe(next(&mut messages, &message, &shutdown)).catch_unwind().await;
            let (line, more) = match line.unwrap_or_else(|_panic| Err(Problem::internal())) {
                Ok(line) => (line?, Some(messages)),
                Err(problem) => {
                    let line = json!({ "error": problem.document(&request_id) });
                    (line.to_string().into_bytes(), None)
                }
            };
            let mut line = line;
            line.push(b'\n');
            Some((Ok::<_, BoxError>(Frame::data(Bytes::from(line))), more))
        }
    });
    StreamBody::new(lines).boxed_unsync()
}

/// The next message; none at the end.
async fn next(
    messages: &mut Streaming<Bytes>,
    message: &MessageDescriptor,
    shutdown: &CancellationToken,
) -> Result<Option<Vec<u8>>, Problem> {
    let read = tokio::select! {
        read = messages.message() => read,
        () = shutdown.cancelled() => return Err(Problem::stopping()),
    };
    match read {
        Ok(Some(bytes)) => render::json(message, bytes).map(Some),
        Ok(None) => Ok(None),
        Err(status) => Err(Problem::of_status(&status)),
    }
}
