//! TLS on both sides of auth: callers that are known by certificates, and identity that knows auth so.

use api::auth::v1::auth_service_client::AuthServiceClient;
use api::error::v1::Reason;
use api::identity::v1::watch_credentials_response::Message;
use auth::Config;
use rpc::{
    Callers, CertificateFiles, CertifiedName, ClientTls, ClientTlsFiles, Known, ServerTls,
    ServerTlsFiles, Target, Token,
};
use test_pki::Authority;
use tonic::Code;
use tonic_health::ServingStatus;

use crate::harness::*;
use crate::identity::FakeIdentity;

const ANN: &str = "spiffe://example.org/operator/ann";
const AUTH: &str = "spiffe://example.org/auth";
const GATEWAY: &str = "spiffe://example.org/gateway";
const IDENTITY: &str = "spiffe://example.org/identity";

type Outcome = Result<(), (Code, Option<Reason>)>;

const UNKNOWN: Outcome = Err((Code::Unauthenticated, Some(Reason::UnknownCertificate)));

/// An authority, and what it has made, in files.
struct Pki {
    dir: tempfile::TempDir,
    authority: Authority,
}

impl Pki {
    fn new() -> Self {
        let (dir, authority) = (tempfile::tempdir().expect("a directory"), Authority::new());
        authority.write(dir.path(), "ca");
        Self { dir, authority }
    }

    /// Files of a certificate of these names.
    fn issue(&self, file: &str, names: &[&str]) -> CertificateFiles {
        let files = self.authority.issue(names).write(self.dir.path(), file);
        CertificateFiles { chain: files.chain, key: files.key }
    }

    fn server(&self, certificate: CertificateFiles, require_client_certificate: bool) -> ServerTls {
        let client_authorities = Some(self.dir.path().join("ca.pem"));
        let files = ServerTlsFiles { certificate, client_authorities, require_client_certificate };
        ServerTls::load(files).expect("loads")
    }

    fn client(&self, certificate: Option<CertificateFiles>, named: Option<&str>) -> ClientTls {
        let files = ClientTlsFiles {
            authorities: Some(self.dir.path().join("ca.pem")),
            certificate,
            server_name: named.map(name),
        };
        ClientTls::load(files).expect("loads")
    }

    /// A caller that shows a certificate, a token, or both.
    fn caller(&self, names: Option<&[&str]>, token: Option<&str>) -> Target {
        let token = token.map(|token| Token::parse(token).expect("is one"));
        let certificate = names.map(|names| self.issue("caller", names));
        Target { uri: String::new(), token, tls: Some(self.client(certificate, None)) }
    }

    /// An auth that has no token, follows identity by its certificate, and knows callers by theirs.
    async fn auth(&self, require_client_certificate: bool) -> Harness {
        let identity = FakeIdentity::default();
        let records = records(vec![user()], vec![access_key(ID)]);
        identity.begin_with(vec![Message::Snapshot(records), complete(10)]);
        let known = |name: &str| listed(&[name]);
        let callers = Callers { operators: known(ANN), services: known(AUTH) };
        let tls = self.server(self.issue("identity", &[IDENTITY]), false);
        let uri = identity.serve(&callers, Some(tls)).await;

        let certificate = self.issue("auth", &["127.0.0.1", AUTH]);
        let tls = self.client(Some(certificate.clone()), Some(IDENTITY));
        let target = Target { uri, token: None, tls: Some(tls) };
        let token = Some(Token::parse(ADMIN_TOKEN).expect("is one"));
        let operators = Known { token, names: vec![name(ANN)] };
        let services = listed(&[GATEWAY]);
        let mut config = Config::new(target, Callers { operators, services });
        config.tls = Some(self.server(certificate, require_client_certificate));
        let auth = Harness::of(identity, config, self.caller(Some(&[GATEWAY]), None)).await;
        auth.wait_for_health(ServingStatus::Serving).await;
        auth
    }
}

fn name(text: &str) -> CertifiedName {
    CertifiedName::parse(text).expect("a name")
}

fn listed(names: &[&str]) -> Known {
    Known { token: None, names: names.iter().map(|text| name(text)).collect() }
}

async fn ask(auth: &Harness, caller: Target) -> Outcome {
    let channel = Target { uri: auth.uri.clone(), ..caller }.channel().expect("is a URI");
    let mut client = AuthServiceClient::new(channel);
    let asked = client.verify_signature(raw(&signed(ID, SECRET), 0)).await;
    asked.map(|_| ()).map_err(|status| (status.code(), api::reason(&status)))
}

#[tokio::test]
async fn auth_follows_identity_and_answers_a_gateway_without_any_token() {
    let pki = Pki::new();
    let auth = pki.auth(false).await;
    assert_eq!(auth.ask(&signed(ID, SECRET), 10).await, Ok(1));
    // A day that only identity can tell of is asked for in the same way.
    auth.identity.know_secret(ID, 1, SECRET);
    let old = presigned(ID, SECRET, NOW_MS - 5 * DAY_MS);
    assert_eq!(auth.ask(&old, 10).await, Ok(1));
}

#[tokio::test]
async fn operators_and_gateways_on_the_lists_may_ask_and_nobody_else() {
    let pki = Pki::new();
    let auth = pki.auth(false).await;
    let by = |names: &[&str]| pki.caller(Some(names), None);
    assert_eq!(ask(&auth, by(&[GATEWAY])).await, Ok(()));
    assert_eq!(ask(&auth, by(&[ANN])).await, Ok(()));
    for unknown in [&[AUTH][..], &["gateway"], &[GATEWAY, ANN], &[]] {
        assert_eq!(ask(&auth, by(unknown)).await, UNKNOWN, "{unknown:?}");
    }
    let invalid = Err((Code::Unauthenticated, Some(Reason::InvalidToken)));
    let wrong = pki.caller(Some(&[GATEWAY]), Some("not-the-service-token"));
    assert_eq!(ask(&auth, wrong).await, invalid);
    let token = Some(ADMIN_TOKEN);
    assert_eq!(ask(&auth, pki.caller(None, token)).await, Ok(()));
    assert_eq!(ask(&auth, pki.caller(Some(&["gateway"]), token)).await, Ok(()));
}

#[tokio::test]
async fn where_certificates_are_required_a_token_is_not_enough() {
    let pki = Pki::new();
    let auth = pki.auth(true).await;
    let token = Some(ADMIN_TOKEN);
    let (code, reason) = ask(&auth, pki.caller(None, token)).await.expect_err("is refused");
    assert!(code != Code::Unauthenticated && reason.is_none(), "{code:?}: no answer at all");
    assert_eq!(ask(&auth, pki.caller(Some(&["gateway"]), token)).await, Ok(()));
}

#[tokio::test]
async fn a_certificate_that_is_renewed_ends_no_connection() {
    let pki = Pki::new();
    let auth = pki.auth(false).await;
    // For one that identity does not know, to which it would be shown by a new connection.
    pki.issue("auth", &["127.0.0.1", GATEWAY]);
    auth.identity.end_watches();
    // It is followed anew on the connection that there is.
    auth.identity.watched(2).await;
    assert_eq!(auth.ask(&signed(ID, SECRET), 10).await, Ok(1));
    pki.issue("auth", &["127.0.0.1", AUTH]);
    assert_eq!(ask(&auth, pki.caller(Some(&[GATEWAY]), None)).await, Ok(()));
}
