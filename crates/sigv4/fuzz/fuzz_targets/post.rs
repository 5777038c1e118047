//! A form is allowed by its policy, which is the input, only if the policy speaks of each of its fields.
//!
//! Lines before an empty line are further fields, `name=value`; the rest is the policy. `cargo xtask fuzz post`.

#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use libfuzzer_sys::fuzz_target;
use sigv4::{DateKey, Expected, PostForm, authenticate_post};

fuzz_target!(|input: &[u8]| {
    let split = input.windows(2).position(|pair| pair == b"\n\n");
    let (more, policy) = split.map_or((&b""[..], input), |at| (&input[..at], &input[at + 2..]));
    let encoded = BASE64.encode(policy);
    let mut fields: Vec<(&[u8], &[u8])> = vec![
        (b"key", b"user/${filename}"),
        (b"policy", encoded.as_bytes()),
        (b"x-amz-algorithm", b"AWS4-HMAC-SHA256"),
        (b"x-amz-credential", b"AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"),
        (b"x-amz-date", b"20130524T000000Z"),
        (b"x-amz-signature", b"8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e"),
    ];
    for line in more.split(|&byte| byte == b'\n') {
        let end = line.iter().position(|&byte| byte == b'=').unwrap_or(line.len());
        fields.push((&line[..end], line.get(end + 1..).unwrap_or_default()));
    }
    let form = PostForm { fields: &fields, file_name: Some(b"a/b\\c.jpg") };
    match authenticate_post(&form, "bucket", &Expected::s3("us-east-1", 1_369_353_600)) {
        Ok(post) => {
            assert_eq!(post.key(), "user/c.jpg");
            assert!(post.expires_at_unix_seconds() > 1_369_353_600);
            let key = DateKey::derive(b"a secret that no input holds", &post.scope().date());
            assert!(!post.is_signed_by(&key.signing_key_of(post.scope())));
            let json = policy.to_ascii_lowercase();
            for (name, _) in fields {
                let name = name.to_ascii_lowercase();
                let is_exempt = matches!(name.as_slice(), b"policy" | b"x-amz-signature");
                // A policy may escape a name; one that does not has it as it is.
                let is_covered = json.windows(name.len()).any(|some| some == name);
                assert!(
                    is_exempt
                        || name.starts_with(b"x-ignore-")
                        || is_covered
                        || json.contains(&b'\\')
                );
            }
        }
        Err(denial) => assert!(matches!(denial.code.http_status(), 400 | 403)),
    }
});
