//! The signing test suites of aws-c-auth, which AWS's SDKs share: Version 4 and 4A, in the header and in the
//! query. `vectors/aws_c_auth.py` gathered them.

use serde_json::Value;
use sha2::{Digest, Sha256};
use sigv4::explain::{Explanation, Hint, explain};
use sigv4::{
    DateKey, Expected, Head, HeadError, PrivateKey, PublicKey, SignedRequest, Timestamp,
    authenticate,
};

/// A request of the suite and what it is made into.
struct Vector {
    name: String,
    secret: String,
    /// As it is written in the suite.
    raw: String,
    canonical_request: String,
    string_to_sign: String,
    signature: String,
    normalizes_path: bool,
    public_key: Option<PublicKey>,
}

fn vectors() -> Vec<Vector> {
    let suites: Vec<Value> = serde_json::from_str(include_str!("vectors/aws_c_auth.json")).unwrap();
    let forms = |vector: &Value| {
        ["header", "query"].map(|form| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let context = &vector["context"];
            let mut raw = text(&vector[form]["signed-request"]);
            if context["omit_session_token"] == true {
                // Added after signing: the request that was signed has none.
                let token = text(&context["credentials"]["token"]);
                let encoded = token.replace('/', "%2F").replace('+', "%2B").replace('=', "%3D");
                raw = raw.replace(&format!("X-Amz-Security-Token:{token}\n"), "");
                raw = raw.replace(&format!("&X-Amz-Security-Token={encoded}"), "");
            }
            Vector {
                name: format!("{} {} {form}", vector["suite"], vector["name"]),
                secret: text(&context["credentials"]["secret_access_key"]),
                raw,
                canonical_request: text(&vector[form]["canonical-request"]),
                string_to_sign: text(&vector[form]["string-to-sign"]),
                signature: text(&vector[form]["signature"]),
                normalizes_path: context["normalize"].as_bool().unwrap(),
                public_key: vector.get("public-key").map(|key| {
                    let point = format!("04{}{}", text(&key["X"]), text(&key["Y"]));
                    PublicKey::from_bytes(&hex::decode(point).unwrap()).unwrap()
                }),
            }
        })
    };
    suites.iter().flat_map(forms).collect()
}

impl Vector {
    /// Folded lines made one: the suite has them, and no server takes them.
    fn unfolded(&self) -> String {
        let mut raw = self.raw.clone();
        while raw.contains("\n ") {
            raw = raw.replace("\n ", " ");
        }
        raw
    }

    fn signature_sent(&self) -> String {
        let (_, rest) = self.raw.split_once("Signature=").unwrap();
        rest.split(|c: char| !c.is_ascii_hexdigit()).next().unwrap().to_owned()
    }

    fn is_right(&self, request: &SignedRequest<'_>) -> bool {
        match &self.public_key {
            Some(key) => request.is_signed_for(key),
            None => {
                let date_key = DateKey::derive(self.secret.as_bytes(), &request.scope().date());
                request.is_signed_by(&date_key.signing_key_of(request.scope()))
            }
        }
    }

    fn explain(&self, raw: &str) -> Explanation {
        let (head, body) = raw.split_once("\n\n").unwrap();
        let head = Head::parse_lenient(head.as_bytes()).unwrap();
        let body_sha256 = hex::encode(Sha256::digest(body)).into_bytes().try_into().unwrap();
        let now = Timestamp::parse(b"20150830T123600Z").unwrap().unix_seconds();
        let expected = Expected {
            accepts_sigv4a: true,
            normalizes_path: self.normalizes_path,
            ..Expected::service("us-east-1", "service", now, &body_sha256)
        };
        explain(&head, &expected, Some(&body_sha256), |request| self.is_right(request))
    }
}

#[test]
fn the_suites_are_accepted_and_canonicalised_byte_for_byte() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 2 * (38 + 38));
    for vector in &vectors {
        let name = &vector.name;
        let found = vector.explain(&vector.unfolded());
        let canonical = String::from_utf8(found.canonical_request.unwrap()).unwrap();
        assert_eq!(canonical, vector.canonical_request, "{name}");
        let string_to_sign = found.string_to_sign.unwrap();
        let text = std::str::from_utf8(string_to_sign.as_bytes()).unwrap();
        assert_eq!(text, vector.string_to_sign, "{name}");
        assert_eq!(found.denial, None, "{name}");
        assert_eq!(found.signature, Some(vector.signature_sent()), "{name}");
        assert!(found.hints.is_empty(), "{name}: {:?}", found.hints);
    }
}

#[test]
fn no_signature_of_the_suites_is_right_with_another_bit() {
    for vector in vectors() {
        let signature = vector.signature_sent();
        for at in [9, signature.len() - 1] {
            let digit = u8::from_str_radix(&signature[at..=at], 16).unwrap() ^ 1;
            let mut other = signature.clone();
            other.replace_range(at..=at, &format!("{digit:x}"));
            let raw = vector.unfolded().replace(&signature, &other);
            let found = vector.explain(&raw);
            let code = found.denial.map(|denial| denial.code.as_str());
            assert_eq!(code, Some("SignatureDoesNotMatch"), "{} {at}", vector.name);
            assert_eq!(found.hints.last(), Some(&Hint::Secret), "{} {at}", vector.name);
            // What is told has no trace of the signature that would have been right.
            let told = format!("{:?} {:?}", found.hints, found.string_to_sign);
            assert!(!told.contains(&signature), "{}", vector.name);
        }
    }
}

#[test]
fn both_signatures_of_version_4a_are_those_of_the_key_that_follows_from_the_secret() {
    for vector in vectors() {
        let Some(public_key) = vector.public_key else { continue };
        let derived = PrivateKey::derive("AKIDEXAMPLE", vector.secret.as_bytes()).unwrap();
        assert_eq!(derived.public_key(), Some(public_key), "{}", vector.name);
        // A signature is another each time: the suite has two of each request.
        let raw = vector.unfolded().replace(&vector.signature_sent(), &vector.signature);
        assert_eq!(vector.explain(&raw).denial, None, "{}", vector.name);
    }
}

#[test]
fn what_is_lenient_for_an_explanation_is_refused_on_the_wire() {
    let mut refused = 0;
    for vector in vectors() {
        let raw = vector.raw.split_once("\n\n").unwrap().0;
        match Head::parse(raw.as_bytes()) {
            Ok(head) => {
                let expected = Expected::s3("us-east-1", 0);
                assert!(authenticate(&head, &expected).is_err(), "{}", vector.name);
            }
            Err(HeadError::Malformed) => refused += 1,
            Err(error) => panic!("{}: {error}", vector.name),
        }
    }
    assert_eq!(refused, 2 * 2 * 3, "spaces in a path, and a folded line");
}
