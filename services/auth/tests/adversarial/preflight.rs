//! Browsers ask with OPTIONS what they may do, without credentials. That is no way in.

use crate::harness::*;
use crate::{auth, denied};

#[tokio::test]
async fn a_preflight_is_refused_as_any_request_without_a_signature_and_grants_nothing() {
    let auth = auth().await;
    let preflight = "OPTIONS /bucket/key HTTP/1.1\r\nHost: s3.example.com\r\n\
                     Origin: https://example.com\r\nAccess-Control-Request-Method: GET\r\n\r\n";
    assert_eq!(auth.ask(preflight, 10).await, denied("AccessDenied"));
    for head in [signed(ID, SECRET), presigned(ID, SECRET, NOW_MS)] {
        // What was signed for GET is good for GET, also if a preflight says what it is for.
        let options = head.replacen("GET ", "OPTIONS ", 1);
        let named = options
            .replacen("\r\n", "\r\nAccess-Control-Request-Method: GET\r\n", 1)
            .replacen("\r\n", "\r\nOrigin: https://example.com\r\n", 1);
        for head in [options, named] {
            assert_eq!(auth.ask(&head, 10).await, denied("SignatureDoesNotMatch"));
        }
        assert_eq!(auth.ask(&head, 10).await, Ok(1));
    }
}
