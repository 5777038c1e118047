//! The same request authenticated by [`s3s`], in process.
//!
//! `cargo xtask bench peer-s3s`, or `cargo bench -p auth --bench peers`.
//!
//! It does not authenticate without answering. So what its authentication takes is what a signed request
//! takes it more than one without a signature, of the same headers otherwise, that needs none. auth
//! reads the raw head, and parses it; s3s is given what was parsed already.

#[allow(unreachable_pub)]
mod typical;

use std::hint::black_box;
use std::time::SystemTime;

use auth::in_process::verifies;
use futures::executor::block_on;
use measure::{Goal, Row, quantile, take_turns};
use read_model::{AccessKeyRecord, Change, SecretRecord, Table, UserRecord};
use s3s::auth::SimpleAuth;
use s3s::dto::{GetObjectInput, GetObjectOutput};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3, S3Request, S3Response, S3Result};
use sigv4::{Date, DateKey, Head};
use typical::{REGION, get_object};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const S3S: Row = Row {
    id: "peer-s3s",
    what: "s3s' authentication / whole verification",
    unit: " x",
    goal: Goal::AtLeast(4.0),
};
const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const CALLS: u32 = 200;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") || !S3S.is_wanted() {
        return;
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("is later");
    let now_seconds = now.as_secs().cast_signed();
    let head = get_object(ID, SECRET.as_bytes(), now_seconds);
    let table = table(now_seconds);
    let (signed, unsigned) = (request(&head, true), request(&head, false));
    let mut with_auth = S3ServiceBuilder::new(Empty);
    with_auth.set_auth(SimpleAuth::from_single(ID, SECRET));
    let (with_auth, without) = (with_auth.build(), S3ServiceBuilder::new(Empty).build());
    let rounds = if measure::is_quick() { 9 } else { 41 };
    let [ours, signed, unsigned] = take_turns(
        rounds,
        CALLS,
        [
            &mut || assert!(verify(&table, black_box(head.as_bytes()), now_seconds)),
            &mut || answer(&with_auth, &signed),
            &mut || answer(&without, &unsigned),
        ],
    );
    let theirs: Vec<f64> = signed.iter().zip(&unsigned).map(|(with, none)| with - none).collect();
    eprintln!(
        "s3s: {:.0} ns signed, {:.0} ns unsigned; whole verification {:.0} ns",
        quantile(&signed, 0.5),
        quantile(&unsigned, 0.5),
        quantile(&ours, 0.5)
    );
    S3S.tell(&measure::ratios(&theirs, &ours));
}

/// A store whose every object is empty.
struct Empty;

#[tonic::async_trait]
impl S3 for Empty {
    async fn get_object(
        &self,
        _: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        Ok(S3Response::new(GetObjectOutput::default()))
    }
}

fn request(head: &str, signed: bool) -> http::request::Parts {
    let parsed = Head::parse(head.as_bytes()).expect("is a head");
    let mut request = http::Request::builder().method(parsed.method()).uri(parsed.path());
    for (name, value) in parsed.headers() {
        let is_of_signature = [&b"authorization"[..], b"x-amz-date", b"x-amz-content-sha256"]
            .iter()
            .any(|of| name.eq_ignore_ascii_case(of));
        if signed || !is_of_signature {
            request = request.header(name, value);
        }
    }
    request.body(()).expect("is one").into_parts().0
}

fn answer(service: &S3Service, request: &http::request::Parts) {
    let request = http::Request::from_parts(request.clone(), Body::empty());
    let answer = block_on(service.call(request)).expect("answers");
    assert!(answer.status().is_success(), "{:?}", answer.status());
}

fn verify(table: &Table, head: &[u8], now_seconds: i64) -> bool {
    verifies(table, head, REGION, now_seconds)
}

fn table(now_seconds: i64) -> Table {
    let date_key = DateKey::derive(SECRET.as_bytes(), &Date::from_unix_seconds(now_seconds));
    let today = u32::try_from(now_seconds / 86_400).expect("is later than 1970");
    let table = Table::new();
    table.apply(Change {
        users: vec![UserRecord {
            user_id: [1; 16],
            account_id: [2; 16],
            account_number: "123456789012".into(),
            user_name: "alice".into(),
            root: false,
            locked: false,
        }],
        access_keys: vec![AccessKeyRecord {
            access_key_id: ID.into(),
            user_id: [1; 16],
            active: true,
            not_before_ms: None,
            expires_at_ms: None,
            secrets: vec![SecretRecord {
                generation: 1,
                expires_at_ms: None,
                date_keys: vec![(today, date_key)],
            }],
        }],
        ..Change::default()
    });
    table
}
