use std::future::Future;
use std::path::Path;

use futures::StreamExt;
use tempfile::TempDir;
use test_pki::{Authority, End, replace};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::incoming::{Connection, connections};
use crate::{CertifiedName, Peer};

const SERVER: &str = "spiffe://example.org/server";
const ANN: &str = "spiffe://example.org/operator/ann";

/// A server and a client with certificates, in files of their own.
struct World {
    home: TempDir,
    authority: Authority,
}

impl World {
    fn new() -> Self {
        let (home, authority) = (tempfile::tempdir().expect("a place"), Authority::new());
        authority.write(home.path(), "ca");
        authority.issue(&["127.0.0.1", SERVER]).write(home.path(), "server");
        authority.issue(&[ANN]).write(home.path(), "ann");
        Self { home, authority }
    }

    fn path(&self) -> &Path {
        self.home.path()
    }

    fn files(&self, name: &str) -> CertificateFiles {
        let [chain, key] = ["pem", "key"].map(|end| self.path().join(format!("{name}.{end}")));
        CertificateFiles { chain, key }
    }

    fn server_files(&self) -> ServerTlsFiles {
        ServerTlsFiles {
            certificate: self.files("server"),
            client_authorities: Some(self.path().join("ca.pem")),
            require_client_certificate: false,
        }
    }

    fn client_files(&self, name: Option<&str>) -> ClientTlsFiles {
        ClientTlsFiles {
            authorities: Some(self.path().join("ca.pem")),
            certificate: name.map(|name| self.files(name)),
            server_name: None,
        }
    }

    fn server(&self) -> ServerTls {
        ServerTls::load(self.server_files()).expect("loads")
    }

    fn client(&self, name: Option<&str>) -> ClientTls {
        ClientTls::load(self.client_files(name)).expect("loads")
    }
}

/// Connects, hears something and says it again: whom the server takes the client for.
async fn meet(server: &ServerTls, client: &ClientTls) -> Result<Option<Vec<String>>, String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("bound");
    let serve = async {
        let (stream, _) = listener.accept().await?;
        let (mut stream, names) = server.accept(stream).await?;
        stream.write_u8(7).await?;
        stream.flush().await?;
        let byte = stream.read_u8().await?;
        std::io::Result::Ok((names, byte))
    };
    let call = async {
        let stream = TcpStream::connect(address).await?;
        let mut stream = client.connect("127.0.0.1", stream).await?;
        let byte = stream.read_u8().await?;
        stream.write_u8(byte).await?;
        stream.flush().await
    };
    match tokio::join!(serve, call) {
        (Ok((names, byte)), Ok(())) => {
            assert_eq!(byte, 7);
            Ok(names.map(|names| names.iter().map(ToString::to_string).collect()))
        }
        (Err(error), _) | (Ok(_), Err(error)) => Err(error.to_string()),
    }
}

#[track_caller]
fn check_refused<T>(met: Result<T, String>, said: &str) {
    let error = met.err().expect("is refused");
    assert!(error.contains(said), "{error}");
}

#[tokio::test]
async fn a_client_is_known_by_its_certificate_or_by_nothing() {
    let world = World::new();
    let server = world.server();
    let ann = Some(vec![ANN.to_owned()]);
    assert_eq!(meet(&server, &world.client(Some("ann"))).await, Ok(ann));
    assert_eq!(meet(&server, &world.client(None)).await, Ok(None));
    let without = ServerTlsFiles { client_authorities: None, ..world.server_files() };
    let without = ServerTls::load(without).expect("loads");
    assert_eq!(meet(&without, &world.client(Some("ann"))).await, Ok(None));
}

#[tokio::test]
async fn a_certificate_can_be_required() {
    let world = World::new();
    let files = ServerTlsFiles { require_client_certificate: true, ..world.server_files() };
    let server = ServerTls::load(files.clone()).expect("loads");
    let ann = Some(vec![ANN.to_owned()]);
    assert_eq!(meet(&server, &world.client(Some("ann"))).await, Ok(ann));
    check_refused(meet(&server, &world.client(None)).await, "no certificates");
    let nonsense = ServerTlsFiles { client_authorities: None, ..files };
    assert!(ServerTls::load(nonsense).is_err());
}

