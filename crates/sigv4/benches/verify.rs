//! Whole verification of a typical request against the bare cryptography of the same request.
//!
//! `cargo bench -p sigv4`. Besides criterion's figures it prints ratios, each the median over interleaved
//! rounds of one run, which is what can be compared on a machine that others use too.

use std::hint::black_box;
use std::time::Instant;

use criterion::Criterion;
use sha2::{Digest, Sha256};
use sigv4::{DateKey, Expected, Head, SigningKey, StringToSign, authenticate};

const NOW: i64 = 1_369_353_600;

/// 13 headers, 6 of them signed, about 880 bytes: a GET as an SDK sends it.
fn get_object(key: &SigningKey) -> Vec<u8> {
    let raw = |signature: &str| {
        format!(
            "GET /photos/2013/05/24/harbour%20at%20dawn.jpg HTTP/1.1\r\n\
             Host: examplebucket.s3.us-east-1.amazonaws.com\r\n\
             User-Agent: aws-sdk-rust/1.3.14 ua/2.1 api/s3/1.112.0 os/linux lang/rust/1.95.0 m/E,Z,b\r\n\
             Accept: */*\r\n\
             Accept-Encoding: identity\r\n\
             Range: bytes=0-1048575\r\n\
             Connection: keep-alive\r\n\
             amz-sdk-invocation-id: 0b2e3f5c-9f9c-4a8f-9d4e-7d1d2c9a6b1f\r\n\
             amz-sdk-request: attempt=1; max=3\r\n\
             x-amz-checksum-mode: ENABLED\r\n\
             x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\r\n\
             x-amz-date: 20130524T000000Z\r\n\
             Content-Length: 0\r\n\
             Authorization: AWS4-HMAC-SHA256 \
             Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
             SignedHeaders=amz-sdk-request;host;range;x-amz-checksum-mode;x-amz-content-sha256;x-amz-date, \
             Signature={signature}\r\n\r\n"
        )
    };
    sign(raw, key)
}

/// A presigned PUT with the parameters that SDKs add.
fn presigned_put(key: &SigningKey) -> Vec<u8> {
    let raw = |signature: &str| {
        format!(
            "PUT /photos/2013/05/24/harbour%20at%20dawn.jpg?X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
             &X-Amz-Date=20130524T000000Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=content-type%3Bhost\
             &x-id=PutObject&X-Amz-Signature={signature} HTTP/1.1\r\n\
             Host: examplebucket.s3.us-east-1.amazonaws.com\r\n\
             User-Agent: curl/8.14.1\r\n\
             Accept: */*\r\n\
             Content-Type: image/jpeg\r\n\
             Content-Length: 1048576\r\n\r\n"
        )
    };
    sign(raw, key)
}

fn sign(raw: impl Fn(&str) -> String, key: &SigningKey) -> Vec<u8> {
    let unsigned = raw(&"0".repeat(64));
    let head = Head::parse(unsigned.as_bytes()).unwrap();
    let request = authenticate(&head, &Expected::s3("us-east-1", NOW)).unwrap();
    let signature = key.sign(&request.string_to_sign()).to_hex();
    raw(std::str::from_utf8(&signature).unwrap()).into_bytes()
}

fn verify(raw: &[u8], key: &SigningKey) -> bool {
    let head = Head::parse(raw).unwrap();
    let request = authenticate(&head, &Expected::s3("us-east-1", NOW)).unwrap();
    request.is_signed_by(key)
}

fn string_to_sign(raw: &[u8]) -> (StringToSign, Vec<u8>) {
    let head = Head::parse(raw).unwrap();
    let request = authenticate(&head, &Expected::s3("us-east-1", NOW)).unwrap();
    (request.string_to_sign(), request.canonical_request())
}

/// Nanoseconds per call of each function, the median of interleaved rounds.
fn interleaved<const N: usize>(mut functions: [&mut dyn FnMut(); N]) -> [f64; N] {
    const ROUNDS: usize = 61;
    const CALLS: u32 = 400;
    let mut rounds: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..ROUNDS {
        for (times, function) in rounds.iter_mut().zip(functions.iter_mut()) {
            let start = Instant::now();
            (0..CALLS).for_each(|_| function());
            times.push(start.elapsed().as_nanos() as f64 / f64::from(CALLS));
        }
    }
    rounds.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    })
}

fn main() {
    let date_key = DateKey::derive(
        b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        &sigv4::Date::from_unix_seconds(NOW),
    );
    let key = date_key.signing_key("us-east-1", "s3");
    let mut criterion = Criterion::default().configure_from_args();
    for (name, raw) in [("get", get_object(&key)), ("presigned", presigned_put(&key))] {
        assert!(verify(&raw, &key));
        let (sts, canonical) = string_to_sign(&raw);
        let signature = key.sign(&sts);
        let hash = || Sha256::digest(black_box(&canonical));
        let mac = || key.verify(black_box(&sts), black_box(&signature));
        let whole = || verify(black_box(&raw), &key);
        let parse = || Head::parse(black_box(&raw)).is_ok();

        let mut group = criterion.benchmark_group(name);
        group.bench_function("whole verification", |b| b.iter(whole));
        group.bench_function("bare crypto", |b| b.iter(|| (hash(), mac())));
        group.bench_function("parse head", |b| b.iter(parse));
        group.finish();

        let [whole_ns, crypto_ns, parse_ns, authenticated_ns] = interleaved([
            &mut || _ = black_box(whole()),
            &mut || _ = black_box((hash(), mac())),
            &mut || _ = black_box(parse()),
            &mut || {
                let head = Head::parse(black_box(&raw)).unwrap();
                let request = authenticate(&head, &Expected::s3("us-east-1", NOW));
                _ = black_box(request);
            },
        ]);
        println!(
            "{name}: head {} B, canonical request {} B, string to sign {} B\n\
             {name}: whole {whole_ns:.0} ns = {:.2} x bare crypto {crypto_ns:.0} ns; parse head {parse_ns:.0} ns, \
             parse and authenticate {authenticated_ns:.0} ns",
            raw.len(),
            canonical.len(),
            sts.as_bytes().len(),
            whole_ns / crypto_ns,
        );
    }
}
