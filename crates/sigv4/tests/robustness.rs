//! No bytes, however chosen, make anything panic.

mod server;

use proptest::prelude::*;
use server::{GET, NOW, PRESIGNED, sign, verdict};
use sigv4::explain::{Explanation, explain};
use sigv4::{
    AsymmetricSignature, Date, Denial, Expected, Head, PayloadMode, PublicKey, Signature,
    StringToSign, Timestamp,
};

/// All texts of a denial can be asked for.
fn show(verdict: Result<(), Denial>) -> usize {
    verdict.map_or_else(|denial| format!("{denial} {denial:?}").len(), |()| 0)
}

/// Explains a request to who expects all that there is, with a key that no signature is of.
fn explained(raw: &[u8]) -> usize {
    let expected = Expected { accepts_sigv4a: true, ..Expected::s3("us-east-1", NOW) };
    let told = match Head::parse_lenient(raw) {
        Ok(head) => explain(&head, &expected, Some(&[b'0'; 64]), |_| false),
        Err(error) => Explanation::denied(error.into()),
    };
    assert!(told.denial.is_some());
    assert_eq!(told.canonical_request.is_some(), told.string_to_sign.is_some());
    told.hints.iter().map(|hint| hint.to_string().len()).sum()
}

/// A signed request with some bytes replaced, removed or inserted.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..3);
    let template = prop::sample::select(vec![GET, PRESIGNED]);
    (template, proptest::collection::vec(change, 1..8)).prop_map(|(template, changes)| {
        let mut raw = sign(template).into_bytes();
        for (at, byte, kind) in changes {
            let at = at.index(raw.len());
            match kind {
                0 => raw[at] = byte,
                1 => drop(raw.remove(at)),
                _ => raw.insert(at, byte),
            }
        }
        raw
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_get_a_verdict(raw: Vec<u8>, now: i64) {
        prop_assert!(show(verdict(&raw, now)) > 0);
        let _ = Timestamp::parse_http_date(&raw);
        let _ = Date::parse(&raw);
        let _ = PayloadMode::parse(&raw);
        let _ = StringToSign::parse(&raw);
        let _ = Signature::from_hex(&raw).to_hex();
        let _ = AsymmetricSignature::from_hex(&raw);
        let _ = PublicKey::from_bytes(&raw);
        explained(&raw);
        let _ = Timestamp::from_unix_seconds(now).to_extended();
    }

    #[test]
    fn any_target_and_headers_get_a_verdict(target in "/[ -~]{0,60}", authorization in "AWS4-HMAC-SHA256 [ -~]{0,200}") {
        let raw = format!("GET {target}\r\nhost: h\r\nauthorization: {authorization}\r\n");
        show(verdict(raw.as_bytes(), NOW));
        explained(raw.as_bytes());
        explained(raw.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256").as_bytes());
        show(verdict(format!("GET {target}\r\nhost: h\r\n").as_bytes(), NOW));
    }

    #[test]
    fn a_damaged_request_gets_a_verdict(raw in damaged()) {
        show(verdict(&raw, NOW));
        explained(&raw);
    }

    #[test]
    fn any_parts_make_a_head_of_those_parts_or_none(
        method in "[A-Z]{1,8}|[ -~]{0,4}",
        target: Vec<u8>,
        names in proptest::collection::vec("[a-zA-Z-]{1,8}|[ -~]{0,4}", 0..4),
        value: Vec<u8>,
    ) {
        let target = [b"/".as_slice(), &target].concat();
        let headers: Vec<_> = names.iter().map(|name| (name.as_bytes(), value.as_slice())).collect();
        let mut buffer = Vec::new();
        if let Ok(head) = Head::from_parts(&mut buffer, &method, &target, headers.iter().copied()) {
            prop_assert_eq!(head.method(), method.as_bytes());
            let separator: &[u8] = if target.contains(&b'?') { b"?" } else { b"" };
            prop_assert_eq!([head.path(), separator, head.query()].concat(), target);
            let trim = |value: &[u8]| {
                let text: Vec<char> = value.iter().map(|byte| char::from(*byte)).collect();
                let text: String = text.into_iter().collect();
                text.trim_matches([' ', '\t']).to_owned()
            };
            let kept: Vec<_> = head.headers().map(|(name, value)| (name, trim(value))).collect();
            let given: Vec<_> = headers.iter().map(|(name, value)| (*name, trim(value))).collect();
            prop_assert_eq!(kept, given);
        }
    }
}
