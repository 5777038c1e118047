use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode,
};
use read_model::{AccessKeyRecord, Change, SecretRecord, UserRecord};
use sigv4::{Date, ErrorCode, Expected, Head, Timestamp, authenticate};

use super::*;

const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const OLD_SECRET: &str = "old+wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLE";
/// 2026-03-01T12:00:00Z.
const NOW_MS: i64 = 1_772_366_400_000;
const DAY_MS: i64 = 86_400_000;

fn date_key(secret: &str, unix_ms: i64) -> (u32, DateKey) {
    let key = DateKey::derive(secret.as_bytes(), &Date::from_unix_seconds(unix_ms / 1000));
    (u32::try_from(unix_ms / DAY_MS).expect("after 1970"), key)
}

fn secret(generation: u32, text: &str, expires_at_ms: Option<i64>) -> SecretRecord {
    let days = [NOW_MS - DAY_MS, NOW_MS, NOW_MS + DAY_MS];
    let date_keys = days.iter().map(|day| date_key(text, *day)).collect();
    SecretRecord { generation, expires_at_ms, date_keys }
}

fn user() -> UserRecord {
    UserRecord {
        user_id: [1; 16],
        account_id: [2; 16],
        account_number: "123456789012".into(),
        user_name: "alice".into(),
        root: false,
        locked: false,
    }
}

fn access_key() -> AccessKeyRecord {
    AccessKeyRecord {
        access_key_id: ID.into(),
        user_id: [1; 16],
        active: true,
        not_before_ms: None,
        expires_at_ms: None,
        secrets: vec![secret(1, SECRET, None)],
    }
}

fn table(user: UserRecord, key: AccessKeyRecord) -> Table {
    let table = Table::new();
    table.apply(Change { users: vec![user], access_keys: vec![key], ..Change::default() });
    table
}

/// A GET signed by a header at this instant, with what else is to stand in its head.
fn signed(secret: &str, id: &str, at_ms: i64, more: &str, more_signed: &str) -> String {
    let at = Timestamp::from_unix_seconds(at_ms / 1000);
    sign(secret, at_ms, |signature| {
        format!(
            "GET /bucket/key HTTP/1.1\r\nHost: s3.example.com\r\nx-amz-date: {}\r\n\
             x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n{more}Authorization: AWS4-HMAC-SHA256 \
             Credential={id}/{}/us-east-1/s3/aws4_request, \
             SignedHeaders=host;x-amz-content-sha256;x-amz-date{more_signed}, \
             Signature={signature}\r\n\r\n",
            at.as_str(),
            at.date(),
        )
    })
}

/// A presigned GET of this instant, good for a week.
fn presigned(secret: &str, id: &str, at_ms: i64) -> String {
    let at = Timestamp::from_unix_seconds(at_ms / 1000);
    sign(secret, at_ms, |signature| {
        format!(
            "GET /bucket/key?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={id}%2F{}%2F\
             us-east-1%2Fs3%2Faws4_request&X-Amz-Date={}&X-Amz-Expires=604800&\
             X-Amz-SignedHeaders=host&X-Amz-Signature={signature} HTTP/1.1\r\n\
             Host: s3.example.com\r\n\r\n",
            at.date(),
            at.as_str(),
        )
    })
}

fn sign(secret: &str, at_ms: i64, head: impl Fn(&str) -> String) -> String {
    let unsigned = head(&"0".repeat(64));
    let parsed = Head::parse(unsigned.as_bytes()).expect("is a head");
    let expected = Expected::s3("us-east-1", at_ms / 1000);
    let request = authenticate(&parsed, &expected).expect("is complete");
    let (_, date_key) = date_key(secret, at_ms);
    let signature = date_key.signing_key("us-east-1", "s3").sign(&request.string_to_sign());
    head(std::str::from_utf8(&signature.to_hex()).expect("is hexadecimal"))
}

fn check(table: &Table, head: &str, now_ms: i64) -> Result<u32, ErrorCode> {
    match ask(table, head, now_ms) {
        Verdict::Verified { generation, .. } => Ok(generation),
        Verdict::Denied(denial) => Err(denial.code),
        Verdict::NeedsKeys(day) => panic!("needs {day:?}"),
    }
}

fn ask(table: &Table, head: &str, now_ms: i64) -> Verdict {
    let head = Head::parse(head.as_bytes()).expect("is a head");
    let expected = Expected::s3("us-east-1", now_ms / 1000);
    let now = Now { unix_ms: now_ms, monotonic: Duration::from_secs(100) };
    match authenticate(&head, &expected) {
        Ok(request) => judge(table, &request, now),
        Err(denial) => Verdict::Denied(denial),
    }
}