#[tokio::test]
async fn certificates_of_another_authority_or_that_have_ended_are_refused_on_both_sides() {
    let world = World::new();
    let other = Authority::new();
    other.issue(&[ANN]).write(world.path(), "other-ann");
    world.authority.issue_until(&[ANN], End::Past).write(world.path(), "old-ann");
    let server = world.server();
    for (name, said) in [("other-ann", "UnknownIssuer"), ("old-ann", "certificate expired")] {
        check_refused(meet(&server, &world.client(Some(name))).await, said);
    }
    let client = world.client(None);
    for (issued, said) in [
        (other.issue(&["127.0.0.1"]), "UnknownCA"),
        (world.authority.issue_until(&["127.0.0.1"], End::Past), "CertificateExpired"),
        (world.authority.issue(&["127.0.0.2"]), "BadCertificate"),
    ] {
        issued.write(world.path(), "server");
        // The server hears why.
        check_refused(meet(&server, &client).await, said);
    }
}

#[tokio::test]
async fn an_authority_is_nobody() {
    let world = World::new();
    // Its own certificate and key, shown as if they were a client's.
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.subject_alt_names = vec![rcgen::SanType::URI(ANN.try_into().expect("ASCII"))];
    let key = rcgen::KeyPair::generate().expect("a key");
    let pem = params.self_signed(&key).expect("signed").pem();
    replace(&world.path().join("root.pem"), &pem, 0o644);
    replace(&world.path().join("root.key"), &key.serialize_pem(), 0o600);
    replace(&world.path().join("ca.pem"), &format!("{}{pem}", world.authority.pem()), 0o644);
    let met = meet(&world.server(), &world.client(Some("root"))).await;
    check_refused(met, "CaUsedAsEndEntity");
}

#[tokio::test]
async fn a_server_may_be_told_by_its_name_instead_of_its_host() {
    let world = World::new();
    let named = |name: &str| {
        let server_name = Some(CertifiedName::parse(name).expect("a name"));
        let files = ClientTlsFiles { server_name, ..world.client_files(Some("ann")) };
        ClientTls::load(files).expect("loads")
    };
    world.authority.issue(&[SERVER]).write(world.path(), "server");
    let server = world.server();
    assert!(meet(&server, &named(SERVER)).await.is_ok());
    check_refused(meet(&server, &named(ANN)).await, "BadCertificate");
    check_refused(meet(&server, &named("dns:server")).await, "BadCertificate");
    check_refused(meet(&server, &world.client(None)).await, "BadCertificate");
    Authority::new().issue(&[SERVER]).write(world.path(), "server");
    check_refused(meet(&server, &named(SERVER)).await, "UnknownCA");
    world.authority.issue_until(&[SERVER], End::Past).write(world.path(), "server");
    check_refused(meet(&server, &named(SERVER)).await, "CertificateExpired");
}

#[tokio::test]
async fn a_new_certificate_counts_from_the_next_connection_on_and_bad_files_change_nothing() {
    let world = World::new();
    let (server, client) = (world.server(), world.client(Some("ann")));
    let check = async |expected: &str| {
        for _ in 0..2 {
            assert_eq!(meet(&server, &client).await, Ok(Some(vec![expected.to_owned()])));
        }
    };
    check(ANN).await;

    // Another authority for all: nothing of before would do.
    let other = Authority::new();
    other.write(world.path(), "ca");
    other.issue(&["127.0.0.1"]).write(world.path(), "server");
    other.issue(&["spiffe://example.org/operator/bob"]).write(world.path(), "ann");
    let bob = "spiffe://example.org/operator/bob";
    check(bob).await;

    let good = other.issue(&["127.0.0.1"]);
    let (chain, key) = (world.path().join("server.pem"), world.path().join("server.key"));
    for (path, text, mode) in [
        (&chain, "garbage", 0o644),
        (&chain, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 0o644),
        // One of a pair is of no use without the other.
        (&chain, &*good.chain, 0o644),
        (&key, "garbage", 0o600),
        (&key, &*good.key, 0o644),
        (&world.path().join("ca.pem"), "", 0o644),
        (&world.path().join("ann.key"), &*good.key, 0o600),
    ] {
        let before = std::fs::read_to_string(path).expect("read");
        replace(path, text, mode);
        check(bob).await;
        std::fs::remove_file(path).expect("removed");
        check(bob).await;
        replace(
            path,
            &before,
            if path.extension() == Some("key".as_ref()) { 0o600 } else { 0o644 },
        );
        check(bob).await;
    }
    world.authority.write(world.path(), "ca");
    check_refused(meet(&server, &client).await, "UnknownCA");
}

