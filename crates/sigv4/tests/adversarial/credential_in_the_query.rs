//! A credential in the query beside a body that says that it is not signed.

use crate::{MISSING, check_query};

#[test]
fn a_credential_in_the_query_does_not_open_the_door_for_an_unsigned_body() {
    // CVE-2026-41145 in MinIO: the signature was not asked for in this combination.
    let raw = "PUT /b/k?X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request \
               HTTP/1.1\r\nHost: h\r\nx-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\n\r\n";
    check_query(raw, MISSING);
}
