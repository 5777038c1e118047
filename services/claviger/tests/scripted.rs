//! Commands that ask more than once, or are told less than all, against a server with a script.

mod support;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use api::error::v1::Reason;
use api::event::v1::Event;
use api::identity::v1::event_service_server::{EventService, EventServiceServer};
use api::identity::v1::{
    ExportLogRequest, ExportLogResponse, GetCheckpointRequest, GetCheckpointResponse,
    ListEventsRequest, ListEventsResponse, VerifyLogRequest, VerifyLogResponse, WatchEventsRequest,
    WatchEventsResponse,
};
use futures::stream::{self, BoxStream};
use support::{Ran, claviger};
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status};

type Told = Result<WatchEventsResponse, Status>;

/// What is answered, call by call.
#[derive(Default)]
struct Answers {
    /// Each stream of events, up to its end.
    streams: VecDeque<Vec<Told>>,
    /// Each piece of the log that is checked.
    pieces: VecDeque<VerifyLogResponse>,
    /// The one export.
    export: Vec<&'static str>,
    /// The positions after which events, or checks, were asked for.
    asked: Vec<u64>,
}

#[derive(Clone, Default)]
struct Script(Arc<Mutex<Answers>>);

impl Script {
    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().expect("whole")
    }
}

fn not_in_the_script() -> Status {
    Status::internal("not in the script")
}

#[tonic::async_trait]
impl EventService for Script {
    type WatchEventsStream = BoxStream<'static, Told>;
    type ExportLogStream = BoxStream<'static, Result<ExportLogResponse, Status>>;

    async fn watch_events(
        &self,
        request: Request<WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        let mut answers = self.answers();
        answers.asked.push(request.into_inner().after_position);
        let told = answers.streams.pop_front().ok_or_else(not_in_the_script)?;
        Ok(Response::new(Box::pin(stream::iter(told))))
    }

    async fn list_events(
        &self,
        _: Request<ListEventsRequest>,
    ) -> Result<Response<ListEventsResponse>, Status> {
        Err(not_in_the_script())
    }

    async fn get_checkpoint(
        &self,
        _: Request<GetCheckpointRequest>,
    ) -> Result<Response<GetCheckpointResponse>, Status> {
        Err(not_in_the_script())
    }

    async fn verify_log(
        &self,
        request: Request<VerifyLogRequest>,
    ) -> Result<Response<VerifyLogResponse>, Status> {
        let mut answers = self.answers();
        answers.asked.push(request.into_inner().since.unwrap_or_default().position);
        Ok(Response::new(answers.pieces.pop_front().ok_or_else(not_in_the_script)?))
    }

    async fn export_log(
        &self,
        _: Request<ExportLogRequest>,
    ) -> Result<Response<Self::ExportLogStream>, Status> {
        let pieces = std::mem::take(&mut self.answers().export);
        let pieces = pieces.into_iter().map(|lines| Ok(ExportLogResponse { lines: lines.into() }));
        Ok(Response::new(Box::pin(stream::iter(pieces.collect::<Vec<_>>()))))
    }
}

fn event(position: u64) -> Told {
    let event = Event { position, ..Default::default() };
    Ok(WatchEventsResponse { event: Some(event), resume_position: position })
}

fn progress(resume_position: u64) -> Told {
    Ok(WatchEventsResponse { event: None, resume_position })
}

fn ended() -> Told {
    Err(api::status(Code::Unavailable, Reason::WatchEnded, "the stream has ended"))
}

/// Runs a command against a server with this script; gives what it did, and what it asked for.
async fn check(answers: Answers, args: &[&str]) -> (Ran, Vec<u64>) {
    let script = Script(Arc::new(Mutex::new(answers)));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("free");
    let uri = format!("http://{}", listener.local_addr().expect("bound"));
    let server = Server::builder().add_service(EventServiceServer::new(script.clone()));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    let mut command = claviger();
    command.env("CLAVIGER_ENDPOINT", uri).env("CLAVIGER_TOKEN", "0123456789abcdef").args(args);
    let output = tokio::task::spawn_blocking(move || command.output().expect("the binary starts"));
    let ran = Ran::of(&output.await.expect("no panic"));
    let asked = script.answers().asked.clone();
    (ran, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ends_is_followed_by_the_next_from_there() {
    let denied =
        || Err(api::status(Code::PermissionDenied, Reason::CallerNotAllowed, "not any more"));
    let streams = [
        vec![event(1), progress(3)],
        vec![progress(5)],
        vec![event(6), ended()],
        vec![],
        vec![event(7), denied()],
    ];
    let answers = Answers { streams: streams.into(), ..Default::default() };
    let (ran, asked) = check(answers, &["event", "watch"]).await;
    assert_eq!(asked, [0, 3, 5, 6, 6]);
    let positions: Vec<_> =
        ran.stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(positions, ["1", "6", "7"]);
    assert_eq!(ran.code, 4);
    assert_eq!(ran.stderr, "error: not any more (CALLER_NOT_ALLOWED)\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_is_of_another_epoch_is_not_gone_on_from() {
    let other =
        Err(api::status(Code::InvalidArgument, Reason::OtherEpoch, "position is of epoch 1"));
    let streams = [vec![event(1), ended()], vec![other]].into();
    let answers = Answers { streams, ..Default::default() };
    let (ran, asked) = check(answers, &["event", "watch"]).await;
    assert_eq!((asked.as_slice(), ran.code), ([0, 1].as_slice(), 1));
    assert_eq!(ran.stderr, "error: position is of epoch 1 (OTHER_EPOCH)\n");
}

fn piece(head_position: u64, complete: bool) -> VerifyLogResponse {
    let head_hash = vec![head_position.to_le_bytes()[0]; 32];
    VerifyLogResponse { head_position, head_hash, complete, ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_is_checked_piece_by_piece() {
    let pieces = [piece(10, false), piece(20, false), piece(25, true)].into();
    let answers = Answers { pieces, ..Default::default() };
    let (ran, asked) = check(answers, &["log", "verify", "-o", "json"]).await;
    assert_eq!((asked.as_slice(), ran.code), ([0, 10, 20].as_slice(), 0));
    assert_eq!(ran.json()["headPosition"], "25");
    let told = "note: the log is whole up to position";
    assert_eq!(ran.stderr, format!("{told} 10\n{told} 20\n"));

    let pieces = [piece(10, false), piece(10, false)].into();
    let answers = Answers { pieces, ..Default::default() };
    let (ran, _) = check(answers, &["log", "verify"]).await;
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_is_not_whole_leaves_no_file() {
    let home = tempfile::tempdir().expect("a place");
    let out = home.path().join("log.jsonl");
    let args = ["log", "export", "--out", out.to_str().expect("UTF-8")];
    let lies = vec!["{\"format\":\"claviger-log/1\"}\n", "{\"end\":{}}\n"];
    for (export, said) in [
        (vec![], "the export was cut off"),
        (vec!["{}\n", "{\"position\":1}\n"], "the export was cut off"),
        (lies, "the export is not whole"),
    ] {
        let (ran, _) = check(Answers { export, ..Default::default() }, &args).await;
        assert_eq!(ran.code, 1);
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
        assert_eq!(std::fs::read_dir(home.path()).expect("there").count(), 0);
    }
}