fn judge(table: &Table, request: &SignedRequest<'_>, now: Now) -> Verdict {
    let string_to_sign = request.string_to_sign();
    verify(table, request, &Claim::of(request, &string_to_sign), now).verdict
}

fn by_header(secret: &str) -> String {
    signed(secret, ID, NOW_MS, "", "")
}

#[test]
fn who_signs_with_the_secret_is_the_user() {
    let table = table(user(), access_key());
    let Verdict::Verified { profile, generation } = ask(&table, &by_header(SECRET), NOW_MS) else {
        panic!("was not verified");
    };
    assert_eq!((profile.user_name.as_str(), generation), ("alice", 1));
    assert_eq!(check(&table, &presigned(SECRET, ID, NOW_MS), NOW_MS), Ok(1));
}

#[test]
fn aws_own_signer_is_understood() {
    let table = table(user(), access_key());
    let credentials = aws_credential_types::Credentials::new(ID, SECRET, None, None, "test");
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let identity = credentials.into();
    let parameters = aws_sigv4::sign::v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("s3")
        .time(SystemTime::UNIX_EPOCH + Duration::from_millis(NOW_MS as u64))
        .settings(settings)
        .build()
        .expect("is complete")
        .into();
    let uri = "https://s3.example.com/bucket/a%20key?list-type=2&prefix=x%2Fy";
    let headers = [("host", "s3.example.com")];
    let body = SignableBody::Bytes(b"hello");
    let request = SignableRequest::new("PUT", uri, headers.into_iter(), body).expect("is valid");
    let (instructions, _) =
        aws_sigv4::http_request::sign(request, &parameters).expect("signs").into_parts();
    let mut http =
        http::Request::put(uri).header("host", "s3.example.com").body(()).expect("valid");
    instructions.apply_to_request_http1x(&mut http);
    let mut head = format!("PUT {} HTTP/1.1\r\n", http.uri().path_and_query().expect("has one"));
    for (name, value) in http.headers() {
        head += &format!("{name}: {}\r\n", value.to_str().expect("is text"));
    }
    assert_eq!(check(&table, &(head + "\r\n"), NOW_MS), Ok(1));
}

#[test]
fn a_wrong_signature_is_told_alike_whatever_the_state_of_key_and_user() {
    let inactive = AccessKeyRecord { active: false, ..access_key() };
    let begins_later = AccessKeyRecord { not_before_ms: Some(NOW_MS + 1), ..access_key() };
    let expired = AccessKeyRecord { expires_at_ms: Some(NOW_MS - 1), ..access_key() };
    let locked = UserRecord { locked: true, ..user() };
    for (user, key) in [
        (user(), access_key()),
        (user(), inactive),
        (user(), begins_later),
        (user(), expired),
        (locked, access_key()),
        (user(), AccessKeyRecord { secrets: vec![], ..access_key() }),
    ] {
        let table = table(user, key);
        let wrong = Err(ErrorCode::SignatureDoesNotMatch);
        assert_eq!(check(&table, &by_header("another secret"), NOW_MS), wrong);
        assert_eq!(check(&table, &presigned("another secret", ID, NOW_MS), NOW_MS), wrong);
    }
}

#[test]
fn a_right_signature_with_a_key_that_may_not_be_used_is_refused() {
    let denied = |user, key| {
        let Verdict::Denied(denial) = ask(&table(user, key), &by_header(SECRET), NOW_MS) else {
            panic!("not denied");
        };
        denial
    };
    let inactive = AccessKeyRecord { active: false, ..access_key() };
    let begins_later = AccessKeyRecord { not_before_ms: Some(NOW_MS + 1), ..access_key() };
    let expired = AccessKeyRecord { expires_at_ms: Some(NOW_MS), ..access_key() };
    let locked = UserRecord { locked: true, ..user() };
    for key in [access_key(), inactive.clone(), begins_later.clone(), expired.clone()] {
        assert_eq!(denied(locked.clone(), key).code, ErrorCode::AccessDenied);
    }
    // All in the very same words.
    for key in [inactive, begins_later, expired] {
        let denial = denied(user(), key);
        assert_eq!(denial.code, ErrorCode::InvalidAccessKeyId);
        assert_eq!(denial.message, Denial::invalid_access_key_id(ID).message);
        assert_eq!(denial.details, [("AWSAccessKeyId", ID.to_owned())]);
    }
}

