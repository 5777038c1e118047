//! Several secrets of one key, each tried on the same request.

use sigv4::{DateKey, Expected, Head, SigningKey, authenticate};

use crate::server::{GET, NOW, SECRET, sign};

#[test]
fn a_request_fits_the_secret_that_signed_it_among_several_and_no_other() {
    let raw = sign(GET);
    let head = Head::parse(raw.as_bytes()).unwrap();
    let request = authenticate(&head, &Expected::s3("us-east-1", NOW)).unwrap();
    let string_to_sign = request.string_to_sign();
    let keys = ["the next one", SECRET, "the one before"].map(|secret| {
        DateKey::derive(secret.as_bytes(), &request.scope().date()).signing_key_of(request.scope())
    });
    let fits = |key: &SigningKey| key.verify(&string_to_sign, request.signature());
    assert_eq!(keys.each_ref().map(fits), [false, true, false]);
    assert_eq!(keys.each_ref().map(|key| request.is_signed_by(key)), [false, true, false]);
}
