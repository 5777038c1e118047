//! Anybody can name keys that nobody has, as many as he likes.

use api::auth::v1::BatchVerifySignaturesRequest;
use api::auth::v1::verification_result::Result as Told;
use api::auth::v1::verify_signature_response::Verdict;

use crate::auth;
use crate::harness::*;

#[tokio::test]
async fn thousands_of_unknown_keys_are_refused_and_identity_hears_of_none() {
    let auth = auth().await;
    let mut client = auth.client(SERVICE_TOKEN);
    let (now, older) =
        (signed("AKIA00000000", SECRET), presigned("AKIA00000000", SECRET, NOW_MS - 5 * DAY_MS));
    for batch in 0..16 {
        let requests = (0..256).map(|n| {
            let id = format!("AKIA{:08}", batch * 256 + n);
            let head = if n % 2 == 0 { &now } else { &older };
            raw(&head.replace("AKIA00000000", &id), 10)
        });
        let request = BatchVerifySignaturesRequest { requests: requests.collect() };
        let results = client.batch_verify_signatures(request).await.expect("is answered");
        for result in results.into_inner().results {
            let Some(Told::Response(response)) = result.result else { panic!("{result:?}") };
            assert_eq!(response.position, 10);
            let Some(Verdict::Denied(denied)) = response.verdict else { panic!("is verified") };
            assert_eq!(denied.code, "InvalidAccessKeyId");
        }
    }
    assert_eq!(auth.identity.derived(), 0, "no date keys were asked for");
    // Reports go out each second: one of the key that there is comes, and no other with it.
    assert_eq!(auth.ask(&signed(ID, SECRET), 10).await, Ok(1));
    let used = auth.identity.uses(1).await;
    assert!(used.iter().all(|used| used.access_key_id == ID), "{used:?}");
}