#[test]
fn it_is_known_when_the_certificate_ends() {
    let world = World::new();
    let expires = |name| {
        let files = world.files(name);
        files::expires(&files::certified_key(&files).expect("loads"))
    };
    world.authority.issue_until(&[ANN], End::Past).write(world.path(), "ann");
    assert_eq!(expires("ann"), Some(978_393_600)); // 2001-01-02
    assert!(expires("server") > expires("ann"));
}

#[test]
fn files_that_are_of_no_use_are_refused_at_the_start() {
    let world = World::new();
    let check = |name: &str, text: &str, mode, said: &str| {
        let path = world.path().join(name);
        let before = std::fs::read_to_string(&path).expect("read");
        replace(&path, text, mode);
        let error = format!("{:#}", ServerTls::load(world.server_files()).expect_err("refused"));
        assert!(error.contains(said) && error.contains(name), "{error}");
        replace(&path, &before, if name.ends_with("key") { 0o600 } else { 0o644 });
        ServerTls::load(world.server_files()).expect("is as before");
    };
    let key = std::fs::read_to_string(world.path().join("server.key")).expect("read");
    let other = world.authority.issue(&["127.0.0.1"]);
    check("server.pem", "", 0o644, "no certificate in PEM");
    check("server.pem", &key, 0o644, "no certificate in PEM");
    check("server.pem", &other.chain, 0o644, "KeyMismatch");
    check("server.key", "secret words", 0o600, "no key in PEM");
    check("server.key", &key, 0o640, "chmod 600");
    check("server.key", &key, 0o604, "chmod 600");
    check("ca.pem", "", 0o644, "no certificate in PEM");
    check("ca.pem", &"x".repeat((4 << 20) + 1), 0o644, "larger than 4 MiB");
}

/// The next connection that comes in while `work` goes on, and what comes of that.
async fn next<T>(
    incoming: &mut (impl futures::Stream<Item = std::io::Result<Connection>> + Unpin),
    work: impl Future<Output = T>,
) -> (Connection, T) {
    let (connection, done) = tokio::join!(incoming.next(), work);
    (connection.expect("goes on").expect("is accepted"), done)
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_stands_still_holds_up_no_other_and_ends() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("bound");
    let mut incoming = Box::pin(connections(listener, Some(world.server())));
    let mut silent = TcpStream::connect(address).await.expect("connects");
    let mut half = TcpStream::connect(address).await.expect("connects");
    half.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00]).await.expect("written");
    let mut plain = TcpStream::connect(address).await.expect("connects");
    plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("written");

    let client = world.client(Some("ann"));
    let connect = async {
        let stream = TcpStream::connect(address).await.expect("connects");
        client.connect("127.0.0.1", stream).await.expect("shakes hands")
    };
    let (mut connection, mut stream) = next(&mut incoming, connect).await;
    let Peer { certificate, address: from } = connection.peer();
    let names: Vec<_> = certificate.iter().flat_map(|names| names.iter()).collect();
    assert_eq!(names, [&CertifiedName::parse(ANN).expect("a name")]);
    assert_eq!(from, Some(stream.get_ref().0.local_addr().expect("bound")));

    // The preface is waited for within TLS as it is in the clear.
    stream.write_all(b"PRI").await.expect("written");
    let error = connection.read_to_end(&mut vec![]).await.expect_err("is closed");
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);

    // Those that stood still are closed; something must wait for it.
    let closed = async {
        for stream in [&mut silent, &mut half, &mut plain] {
            let mut rest = vec![];
            // By an end or a reset: some of what was sent has not been read.
            let _ = stream.read_to_end(&mut rest).await;
        }
    };
    tokio::select! {
        _ = incoming.next() => panic!("none of them is let in"),
        () = closed => {}
    }
}
