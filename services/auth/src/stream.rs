//! `StreamVerifySignatures`: many questions on one call.
//!
//! What can be answered at once is, between reading one request and the next, without a task or a
//! channel: what is ready is decoded, answered and encoded in one go.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use api::auth::v1::stream_verify_signatures_request::Request as Asked;
use api::auth::v1::stream_verify_signatures_response::Result as Told;
use api::auth::v1::{StreamVerifySignaturesRequest, StreamVerifySignaturesResponse};
use api::error::v1::Reason;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, Stream, StreamExt};
use tokio::task::coop;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Code, Status, Streaming};

use crate::answer::{self, Reached, Verdict};
use crate::metrics::Metrics;
use crate::status::Error;
use crate::verifier::{NoVerdict, Question, Verifier};

/// This many requests of one call may wait; then no more are read.
const WAITING_MAX: usize = 1024;

/// Answers the requests of one call.
pub(crate) struct Answers {
    requests: Streaming<StreamVerifySignaturesRequest>,
    verifier: Arc<Verifier>,
    metrics: Arc<Metrics>,
    waiting: FuturesUnordered<BoxFuture<'static, StreamVerifySignaturesResponse>>,
    reads: Reads,
    shutdown: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// Whether there is more to read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reads {
    More,
    /// The caller has closed its side.
    All,
    /// The server stops.
    NoMore,
}

impl Answers {
    pub(crate) fn new(
        requests: Streaming<StreamVerifySignaturesRequest>,
        verifier: Arc<Verifier>,
        metrics: Arc<Metrics>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            requests,
            verifier,
            metrics,
            waiting: FuturesUnordered::new(),
            reads: Reads::More,
            shutdown: Box::pin(shutdown.cancelled_owned()),
        }
    }

    /// The answer, if there is one already; else it will be among those that wait.
    fn answer(
        &mut self,
        request: StreamVerifySignaturesRequest,
    ) -> Option<StreamVerifySignaturesResponse> {
        let id = request.id;
        let result = match request.request {
            Some(Asked::Signature(question)) => self.ask(id, question, |reached| {
                let reached = reached.map(answer::signature);
                reached.map_or_else(error, Told::Signature)
            }),
            Some(Asked::StringToSign(question)) => self.ask(id, question, |reached| {
                let reached = reached.map(answer::string_to_sign);
                reached.map_or_else(error, Told::StringToSign)
            }),
            None => {
                let nothing = Error::Invalid { field: "request", description: "must be given" };
                self.metrics.count_error(nothing);
                Some(error(nothing))
            }
        };
        result.map(|result| StreamVerifySignaturesResponse { id, result: Some(result) })
    }

    fn ask<Q>(
        &mut self,
        id: u64,
        question: Q,
        tell: fn(Result<Reached<Verdict>, Error>) -> Told,
    ) -> Option<Told>
    where
        Q: Question<Verdict> + Send + Sync + 'static,
    {
        let reached = match self.verifier.look(&question) {
            Ok(reached) => Ok(reached),
            Err(reason) if reason.may_pass() => {
                let (verifier, metrics) = (Arc::clone(&self.verifier), Arc::clone(&self.metrics));
                let waits = async move {
                    let reached = verifier.answer(&question).await;
                    metrics.count(&reached);
                    StreamVerifySignaturesResponse { id, result: Some(tell(reached)) }
                };
                self.waiting.push(waits.boxed());
                return None;
            }
            Err(NoVerdict::Error(error)) => Err(error),
            Err(NoVerdict::NeedsKeys(_)) => Err(Error::NoKeys), // may pass
        };
        self.metrics.count(&reached);
        Some(tell(reached))
    }
}

fn error(error: Error) -> Told {
    let status = Status::from(error);
    Told::Error(answer::rpc_status(&status))
}

impl Stream for Answers {
    type Item = Result<StreamVerifySignaturesResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        // A caller that always has one more must not keep the others of this thread waiting.
        let turn = ready!(coop::poll_proceed(cx));
        if this.reads == Reads::More && this.shutdown.poll_unpin(cx).is_ready() {
            this.reads = Reads::NoMore;
        }
        while this.reads == Reads::More && this.waiting.len() < WAITING_MAX {
            match this.requests.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(request))) => {
                    turn.made_progress();
                    if let Some(answer) = this.answer(request) {
                        return Poll::Ready(Some(Ok(answer)));
                    }
                }
                Poll::Ready(Some(Err(status))) => {
                    this.reads = Reads::All;
                    this.waiting.clear();
                    return Poll::Ready(Some(Err(rpc::or_malformed(status))));
                }
                Poll::Ready(None) => this.reads = Reads::All,
                Poll::Pending => break,
            }
        }
        match this.waiting.poll_next_unpin(cx) {
            Poll::Ready(Some(answer)) => {
                turn.made_progress();
                Poll::Ready(Some(Ok(answer)))
            }
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => match this.reads {
                Reads::More => Poll::Pending,
                Reads::All => Poll::Ready(None),
                Reads::NoMore => {
                    this.reads = Reads::All;
                    let message = "the server stops: call again";
                    let status = api::status(Code::Unavailable, Reason::StreamEnded, message);
                    Poll::Ready(Some(Err(status)))
                }
            },
        }
    }
}
