//! An auth that says what it is told to say.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use api::auth::v1::auth_service_server::{AuthService, AuthServiceServer};
use api::auth::v1::get_signing_key_response::Result as Given;
use api::auth::v1::stream_verify_signatures_request::Request as Asked;
use api::auth::v1::stream_verify_signatures_response::Result as Told;
use api::auth::v1::verify_signature_request::Request as Form;
use api::auth::v1::verify_signature_response::Verdict;
use api::auth::v1::verify_string_to_sign_response::Verdict as TextVerdict;
use api::auth::v1::{
    BatchVerifySignaturesRequest, BatchVerifySignaturesResponse, Denied, ExplainSignatureRequest,
    ExplainSignatureResponse, FormTerms, GetSigningKeyRequest, GetSigningKeyResponse, PayloadMode,
    PostForm, Principal, SigningKey, StreamVerifySignaturesRequest, StreamVerifySignaturesResponse,
    Verified, VerifySignatureRequest, VerifySignatureResponse, VerifyStringToSignRequest,
    VerifyStringToSignResponse,
};
use aws_sigv4::sign::v4;
use futures::{Stream, StreamExt};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};
use tonic_health::server::HealthReporter;

pub(crate) const ACCOUNT: &str = "0192f0c1-2d3e-7000-8000-000000000001";

/// The secret access key of AWS's examples.
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

type Answer = Result<Option<Verdict>, Status>;
type Say = dyn Fn(&str) -> Answer + Send + Sync;
type TextAnswer = Result<Option<TextVerdict>, Status>;
type SayOfText = dyn Fn(&VerifyStringToSignRequest) -> TextAnswer + Send + Sync;

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
    say_of_text: Mutex<Arc<SayOfText>>,
    texts: Mutex<Vec<VerifyStringToSignRequest>>,
    /// The services and regions of requests that others received.
    relayed: Mutex<Vec<VerifySignatureRequest>>,
}

impl FakeAuth {
    /// Allows whatever it is asked, with the payload mode that the head speaks of.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (health, health_service) = tonic_health::server::health_reporter();
        let of_text = |_: &VerifyStringToSignRequest| {
            Ok(Some(TextVerdict::Verified(verified("POST / HTTP/1.1\r\n\r\n"))))
        };
        let shared = Shared {
            say: Mutex::new(Arc::new(allow)),
            heads: Mutex::default(),
            say_of_text: Mutex::new(Arc::new(of_text)),
            texts: Mutex::default(),
            relayed: Mutex::default(),
        };
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

    pub(crate) fn says_of_text(
        &self,
        say: impl Fn(&VerifyStringToSignRequest) -> TextAnswer + Send + Sync + 'static,
    ) {
        *self.shared.say_of_text.lock().expect("not poisoned") = Arc::new(say);
    }

    /// The strings to sign that it was asked about since it was last looked.
    pub(crate) fn texts(&self) -> Vec<VerifyStringToSignRequest> {
        std::mem::take(&mut *self.shared.texts.lock().expect("not poisoned"))
    }

    /// What it was asked about that others received, since it was last looked.
    pub(crate) fn relayed(&self) -> Vec<VerifySignatureRequest> {
        std::mem::take(&mut *self.shared.relayed.lock().expect("not poisoned"))
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
        sign_time: header("x-amz-date")
            .map(|(_, time)| prost_types::Timestamp { seconds: sign_time(time) as i64, nanos: 0 }),
        ..Verified::default()
    }
}

/// Allowed, with a file of 1 byte to 12 MiB.
fn verified_form(form: &PostForm) -> Verified {
    let key = form.fields.iter().find(|field| field.name == "key").expect("a key");
    Verified {
        form: Some(FormTerms {
            key: key.value.replace("${filename}", &form.file_name),
            content_length_min: 1,
            content_length_max: 12 << 20,
            ..FormTerms::default()
        }),
        ..verified("POST / HTTP/1.1\r\n\r\n")
    }
}