#[test]
fn an_unknown_or_deleted_key_is_named_and_no_date_key_is_asked_for() {
    let table = table(user(), access_key());
    let unknown = "AKIAUNKNOWN";
    for head in
        [signed(SECRET, unknown, NOW_MS, "", ""), presigned(SECRET, unknown, NOW_MS - 5 * DAY_MS)]
    {
        let Verdict::Denied(denial) = ask(&table, &head, NOW_MS) else { panic!("not denied") };
        assert_eq!(denial.code, ErrorCode::InvalidAccessKeyId);
        assert_eq!(denial.details, [("AWSAccessKeyId", unknown.to_owned())]);
    }
    table.apply(Change { deleted_access_keys: vec![ID.into()], ..Change::default() });
    let gone = Err(ErrorCode::InvalidAccessKeyId);
    assert_eq!(check(&table, &by_header(SECRET), NOW_MS), gone);
}

#[test]
fn a_key_ends_at_its_instant_also_for_urls_presigned_before() {
    let end = NOW_MS + 500;
    // Identity may or may not shorten a secret to the life of its key.
    for secret_end in [None, Some(end), Some(end + 1)] {
        let secrets = vec![secret(1, SECRET, secret_end)];
        let table =
            table(user(), AccessKeyRecord { expires_at_ms: Some(end), secrets, ..access_key() });
        for head in [by_header(SECRET), presigned(SECRET, ID, NOW_MS)] {
            assert_eq!(check(&table, &head, end - 1), Ok(1));
            assert_eq!(check(&table, &head, end), Err(ErrorCode::InvalidAccessKeyId));
            assert_eq!(check(&table, &head, end + 1), Err(ErrorCode::InvalidAccessKeyId));
        }
    }
}

#[test]
fn a_key_begins_at_its_instant_whenever_it_was_signed_with() {
    let begin = NOW_MS + 500;
    let heads = [by_header(SECRET), presigned(SECRET, ID, NOW_MS)];
    let check = |key: AccessKeyRecord, now_ms| {
        let table = table(user(), AccessKeyRecord { not_before_ms: Some(begin), ..key });
        let verdicts = heads.each_ref().map(|head| check(&table, head, now_ms));
        assert_eq!(verdicts[0], verdicts[1]);
        verdicts[0]
    };
    let not_usable = Err(ErrorCode::InvalidAccessKeyId);
    let dead = Err(ErrorCode::SignatureDoesNotMatch);
    let ends = |key_end, secret_end| AccessKeyRecord {
        expires_at_ms: key_end,
        secrets: vec![secret(1, SECRET, secret_end)],
        ..access_key()
    };
    for (key_end, secret_end, at_begin, after) in [
        (None, None, Ok(1), Ok(1)),
        (Some(begin + 2), None, Ok(1), Ok(1)),
        // Whichever ends first, key or secret.
        (Some(begin + 1), None, Ok(1), not_usable),
        (Some(begin + 1), Some(begin + 1), Ok(1), not_usable),
        (Some(begin + 2), Some(begin + 1), Ok(1), dead),
        (None, Some(begin + 1), Ok(1), dead),
        (None, Some(begin), dead, dead),
        (Some(begin), Some(begin), not_usable, not_usable),
        (Some(begin - 1), None, not_usable, not_usable),
    ] {
        let ends = || ends(key_end, secret_end);
        assert_eq!(check(ends(), begin - 1), not_usable, "{key_end:?} {secret_end:?}");
        assert_eq!(check(ends(), begin), at_begin, "{key_end:?} {secret_end:?}");
        assert_eq!(check(ends(), begin + 1), after, "{key_end:?} {secret_end:?}");
    }
}

#[test]
fn before_a_key_begins_neither_of_its_secrets_is_good_nor_leaves_a_signing_key() {
    let (begin, day) = (NOW_MS + 500, u32::try_from(NOW_MS / DAY_MS).expect("after 1970"));
    for grace_end in [begin, begin + 1] {
        let secrets = vec![secret(2, SECRET, None), secret(1, OLD_SECRET, Some(grace_end))];
        let key = AccessKeyRecord { not_before_ms: Some(begin), secrets, ..access_key() };
        let table = table(user(), key);
        for secret in [SECRET, OLD_SECRET] {
            let refused = Err(ErrorCode::InvalidAccessKeyId);
            assert_eq!(check(&table, &by_header(secret), begin - 1), refused);
        }
        let keys = table.pin();
        let key = keys.access_key(ID).expect("is known");
        for generation in [1, 2] {
            assert!(key.signing_key(generation, day, "us-east-1", "s3").is_none());
        }
        assert_eq!(check(&table, &by_header(SECRET), begin), Ok(2));
        let in_grace =
            if begin < grace_end { Ok(1) } else { Err(ErrorCode::SignatureDoesNotMatch) };
        assert_eq!(check(&table, &by_header(OLD_SECRET), begin), in_grace);
    }
}

