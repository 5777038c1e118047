//! Whatever AWS's own Rust signer signs is accepted, and nothing that differs from it is.

mod server;

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use server::{ACCESS_KEY_ID, NOW, SECRET, is_accepted_in_another_meaning, verdict};
use sigv4::ErrorCode;

/// A request before it is signed.
#[derive(Clone, Debug)]
struct Request {
    method: &'static str,
    /// As an SDK encodes it: only unreserved characters and slashes are left as they are.
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    payload: Payload,
    session_token: Option<String>,
    presigned: bool,
}

#[derive(Clone, Copy, Debug)]
enum Payload {
    Sha256([u8; 32]),
    Unsigned,
    UnsignedChunksTrailer,
    SignedChunks,
    SignedChunksTrailer,
}

impl Request {
    /// Signs with aws-sigv4 and gives the lines of the head.
    fn sign(&self) -> Vec<String> {
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        if self.presigned {
            settings.signature_location = SignatureLocation::QueryParams;
            settings.expires_in = Some(Duration::from_secs(3600));
        } else {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let identity =
            Credentials::new(ACCESS_KEY_ID, SECRET, self.session_token.clone(), None, "test")
                .into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name("s3")
            .time(UNIX_EPOCH + Duration::from_secs(NOW as u64))
            .settings(settings)
            .build()
            .unwrap();
        let body = match self.payload {
            Payload::Sha256(hash) => SignableBody::Precomputed(hex::encode(hash)),
            Payload::Unsigned => SignableBody::UnsignedPayload,
            Payload::UnsignedChunksTrailer => SignableBody::StreamingUnsignedPayloadTrailer,
            Payload::SignedChunks => {
                SignableBody::Precomputed("STREAMING-AWS4-HMAC-SHA256-PAYLOAD".to_owned())
            }
            Payload::SignedChunksTrailer => {
                SignableBody::Precomputed("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER".to_owned())
            }
        };
        let separator = if self.query.is_empty() { "" } else { "?" };
        let uri = format!("http://s3.example.com:7100{}{separator}{}", self.path, self.query);
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let signable = SignableRequest::new(self.method, uri.as_str(), headers, body).unwrap();
        let (instructions, _) = sign(signable, &parameters.into()).unwrap().into_parts();

        let mut request = http::Request::builder().method(self.method).uri(uri).body(()).unwrap();
        instructions.apply_to_request_http1x(&mut request);
        let mut lines =
            vec![format!("{} {} HTTP/1.1", self.method, request.uri().path_and_query().unwrap())];
        lines.push("Host: s3.example.com:7100".to_owned());
        lines.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        for (name, value) in request.headers() {
            lines.push(format!("{name}: {}", value.to_str().unwrap()));
        }
        lines
    }
}

fn encode(bytes: &[u8], keep: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || keep.contains(byte) {
            text.push(char::from(*byte));
        } else {
            text += &format!("%{byte:02X}");
        }
    }
    text
}

/// Any characters, awkward ones often.
fn text() -> impl Strategy<Value = String> {
    let awkward =
        select(vec!['/', '%', '+', ' ', '&', '=', ';', '~', '.', '*', '\'', 'é', '日', '😀']);
    let character = prop_oneof![awkward, any::<char>(), proptest::char::range('a', 'z')];
    proptest::collection::vec(character, 0..8).prop_map(|chars| chars.into_iter().collect())
}

fn path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        text().prop_map(|text| encode(text.as_bytes(), b"-._~")),
        select(vec![".", "..", "", "a%2Fb", "a%252Fb"]).prop_map(str::to_owned),
    ];
    proptest::collection::vec(segment, 0..5).prop_map(|segments| format!("/{}", segments.join("/")))
}

fn query() -> impl Strategy<Value = String> {
    // The signer decodes a query as a form does, so that all spellings must come to the same.
    let pair =
        (text(), proptest::option::of(text()), any::<bool>()).prop_map(|(name, value, lazy)| {
            let keep: &[u8] = if lazy { b"-._~/*'()!,:@$" } else { b"-._~" };
            let encode = |text: &str| {
                let text = encode(text.as_bytes(), keep);
                if lazy { text.replace("%20", "+") } else { text }
            };
            match value {
                Some(value) => format!("{}={}", encode(&name), encode(&value)),
                None => encode(&name),
            }
        });
    proptest::collection::vec(pair, 0..6).prop_map(|pairs| pairs.join("&"))
}

fn headers() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = select(vec![
        "range",
        "Content-MD5",
        "content-type",
        "x-amz-acl",
        "X-Amz-Meta-One",
        "x-amz-meta-two",
        "x-amz-checksum-crc32",
    ]);
    let header = (name, "[ -~]{0,24}").prop_map(|(name, value)| (name.to_owned(), value));
    proptest::collection::vec(header, 0..5)
}

