//! What proxies, or clients in their name, say of a request.

use crate::server::{GET, sign};
use crate::{and, check_accepted};

#[test]
fn forwarding_headers_change_nothing() {
    let raw = sign(GET);
    for header in [
        "X-Forwarded-Host: evil",
        "X-Original-URL: /other",
        "X-Forwarded-Prefix: /p",
        "Forwarded: host=evil",
    ] {
        check_accepted(&and(&raw, header));
    }
}