#[test]
fn after_a_rotation_the_old_secret_works_until_exactly_the_end_of_its_grace() {
    let end = NOW_MS + 500;
    let secrets = vec![secret(2, SECRET, None), secret(1, OLD_SECRET, Some(end))];
    let table = table(user(), AccessKeyRecord { secrets, ..access_key() });
    for head in [by_header(OLD_SECRET), presigned(OLD_SECRET, ID, NOW_MS)] {
        for _ in 0..2 {
            assert_eq!(check(&table, &head, end - 1), Ok(1)); // the second time out of the cache
        }
        assert_eq!(check(&table, &head, end), Err(ErrorCode::SignatureDoesNotMatch));
    }
    assert_eq!(check(&table, &by_header(SECRET), end - 1), Ok(2));
    assert_eq!(check(&table, &by_header(SECRET), end), Ok(2));
}

#[test]
fn only_a_verified_signature_leaves_a_signing_key_and_a_change_ends_it() {
    let table = table(user(), access_key());
    let kept = || {
        let keys = table.pin();
        let key = keys.access_key(ID).expect("is known");
        (0..3).any(|generation| {
            let day = u32::try_from(NOW_MS / DAY_MS).expect("after 1970");
            key.signing_key(generation, day, "us-east-1", "s3").is_some()
        })
    };
    assert!(check(&table, &by_header("another secret"), NOW_MS).is_err());
    assert!(!kept());
    for _ in 0..2 {
        assert_eq!(check(&table, &by_header(SECRET), NOW_MS), Ok(1));
        assert!(kept());
    }
    let wrong = Err(ErrorCode::SignatureDoesNotMatch);
    assert_eq!(check(&table, &by_header("another secret"), NOW_MS), wrong);
    let rotated = AccessKeyRecord { secrets: vec![secret(2, OLD_SECRET, None)], ..access_key() };
    table.apply(Change { access_keys: vec![rotated], ..Change::default() });
    assert!(!kept());
    assert_eq!(check(&table, &by_header(SECRET), NOW_MS), wrong);
    assert_eq!(check(&table, &by_header(OLD_SECRET), NOW_MS), Ok(2));
}

#[test]
fn a_kept_signing_key_does_not_outlive_a_lock_or_a_new_state_of_the_key() {
    let table = table(user(), access_key());
    assert_eq!(check(&table, &by_header(SECRET), NOW_MS), Ok(1));
    let lock = |locked| {
        table.apply(Change { users: vec![UserRecord { locked, ..user() }], ..Change::default() })
    };
    lock(true);
    assert_eq!(check(&table, &by_header(SECRET), NOW_MS), Err(ErrorCode::AccessDenied));
    lock(false);
    assert_eq!(check(&table, &by_header(SECRET), NOW_MS), Ok(1));
    table.apply(Change { deleted_users: vec![[1; 16]], ..Change::default() });
    assert_eq!(check(&table, &by_header(SECRET), NOW_MS), Err(ErrorCode::InvalidAccessKeyId));
}

#[test]
fn an_older_day_is_asked_for_once_and_then_verified_like_any_other() {
    let table = table(user(), access_key());
    let at_ms = NOW_MS - 5 * DAY_MS;
    let head = presigned(SECRET, ID, at_ms);
    let Verdict::NeedsKeys(needed) = ask(&table, &head, NOW_MS) else { panic!("is known") };
    let (day, key) = date_key(SECRET, at_ms);
    let wanted = Wanted::DateKeys { spelling: Spelling::Aws4, day };
    assert_eq!((needed.access_key_id.as_str(), needed.wanted), (ID, wanted));
    let monotonic = Duration::from_secs(90);
    table.keep_older_day(
        ID,
        needed.version,
        Spelling::Aws4,
        day,
        vec![(1, key.clone())],
        monotonic,
    );
    assert_eq!(check(&table, &head, NOW_MS), Ok(1));
    let wrong = presigned("another secret", ID, at_ms);
    assert_eq!(check(&table, &wrong, NOW_MS), Err(ErrorCode::SignatureDoesNotMatch));
    // Identity may know only another generation: it is asked no second time.
    table.keep_older_day(ID, needed.version, Spelling::Aws4, day, vec![(7, key)], monotonic);
    assert_eq!(check(&table, &head, NOW_MS), Err(ErrorCode::SignatureDoesNotMatch));
    // The key has changed: what was fetched for its former state is not used.
    table.apply(Change { access_keys: vec![access_key()], ..Change::default() });
    assert!(matches!(ask(&table, &head, NOW_MS), Verdict::NeedsKeys(_)));
}

