//! An auth that says what it is told to say.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use api::auth::v1::auth_service_server::{AuthService, AuthServiceServer};
use api::auth::v1::verify_signature_request::Request as Form;
use api::auth::v1::verify_signature_response::Verdict;
use api::auth::v1::{
    BatchVerifySignaturesRequest, BatchVerifySignaturesResponse, ExplainSignatureRequest,
    ExplainSignatureResponse, GetSigningKeyRequest, GetSigningKeyResponse, PayloadMode, Principal,
    StreamVerifySignaturesRequest, StreamVerifySignaturesResponse, Verified,
    VerifySignatureRequest, VerifySignatureResponse, VerifyStringToSignRequest,
    VerifyStringToSignResponse,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};
use tonic_health::server::HealthReporter;

pub(crate) const ACCOUNT: &str = "0192f0c1-2d3e-7000-8000-000000000001";

type Answer = Result<Option<Verdict>, Status>;
type Say = dyn Fn(&str) -> Answer + Send + Sync;

/// Answers by a function of the raw head, and remembers all heads.
#[derive(Clone)]
pub(crate) struct FakeAuth {
    pub(crate) address: SocketAddr,
    pub(crate) health: HealthReporter,
    shared: Arc<Shared>,
}

struct Shared {
    say: Mutex<Arc<Say>>,
    heads: Mutex<Vec<Vec<u8>>>,
}

impl FakeAuth {
    /// Allows whatever it is asked, with the payload mode that the head speaks of.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (health, health_service) = tonic_health::server::health_reporter();
        let shared = Shared { say: Mutex::new(Arc::new(allow)), heads: Mutex::default() };
        let auth = Self { address, health, shared: Arc::new(shared) };
        let service = AuthServiceServer::new(Service(Arc::clone(&auth.shared)));
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(service)
                .add_service(health_service)
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        auth
    }

    pub(crate) fn says(&self, say: impl Fn(&str) -> Answer + Send + Sync + 'static) {
        *self.shared.say.lock().expect("not poisoned") = Arc::new(say);
    }

    /// The heads it was asked about.
    pub(crate) fn heads(&self) -> Vec<String> {
        let heads = self.shared.heads.lock().expect("not poisoned");
        heads.iter().map(|head| String::from_utf8_lossy(head).into_owned()).collect()
    }

    pub(crate) async fn serving(&self, serving: bool) {
        type Server = AuthServiceServer<Service>;
        match serving {
            true => self.health.set_serving::<Server>().await,
            false => self.health.set_not_serving::<Server>().await,
        }
    }
}

/// Allowed, by the account, with what the head says of the body.
pub(crate) fn allow(head: &str) -> Answer {
    Ok(Some(Verdict::Verified(verified(head))))
}

pub(crate) fn verified(head: &str) -> Verified {
    let header = |wanted: &str| {
        head.lines().find_map(|line| Some(line.split_once(": ")?).filter(|(n, _)| *n == wanted))
    };
    let content = header("x-amz-content-sha256").map_or("UNSIGNED-PAYLOAD", |(_, value)| value);
    let (mode, sha256) = match content {
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => (PayloadMode::StreamingSigned, vec![]),
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => {
            (PayloadMode::StreamingSignedTrailer, vec![])
        }
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => (PayloadMode::StreamingUnsignedTrailer, vec![]),
        "UNSIGNED-PAYLOAD" => (PayloadMode::Unsigned, vec![]),
        hash => (PayloadMode::Sha256, hex::decode(hash).expect("hexadecimal digits")),
    };
    Verified {
        principal: Some(Principal {
            account_id: ACCOUNT.to_owned(),
            user_id: "0192f0c1-2d3e-7000-8000-0000000000aa".to_owned(),
            ..Principal::default()
        }),
        access_key_id: "AKIACLIENT".to_owned(),
        signed_headers: signed_headers(head),
        payload_mode: mode.into(),
        payload_sha256: sha256,
        ..Verified::default()
    }
}

/// As every signature must: the host and all that is S3's own.
fn signed_headers(head: &str) -> Vec<String> {
    let names = head.lines().skip(1).filter_map(|line| Some(line.split_once(": ")?.0));
    let signed = names.filter(|name| *name == "host" || name.starts_with("x-amz-"));
    let mut signed: Vec<String> = signed.map(str::to_owned).collect();
    signed.sort();
    signed.dedup();
    signed
}

struct Service(Arc<Shared>);

#[tonic::async_trait]
impl AuthService for Service {
    async fn verify_signature(
        &self,
        request: Request<VerifySignatureRequest>,
    ) -> Result<Response<VerifySignatureResponse>, Status> {
        assert_eq!(
            request.metadata().get("authorization").and_then(|token| token.to_str().ok()),
            Some(format!("Bearer {}", crate::rig::TOKEN).as_str()),
        );
        let request = request.into_inner();
        let asked = (request.region.as_str(), request.service.as_str());
        // The gateway's own, of S3; of other interfaces, what their tests sign for.
        assert!(
            [("us-east-1", "s3"), ("eu-west-3", "s3"), ("eu-west-3", "claviger")].contains(&asked),
            "{asked:?}"
        );
        assert_eq!(request.source_address, "127.0.0.1", "the client's, as the gateway sees it");
        let Some(Form::RawHead(head)) = request.request else { panic!("no raw head") };
        self.0.heads.lock().expect("not poisoned").push(head.to_vec());
        let say = Arc::clone(&self.0.say.lock().expect("not poisoned"));
        // A thread of its own, so that it may take its time.
        let answer = tokio::task::spawn_blocking(move || say(&String::from_utf8_lossy(&head)));
        let verdict = answer.await.expect("no panic")?;
        Ok(Response::new(VerifySignatureResponse { verdict, ..Default::default() }))
    }

    // What the gateway does not ask.

    type StreamVerifySignaturesStream =
        tokio_stream::Empty<Result<StreamVerifySignaturesResponse, Status>>;

    async fn stream_verify_signatures(
        &self,
        _: Request<Streaming<StreamVerifySignaturesRequest>>,
    ) -> Result<Response<Self::StreamVerifySignaturesStream>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn batch_verify_signatures(
        &self,
        _: Request<BatchVerifySignaturesRequest>,
    ) -> Result<Response<BatchVerifySignaturesResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn verify_string_to_sign(
        &self,
        _: Request<VerifyStringToSignRequest>,
    ) -> Result<Response<VerifyStringToSignResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn get_signing_key(
        &self,
        _: Request<GetSigningKeyRequest>,
    ) -> Result<Response<GetSigningKeyResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn explain_signature(
        &self,
        _: Request<ExplainSignatureRequest>,
    ) -> Result<Response<ExplainSignatureResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
}
