//! The questions that are answered as soon as they are read, without tonic, if they have a verdict at once.
//!
//! `service` answers the same questions, and those that have to wait or are no questions.

use api::auth::v1::{VerifySignatureRequest, VerifyStringToSignRequest};
use prost::Message;
use prost::bytes::Bytes;
use rpc::{Callers, Direct, DirectMethods, Guard};

use crate::answer::{Verdict, Written};
use crate::handle::Handle;
use crate::verifier::Question;

/// What [`crate::service`] answers by the same guard and limit.
pub(crate) fn methods(
    handle: &Handle,
    guard: &Guard<Callers>,
    message_bytes_max: usize,
) -> DirectMethods {
    let by_head = Asked::<VerifySignatureRequest>::new(handle);
    let by_string = Asked::<VerifyStringToSignRequest>::new(handle);
    let service = "claviger.auth.v1.AuthService";
    DirectMethods::default()
        .with(&format!("{service}/VerifySignature"), guard.clone(), message_bytes_max, by_head)
        .with(&format!("{service}/VerifyStringToSign"), guard.clone(), message_bytes_max, by_string)
}

/// Questions of one type.
struct Asked<Q> {
    handle: Handle,
    decode: fn(Bytes) -> Result<Q, prost::DecodeError>,
}

impl<Q: Message + Default> Asked<Q> {
    fn new(handle: &Handle) -> Self {
        Self { handle: handle.clone(), decode: Q::decode }
    }
}

impl<Q: Question<Verdict<Written>> + 'static> Direct for Asked<Q> {
    fn answer(&self, message: Bytes) -> Option<Bytes> {
        let question = (self.decode)(message).ok()?;
        let reached = self.handle.verifier.look(&question).ok()?;
        self.handle.metrics.count_verdict(&reached.answer);
        reached.framed()
    }
}

#[cfg(test)]
mod tests {
    use api::auth::v1::VerifySignatureResponse;
    use futures::FutureExt;

    use super::*;
    use crate::verifier::tests::{handle, question};

    /// Asks directly, and then as gRPC does: the same answer, and counted once, or no direct one.
    fn check(question: &VerifySignatureRequest, is_direct: bool) {
        let handle = handle();
        let asked = Asked::<VerifySignatureRequest>::new(&handle);
        let answered = asked.answer(question.encode_to_vec().into());
        assert_eq!(answered.is_some(), is_direct, "{question:?}");
        assert_eq!(handle.metrics.counted(), u64::from(is_direct), "{question:?}");
        let Some(answered) = answered else { return };
        let answered = VerifySignatureResponse::decode(answered.slice(5..)).expect("decodes");
        let expected = handle.verify_signature(question).now_or_never().expect("does not wait");
        let expected = expected.expect("is a verdict");
        // The clock goes on between the two.
        let staleness_ms = answered.staleness_ms;
        assert_eq!(answered, VerifySignatureResponse { staleness_ms, ..expected });
    }

    #[tokio::test]
    async fn a_verdict_is_an_answer_and_all_else_is_left_to_the_service() {
        check(&question(0), true);
        check(&question(10), true);
        check(&question(11), false);
        check(&VerifySignatureRequest { region: String::new(), ..question(10) }, false);
        check(&VerifySignatureRequest { request: None, ..question(10) }, false);
        check(&VerifySignatureRequest::default(), false);
    }

    #[tokio::test]
    async fn what_does_not_decode_is_left_to_the_service() {
        let handle = handle();
        let asked = Asked::<VerifySignatureRequest>::new(&handle);
        for bytes in [&b"\xff"[..], b"\x0a\x05abc"] {
            assert_eq!(asked.answer(bytes.into()), None);
        }
        assert_eq!(handle.metrics.counted(), 0);
    }
}
