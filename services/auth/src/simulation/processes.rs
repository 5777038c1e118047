//! The processes: an identity that tells of the log, and a replica that looks at what it serves.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::auth::v1::VerifySignatureRequest;
use api::auth::v1::verify_signature_request::Request as RequestForm;
use api::identity::v1 as pb;
use api::identity::v1::credential_feed_service_client::CredentialFeedServiceClient;
use api::identity::v1::credential_feed_service_server::{
    CredentialFeedService, CredentialFeedServiceServer,
};
use api::identity::v1::watch_credentials_response::Message;
use futures::Stream;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use read_model::ReadModel;
use rpc::{Callers, Known, Target, Token};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use turmoil::net::{TcpListener, TcpStream};

use super::log::{self, Log, NOW_MS, Random};
use super::{HARD_STALENESS, IDENTITY, Outcome};
use crate::answer::{Reached, Verdict};
use crate::clock::Clock;
use crate::config::Config;
use crate::lockout::Lockouts;
use crate::on_demand::OnDemand;
use crate::outcome::Kept;
use crate::status::Error;
use crate::verifier::Verifier;
use crate::{feed, uses};

const PORT: u16 = 7110;
/// There is a heartbeat each second.
const FRESH: Duration = Duration::from_millis(1200);
/// How often a replica is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Tells of a log until it is ended.
pub(super) async fn identity(log: Arc<Log>, left_out: Option<u64>) -> Outcome {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let service = CredentialFeedServiceServer::new(Feed { log: Arc::clone(&log), left_out });
        tokio::spawn(async move {
            let mut server = auto::Builder::new(TokioExecutor::new());
            server
                .http2()
                .timer(TokioTimer::new())
                .keep_alive_interval(Some(Duration::from_secs(30)))
                .keep_alive_timeout(Duration::from_secs(10));
            let service = TowerToHyperService::new(service);
            // It ends as connections do.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

struct Feed {
    log: Arc<Log>,
    left_out: Option<u64>,
}

/// What is told to one who watches.
struct Watch {
    log: Arc<Log>,
    left_out: Option<u64>,
    told: u64,
    beginning: VecDeque<Message>,
    heartbeat: Instant,
}

impl Watch {
    async fn next(&mut self) -> Message {
        if let Some(message) = self.beginning.pop_front() {
            return message;
        }
        loop {
            if self.told < self.log.written() {
                self.told += 1;
                if !self.left_out.is_some_and(|left_out| self.told.is_multiple_of(left_out)) {
                    return Message::Change(self.log.change(self.told));
                }
            }
            if Instant::now() >= self.heartbeat {
                self.heartbeat += Duration::from_secs(1);
                return Message::Heartbeat(pb::Heartbeat { position: self.told, time: None });
            }
            sleep(super::TICK).await;
        }
    }
}

#[tonic::async_trait]
impl CredentialFeedService for Feed {
    type WatchCredentialsStream =
        Pin<Box<dyn Stream<Item = Result<pb::WatchCredentialsResponse, Status>> + Send>>;

    async fn watch_credentials(
        &self,
        _: Request<pb::WatchCredentialsRequest>,
    ) -> Result<Response<Self::WatchCredentialsStream>, Status> {
        let position = self.log.written();
        let records = self.log.at(position).expect("is written").records();
        let complete = pb::SnapshotComplete { position, log_id: vec![1; 16] };
        let watch = Watch {
            log: Arc::clone(&self.log),
            left_out: self.left_out,
            told: position,
            beginning: [Message::Snapshot(records), Message::SnapshotComplete(complete)].into(),
            heartbeat: Instant::now(),
        };
        let messages = futures::stream::unfold(watch, |mut watch| async move {
            let message = Some(watch.next().await);
            Some((Ok(pb::WatchCredentialsResponse { message }), watch))
        });
        Ok(Response::new(Box::pin(messages)))
    }

    async fn derive_date_keys(
        &self,
        _: Request<pb::DeriveDateKeysRequest>,
    ) -> Result<Response<pb::DeriveDateKeysResponse>, Status> {
        Err(Status::unimplemented("all that is asked about is of today"))
    }

    async fn derive_public_keys(
        &self,
        _: Request<pb::DerivePublicKeysRequest>,
    ) -> Result<Response<pb::DerivePublicKeysResponse>, Status> {
        Err(Status::unimplemented("nobody signs by Version 4A"))
    }

    async fn verify_signature_version2(
        &self,
        _: Request<pb::VerifySignatureVersion2Request>,
    ) -> Result<Response<pb::VerifySignatureVersion2Response>, Status> {
        Err(Status::unimplemented("nobody signs by Version 2"))
    }

    async fn report_use(
        &self,
        _: Request<pb::ReportUseRequest>,
    ) -> Result<Response<pb::ReportUseResponse>, Status> {
        Err(Status::unimplemented("nothing is reported"))
    }

    async fn report_lockout(
        &self,
        _: Request<pb::ReportLockoutRequest>,
    ) -> Result<Response<pb::ReportLockoutResponse>, Status> {
        Err(Status::unimplemented("nothing is reported"))
    }
}

/// What was seen of a replica when it was last looked at, if it gives verdicts.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<Option<Serving>>);

/// At which position verdicts are given, and how long ago identity was heard, as they say.
#[derive(Clone, Copy, Debug)]
struct Serving {
    position: u64,
    staleness: Duration,
}

impl Seen {
    fn set(&self, serving: Option<Serving>) {
        *self.0.lock().expect("not poisoned") = serving;
    }

    fn get(&self) -> Option<Serving> {
        *self.0.lock().expect("not poisoned")
    }

    pub(super) fn is_serving(&self) -> bool {
        self.get().is_some()
    }

    /// Whether it serves all up to a position, and has heard just now that there is no more.
    pub(super) fn is_up_to_date(&self, position: u64) -> bool {
        let is = |it: Serving| it.position >= position && it.staleness <= FRESH;
        self.get().is_some_and(is)
    }
}

/// Simulated time; the wall clock stands still, so that what was signed stays good.
#[derive(Debug)]
struct SimulatedClock(Instant);

impl Clock for SimulatedClock {
    fn unix_ms(&self) -> i64 {
        NOW_MS
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Follows identity until it is ended, and fails as soon as it serves what the log does not say.
pub(super) async fn replica(log: Arc<Log>, seen: Arc<Seen>) -> Outcome {
    seen.set(None);
    let token = |text| Token::parse(text).expect("is one");
    let known = |text| Known::by_token(token(text));
    let callers = Callers {
        operators: known("admin-token-0123456789"),
        services: known("service-token-0123456789"),
    };
    let uri = format!("http://{IDENTITY}:{PORT}");
    let target = Target::in_the_clear(uri, token("service-token-0123456789"));
    let connect = tower::service_fn(|_: http::Uri| async {
        TcpStream::connect((IDENTITY, PORT)).await.map(TokioIo::new)
    });
    let client = CredentialFeedServiceClient::new(target.channel_over(connect)?);
    let mut config = Config::new(target, callers);
    config.hard_staleness = HARD_STALENESS;
    config.clock = Arc::new(SimulatedClock(Instant::now()));
    let (model, lockouts) = (Arc::new(ReadModel::new()), Arc::new(Lockouts::default()));
    let clock = || Arc::clone(&config.clock);
    let follow = feed::follow(
        client.clone(),
        Arc::clone(&model),
        Arc::clone(&lockouts),
        clock(),
        CancellationToken::new(),
    );
    tokio::spawn(follow);
    let kept = Kept { uses: Arc::new(uses::Uses::default()), lockouts };
    let on_demand = OnDemand::new(client, clock());
    let verifier = Verifier::new(&config, Arc::clone(&model), on_demand, kept);

    let mut random = Random::new(log.written());
    let mut before = 0;
    loop {
        sleep(LOOK_INTERVAL).await;
        check_table(&model, &log)?;
        let serving = check_verdict(&verifier, &log, &mut random).await?;
        if let Some(Serving { position, .. }) = serving {
            if position < before {
                return Err(format!("{position} was served after {before}").into());
            }
            before = position;
        }
        seen.set(serving);
    }
}

/// Holds all that is served, whether or not it is fresh, against the log.
fn check_table(model: &ReadModel, log: &Log) -> Outcome {
    let table = model.table();
    let Some(table) = table.as_ref() else { return Ok(()) };
    let position = table.position();
    let state = log.at(position).ok_or_else(|| format!("{position} was never written"))?;
    let keys = table.pin();
    let made = log.at(log.written()).map_or(0, |state| state.made);
    for key in 0..made {
        let served = keys.access_key(&log::id(key)).map(|served| {
            let generations: Vec<_> =
                served.live_secrets(NOW_MS).map(|secret| secret.generation()).collect();
            (generations, served.user().is_locked())
        });
        let said = state.keys.get(&key).map(|generation| (vec![*generation], state.is_locked(key)));
        if served != said {
            let what = format!("{served:?} of key {key} at {position}");
            return Err(format!("{what} is not what the log says: {said:?}").into());
        }
    }
    Ok(())
}

/// Asks about a signature, by a secret that is good or was once: how the replica
/// stood if there was a verdict.
async fn check_verdict(
    verifier: &Verifier,
    log: &Log,
    random: &mut Random,
) -> Outcome<Option<Serving>> {
    let last = log.at(log.written()).ok_or("is written")?;
    let key = last.made.saturating_sub(1 + random.below(12));
    let current = last.keys.get(&key).copied().unwrap_or(1);
    let generation = current.saturating_sub(random.below(2) as u32).max(1);
    let question = VerifySignatureRequest {
        request: Some(RequestForm::RawHead(log::signed(key, generation).into())),
        region: "us-east-1".into(),
        ..Default::default()
    };
    let reached: Reached<Verdict> = match verifier.answer(&question).await {
        Ok(reached) => reached,
        Err(Error::Empty | Error::Stale) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let staleness = Duration::from_millis(reached.staleness_ms);
    if staleness > HARD_STALENESS {
        return Err(format!("a verdict that is {staleness:?} old").into());
    }
    let verdict = match &reached.answer {
        Verdict::Verified(verified) => Ok(verified.secret_generation),
        Verdict::Denied(denied) => Err(denied.code.as_str()),
    };
    let state = log.at(reached.position).ok_or("a position that was never written")?;
    let said = state.verdict(key, generation);
    if verdict != said {
        let what = format!("{verdict:?} of key {key}.{generation} at {}", reached.position);
        return Err(format!("{what} is not what the log says: {said:?}").into());
    }
    Ok(Some(Serving { position: reached.position, staleness }))
}