/// `20130524T000000Z`, in seconds since 1970.
fn sign_time(text: &str) -> u64 {
    let time = chrono::NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%SZ").expect("a time");
    time.and_utc().timestamp() as u64
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

#[track_caller]
fn check_token<T>(request: &Request<T>) {
    assert_eq!(
        request.metadata().get("authorization").and_then(|token| token.to_str().ok()),
        Some(format!("Bearer {}", crate::rig::TOKEN).as_str()),
    );
}

impl Service {
    fn answer_of_text(
        &self,
        request: VerifyStringToSignRequest,
    ) -> Result<VerifyStringToSignResponse, Status> {
        let say = Arc::clone(&self.0.say_of_text.lock().expect("not poisoned"));
        let verdict = say(&request);
        self.0.texts.lock().expect("not poisoned").push(request);
        Ok(VerifyStringToSignResponse { verdict: verdict?, ..Default::default() })
    }

    async fn answer(
        &self,
        request: VerifySignatureRequest,
    ) -> Result<VerifySignatureResponse, Status> {
        if request.source_address.is_empty() {
            // Of a request that another received, the client is not known.
            self.0.relayed.lock().expect("not poisoned").push(request.clone());
            let Some(Form::RawHead(head)) = request.request else { panic!("no raw head") };
            let say = Arc::clone(&self.0.say.lock().expect("not poisoned"));
            let verdict = say(&String::from_utf8_lossy(&head))?;
            return Ok(VerifySignatureResponse { verdict, ..Default::default() });
        }
        let asked = (request.region.as_str(), request.service.as_str());
        // The gateway's own, of S3; of other interfaces, what their tests sign for.
        let others = ["claviger", "iam", "api"].map(|service| ("eu-west-3", service));
        let of_s3 = asked.1 == "s3" && matches!(asked.0, "us-east-1" | "eu-west-3");
        assert!(of_s3 || others.contains(&asked), "{asked:?}");
        assert_eq!(request.source_address, "127.0.0.1", "the client's, as the gateway sees it");
        let head = match request.request {
            Some(Form::RawHead(head)) => head,
            Some(Form::PostForm(form)) => {
                let verdict = Some(Verdict::Verified(verified_form(&form)));
                return Ok(VerifySignatureResponse { verdict, ..Default::default() });
            }
            Some(Form::Head(_)) | None => panic!("no raw head"),
        };
        self.0.heads.lock().expect("not poisoned").push(head.to_vec());
        let say = Arc::clone(&self.0.say.lock().expect("not poisoned"));
        // A thread of its own, so that it may take its time.
        let answer = tokio::task::spawn_blocking(move || say(&String::from_utf8_lossy(&head)));
        let verdict = answer.await.expect("no panic")?;
        Ok(VerifySignatureResponse { verdict, ..Default::default() })
    }
}

#[tonic::async_trait]
impl AuthService for Service {
    async fn verify_signature(
        &self,
        request: Request<VerifySignatureRequest>,
    ) -> Result<Response<VerifySignatureResponse>, Status> {
        check_token(&request);
        self.answer(request.into_inner()).await.map(Response::new)
    }

    type StreamVerifySignaturesStream =
        Pin<Box<dyn Stream<Item = Result<StreamVerifySignaturesResponse, Status>> + Send>>;

    async fn stream_verify_signatures(
        &self,
        request: Request<Streaming<StreamVerifySignaturesRequest>>,
    ) -> Result<Response<Self::StreamVerifySignaturesStream>, Status> {
        check_token(&request);
        let service = Self(Arc::clone(&self.0));
        let answers = request.into_inner().map(move |asked| {
            let service = Self(Arc::clone(&service.0));
            async move {
                let StreamVerifySignaturesRequest { id, request } = asked?;
                let answer = match request {
                    Some(Asked::Signature(request)) => {
                        service.answer(request).await.map(Told::Signature)
                    }
                    Some(Asked::StringToSign(request)) => {
                        service.answer_of_text(request).map(Told::StringToSign)
                    }
                    None => panic!("no request"),
                };
                let result = Some(match answer {
                    Ok(told) => told,
                    Err(status) => Told::Error(tonic_types::Status {
                        code: status.code().into(),
                        message: status.message().to_owned(),
                        details: vec![],
                    }),
                });
                Ok(StreamVerifySignaturesResponse { id, result })
            }
        });
        Ok(Response::new(answers.buffer_unordered(1024).boxed()))
    }

    async fn get_signing_key(
        &self,
        request: Request<GetSigningKeyRequest>,
    ) -> Result<Response<GetSigningKeyResponse>, Status> {
        let proof = request.into_inner().proof.expect("a proof");
        let text = String::from_utf8(proof.string_to_sign).expect("text");
        let time = sign_time(text.lines().nth(1).expect("a timestamp"));
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(time);
        let key = v4::generate_signing_key(SECRET, time, &proof.region, "s3");
        let is_right = v4::calculate_signature(&key, text.as_bytes()) == proof.signature;
        let result = match is_right {
            true => {
                Given::SigningKey(SigningKey { key: key.as_ref().to_vec(), ..Default::default() })
            }
            false => Given::Denied(Denied {
                code: "SignatureDoesNotMatch".to_owned(),
                http_status: 403,
                ..Default::default()
            }),
        };
        Ok(Response::new(GetSigningKeyResponse { result: Some(result), ..Default::default() }))
    }

    // What the gateway does not ask.

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

    async fn explain_signature(
        &self,
        _: Request<ExplainSignatureRequest>,
    ) -> Result<Response<ExplainSignatureResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
}