/// A call of OUTSCALE's API, signed in its spelling.
fn osc4(secret: &str, id: &str) -> String {
    let at = Timestamp::from_unix_seconds(NOW_MS / 1000);
    let head = |signature: &str| {
        format!(
            "POST /api/v1/ReadUsers HTTP/1.1\r\nHost: osc.example.com\r\nx-osc-date: {}\r\n\
             Authorization: OSC4-HMAC-SHA256 Credential={id}/{}/us-east-1/api/osc4_request, \
             SignedHeaders=host;x-osc-date, Signature={signature}\r\n\r\n",
            at.as_str(),
            at.date(),
        )
    };
    let unsigned = head(&"0".repeat(64));
    let parsed = Head::parse(unsigned.as_bytes()).expect("is a head");
    let request = authenticate(&parsed, &expects_osc4()).expect("is complete");
    let scope = request.scope();
    let date_key = DateKey::derive_spelled(Spelling::Osc4, secret.as_bytes(), &scope.date());
    let signature = date_key.signing_key_of(scope).sign(&request.string_to_sign());
    head(std::str::from_utf8(&signature.to_hex()).expect("is hexadecimal"))
}

fn expects_osc4() -> Expected<'static> {
    let expected = Expected::service("us-east-1", "api", NOW_MS / 1000, &[b'0'; 64]);
    Expected { accepts_osc4: true, ..expected }
}

fn ask_osc4(table: &Table, head: &str) -> Verdict {
    let head = Head::parse(head.as_bytes()).expect("is a head");
    let request = authenticate(&head, &expects_osc4()).expect("is complete");
    judge(table, &request, Now { unix_ms: NOW_MS, monotonic: Duration::from_secs(100) })
}

#[test]
fn outscales_spelling_has_date_keys_of_its_own_for_known_keys_only() {
    let table = table(user(), access_key());
    let (right, wrong) = (osc4(SECRET, ID), osc4("another secret", ID));
    let needed = match ask_osc4(&table, &right) {
        Verdict::NeedsKeys(needed) => needed,
        other @ (Verdict::Verified { .. } | Verdict::Denied(_)) => panic!("{other:?}"),
    };
    let (day, of_aws) = date_key(SECRET, NOW_MS);
    assert_eq!(needed.wanted, Wanted::DateKeys { spelling: Spelling::Osc4, day });
    let date = Date::from_unix_seconds(NOW_MS / 1000);
    let key = DateKey::derive_spelled(Spelling::Osc4, SECRET.as_bytes(), &date);
    let keep = |spelling, key| {
        let monotonic = Duration::from_secs(90);
        table.keep_older_day(ID, needed.version, spelling, day, vec![(1, key)], monotonic);
    };
    keep(Spelling::Aws4, of_aws);
    assert!(matches!(ask_osc4(&table, &right), Verdict::NeedsKeys(_)));
    keep(Spelling::Osc4, key);
    for _ in 0..2 {
        assert!(matches!(ask_osc4(&table, &right), Verdict::Verified { generation: 1, .. }));
        let Verdict::Denied(denial) = ask_osc4(&table, &wrong) else { panic!("is wrong") };
        assert_eq!(denial.code, ErrorCode::SignatureDoesNotMatch);
        assert_eq!(check(&table, &by_header(SECRET), NOW_MS), Ok(1));
    }
    // Nobody's key is not asked for.
    let Verdict::Denied(denial) = ask_osc4(&table, &osc4(SECRET, "AKIANOBODY")) else {
        panic!("is nobody's")
    };
    assert_eq!(denial.code, ErrorCode::InvalidAccessKeyId);
    // The key has changed: what was fetched for its former state is not used.
    table.apply(Change { access_keys: vec![access_key()], ..Change::default() });
    assert!(matches!(ask_osc4(&table, &right), Verdict::NeedsKeys(_)));
}

#[test]
fn a_session_token_is_refused_since_none_was_ever_issued() {
    let table = table(user(), access_key());
    let token = "x-amz-security-token: abc\r\n";
    let head = signed(SECRET, ID, NOW_MS, token, ";x-amz-security-token");
    assert_eq!(check(&table, &head, NOW_MS), Err(ErrorCode::InvalidToken));
}