fn request() -> impl Strategy<Value = Request> {
    let payload = prop_oneof![
        any::<[u8; 32]>().prop_map(Payload::Sha256),
        Just(Payload::Unsigned),
        Just(Payload::UnsignedChunksTrailer),
        Just(Payload::SignedChunks),
        Just(Payload::SignedChunksTrailer),
    ];
    (
        select(vec!["GET", "HEAD", "PUT", "POST", "DELETE"]),
        path(),
        query(),
        headers(),
        payload,
        proptest::option::of("[A-Za-z0-9+/=]{1,40}"),
        any::<bool>(),
    )
        .prop_map(|(method, path, query, headers, payload, session_token, presigned)| {
            Request {
                method,
                path,
                query,
                headers,
                // Its presigned URLs do not carry the payload's hash: they mean UNSIGNED-PAYLOAD.
                payload: if presigned { Payload::Unsigned } else { payload },
                session_token,
                presigned,
            }
        })
}

fn check(lines: &[String], now: i64) -> Result<(), ErrorCode> {
    verdict(format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes(), now).map_err(|denial| denial.code)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_aws_sigv4_signs_is_accepted(request in request()) {
        prop_assert_eq!(check(&request.sign(), NOW), Ok(()));
    }

    #[test]
    fn one_other_digit_of_the_signature_is_refused(request in request(), at in 0usize..64, by in 1u8..16) {
        let mut head = request.sign().join("\r\n");
        let start = head.find("Signature=").unwrap() + "Signature=".len() + at;
        let digit = u8::from_str_radix(&head[start..=start], 16).unwrap() ^ by;
        head.replace_range(start..=start, &format!("{digit:x}"));
        prop_assert_eq!(check(&[head], NOW), Err(ErrorCode::SignatureDoesNotMatch));
    }

    #[test]
    fn one_other_bit_anywhere_is_refused_or_means_the_same(request in request(), at: Index, bit in 0..8) {
        let head = request.sign().join("\r\n").into_bytes();
        let mut changed = head.clone();
        changed[at.index(head.len())] ^= 1_u8 << bit;
        prop_assert!(!is_accepted_in_another_meaning(&head, &changed), "{}", String::from_utf8_lossy(&changed));
    }

    #[test]
    fn another_method_path_or_query_is_refused(request in request(), at: Index, kind in 0..4) {
        let mut lines = request.sign();
        let (target_start, path_len) = (request.method.len() + 1, request.path.len());
        match kind {
            0 => lines[0].replace_range(..request.method.len(), "PATCH"),
            1 => lines[0].insert(target_start + path_len, 'x'),
            2 => {
                // Between two characters of the path that are not inside an escape.
                let place = (1..=path_len).collect::<Vec<_>>();
                let place = target_start + place[at.index(place.len())];
                let before = &lines[0][..place];
                prop_assume!(!before.ends_with('%') && !before[..before.len() - 1].ends_with('%'));
                lines[0].insert(place, '/');
            }
            _ => {
                let has_query = lines[0].contains('?');
                let place = target_start + path_len;
                lines[0].insert_str(place, if has_query { "?zz=1&" } else { "?zz=1" });
                if has_query {
                    lines[0].remove(place + "?zz=1&".len());
                }
            }
        }
        prop_assert_eq!(check(&lines, NOW), Err(ErrorCode::SignatureDoesNotMatch), "{}", lines[0]);
    }

    #[test]
    fn another_value_of_a_signed_header_is_refused(request in request(), at: Index) {
        let mut lines = request.sign();
        let at = 1 + at.index(lines.len() - 1);
        lines[at].push('x'); // the signer signs all headers that it sees
        prop_assert!(check(&lines, NOW).is_err(), "{}", lines[at]);
    }

    #[test]
    fn a_missing_signed_header_is_refused(request in request(), at: Index) {
        let mut lines = request.sign();
        let line = lines.remove(1 + at.index(lines.len() - 1));
        prop_assert!(check(&lines, NOW).is_err(), "{line}");
    }

    #[test]
    fn an_unsigned_amz_header_is_refused(request in request()) {
        let mut lines = request.sign();
        lines.insert(1, "x-amz-copy-source: /other/secret".to_owned());
        prop_assert_eq!(check(&lines, NOW), Err(ErrorCode::AccessDenied));
    }

    #[test]
    fn unsigned_headers_and_the_order_of_names_change_nothing(request in request()) {
        let mut lines = request.sign();
        lines.push("accept: */*".to_owned());
        // A stable sort: the values of one name keep their order.
        lines[1..].sort_by_key(|line| std::cmp::Reverse(line.split(':').next().unwrap().to_ascii_lowercase()));
        prop_assert_eq!(check(&lines, NOW), Ok(()));
    }
}
