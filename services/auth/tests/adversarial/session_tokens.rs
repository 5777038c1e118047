//! No temporary credentials are issued: no token is ever right, whatever signed it.

use crate::harness::*;
use crate::{auth, denied};

#[tokio::test]
async fn a_token_with_a_long_term_key_is_refused_wherever_it_stands() {
    let auth = auth().await;
    let (right, wrong) = (signed(ID, SECRET), signed(ID, "another secret"));
    let presigned = presigned(ID, SECRET, NOW_MS);
    // Signed or not, in the head, and added to a URL that was good without it.
    for head in [&right, &wrong] {
        let unsigned = head.replacen("\r\n", "\r\nx-amz-security-token: abc\r\n", 1);
        assert_eq!(auth.ask(&unsigned, 10).await, denied("AccessDenied"));
        let listed = unsigned.replace("x-amz-date,", "x-amz-date;x-amz-security-token,");
        assert_eq!(auth.ask(&listed, 10).await, denied("InvalidToken"));
    }
    let added =
        presigned.replacen("&X-Amz-Signature", "&X-Amz-Security-Token=a&X-Amz-Signature", 1);
    assert_ne!(added, presigned);
    assert_eq!(auth.ask(&added, 10).await, denied("InvalidToken"));
    assert_eq!(auth.ask(&right, 10).await, Ok(1));
    assert_eq!(auth.ask(&presigned, 10).await, Ok(1));
}

#[tokio::test]
async fn with_a_token_nothing_is_learned_of_keys() {
    let auth = auth().await;
    for id in [ID, "AKIANOBODY"] {
        let head = signed(id, SECRET)
            .replacen("\r\n", "\r\nx-amz-security-token: abc\r\n", 1)
            .replace("x-amz-date,", "x-amz-date;x-amz-security-token,");
        assert_eq!(auth.ask(&head, 10).await, denied("InvalidToken"), "{id}");
    }
}
