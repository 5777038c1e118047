//! A verdict as it is sent, without the message in between, each of whose texts would be an allocation. Whoever
//! reads it finds the message.

use api::auth::v1::Verified;
use prost::Message;
use prost::bytes::Bytes;
use prost::encoding::{WireType, encode_key, encode_varint};
use read_model::Profile;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::{Facts, Reached, Tell, Verdict};

/// Room for what stands before the fields: gRPC's prefix of 5 bytes, and tag and length of the verdict.
const ROOM_BYTES: usize = 16;
/// Most answers take no more.
const USUAL_BYTES: usize = 768;

/// The fields of a [`Verified`], after some room.
pub(crate) struct Written(Fields);

impl From<Verified> for Written {
    fn from(verified: Verified) -> Self {
        Self(Fields::of(&verified))
    }
}

impl Tell for Written {
    fn tell(facts: &Facts<'_>) -> Self {
        let mut fields = Fields::with_room();
        fields.message(1, |principal| write_principal(facts.profile, principal));
        fields.text(2, facts.access_key_id);
        fields.number(3, facts.secret_generation.into());
        fields.message(4, |scope| {
            scope.text(1, facts.scope.date().as_str());
            scope.text(2, facts.scope.region());
            scope.text(3, facts.scope.service());
        });
        facts.signed_headers().for_each(|name| fields.bytes(5, name.as_bytes()));
        let (payload_mode, payload_sha256) = facts.payload();
        fields.number(6, payload_mode as u64);
        if let Some(hash) = payload_sha256 {
            fields.bytes(7, &hash);
        }
        fields.number(8, facts.presigned.into());
        if let Some(hex) = facts.signature_hex() {
            fields.bytes(9, &hex);
        }
        // Those before 1970 are numbers of ten bytes, as in Protocol Buffers any negative is.
        fields.message(10, |time| time.number(1, facts.timestamp.unix_seconds() as u64));
        fields.text(11, facts.host_candidate);
        fields.number(14, facts.algorithm() as u64);
        Self(fields)
    }
}

fn write_principal(profile: &Profile, fields: &mut Fields) {
    let Profile { account_id, user_id, account_number, user_name, root } = profile;
    let mut buffer = [0; Hyphenated::LENGTH];
    fields.text(1, Uuid::from_bytes(*account_id).hyphenated().encode_lower(&mut buffer));
    fields.text(2, account_number);
    fields.text(3, Uuid::from_bytes(*user_id).hyphenated().encode_lower(&mut buffer));
    fields.text(4, user_name);
    fields.number(5, (*root).into());
    let arn = super::arn(account_number, user_name, *root);
    fields.pieces(6, &arn);
}

impl Reached<Verdict<Written>> {
    /// The answer to VerifySignature or VerifyStringToSign, which are the same, after gRPC's prefix.
    pub(crate) fn framed(self) -> Option<Bytes> {
        let Self { answer, position, staleness_ms } = self;
        let (tag, mut fields) = match answer {
            Verdict::Verified(Written(fields)) => (1, fields),
            Verdict::Denied(denied) => (2, Fields::of(&denied)),
        };
        let mut begin = Vec::with_capacity(ROOM_BYTES);
        encode_key(tag, WireType::LengthDelimited, &mut begin);
        encode_varint((fields.0.len() - ROOM_BYTES) as u64, &mut begin);
        let start = ROOM_BYTES - begin.len();
        fields.0[start..ROOM_BYTES].copy_from_slice(&begin);
        fields.number(3, position);
        fields.number(4, staleness_ms);
        rpc::framed(fields.0, start)
    }
}

/// Fields of a message in the wire format of Protocol Buffers, after some room. As in every message, numbers
/// that are 0 and texts that are empty are not written.
struct Fields(Vec<u8>);

impl Fields {
    fn with_room() -> Self {
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        bytes.resize(ROOM_BYTES, 0);
        Self(bytes)
    }

    fn of(message: &impl Message) -> Self {
        let mut fields = Self::with_room();
        message.encode_raw(&mut fields.0);
        fields
    }

    fn number(&mut self, tag: u32, number: u64) {
        if number != 0 {
            encode_key(tag, WireType::Varint, &mut self.0);
            encode_varint(number, &mut self.0);
        }
    }

    fn text(&mut self, tag: u32, text: &str) {
        if !text.is_empty() {
            self.bytes(tag, text.as_bytes());
        }
    }

    fn bytes(&mut self, tag: u32, bytes: &[u8]) {
        encode_key(tag, WireType::LengthDelimited, &mut self.0);
        encode_varint(bytes.len() as u64, &mut self.0);
        self.0.extend_from_slice(bytes);
    }

    /// One text of several pieces.
    fn pieces(&mut self, tag: u32, pieces: &[&str]) {
        encode_key(tag, WireType::LengthDelimited, &mut self.0);
        encode_varint(pieces.iter().map(|piece| piece.len() as u64).sum(), &mut self.0);
        pieces.iter().for_each(|piece| self.0.extend_from_slice(piece.as_bytes()));
    }

    /// A message within, whose length is known once it is written.
    fn message(&mut self, tag: u32, write: impl FnOnce(&mut Self)) {
        encode_key(tag, WireType::LengthDelimited, &mut self.0);
        let start = self.0.len();
        self.0.push(0);
        write(self);
        let length = self.0.len() - start - 1;
        match u8::try_from(length) {
            Ok(short @ ..0x80) => self.0[start] = short,
            _ => {
                let mut varint = vec![];
                encode_varint(length as u64, &mut varint);
                self.0.splice(start..=start, varint);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use api::auth::v1::VerifySignatureResponse;
    use proptest::prelude::*;
    use sigv4::{Date, Expected, Head, Scope, Signature, Timestamp, authenticate};

    use super::*;
    use crate::answer::{denied, signature};

    /// 2013-05-24T00:00:00Z.
    const NOW: i64 = 1_369_353_600;
    const BEGIN: &str = "GET /a HTTP/1.1\r\nHost: h\r\nx-amz-date: 20130524T000000Z\r\n";
    const SIGNED: &str =
        "SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=0123456789abcdef";

    fn heads() -> Vec<String> {
        let header = |mode: &str| {
            format!(
                "{BEGIN}x-amz-content-sha256: {mode}\r\nAuthorization: AWS4-HMAC-SHA256 \
                 Credential=AKIAIOSFODNN7EXAMPLE/20130524/r/s3/aws4_request,{SIGNED}\r\n\r\n"
            )
        };
        let sigv4a = format!(
            "{BEGIN}x-amz-content-sha256: UNSIGNED-PAYLOAD\r\nx-amz-region-set: *\r\n\
             Authorization: AWS4-ECDSA-P256-SHA256 Credential=A/20130524/s3/aws4_request,\
             SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-region-set,Signature=30\r\n\r\n"
        );
        let presigned = "GET /a?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%2F20130524%2Fr%2Fs3%2F\
            aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=9&X-Amz-SignedHeaders=host\
            &X-Amz-Signature=00 HTTP/1.1\r\nHost: h\r\n\r\n";
        let modes = [
            "UNSIGNED-PAYLOAD",
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ];
        modes.into_iter().map(header).chain([sigv4a, presigned.to_owned()]).collect()
    }

    fn profile() -> impl Strategy<Value = Profile> {
        let ids = (any::<[u8; 16]>(), any::<[u8; 16]>());
        (ids, "[0-9]{0,12}", "\\PC{0,64}|[a-z]{100,300}", any::<bool>()).prop_map(
            |((user_id, account_id), account_number, user_name, root)| Profile {
                user_id,
                account_id,
                account_number,
                user_name,
                root,
            },
        )
    }

    fn check(facts: &Facts<'_>, position: u64, staleness_ms: u64) {
        let message = Verdict::Verified(Verified::tell(facts));
        let message = signature(Reached { answer: message, position, staleness_ms });
        let verdict =
            |written| Reached { answer: Verdict::Verified(written), position, staleness_ms };
        let Some(api::auth::v1::verify_signature_response::Verdict::Verified(verified)) =
            message.verdict.clone()
        else {
            panic!("it was verified")
        };
        for written in [Written::tell(facts), Written::from(verified)] {
            is_framed(verdict(written), &message);
        }
    }

    /// Byte for byte.
    fn is_framed(written: Reached<Verdict<Written>>, message: &VerifySignatureResponse) {
        let framed = written.framed().expect("is short");
        let expected = message.encode_to_vec();
        let length = u32::try_from(expected.len()).expect("is short").to_be_bytes();
        assert_eq!(framed, [&[0], &length[..], &expected].concat(), "{message:?}");
        assert_eq!(&VerifySignatureResponse::decode(framed.slice(5..)).expect("decodes"), message);
    }

    proptest! {
        #[test]
        fn what_is_written_is_the_message(
            profile in profile(),
            generation: u32,
            host in "[a-z.]{0,255}",
            position: u64,
            staleness_ms: u64,
        ) {
            for head in heads() {
                let head = Head::parse(head.as_bytes()).expect("is a head");
                let expected = Expected { accepts_sigv4a: true, ..Expected::s3("r", NOW) };
                let request = authenticate(&head, &expected).expect("is complete");
                check(&Facts::of(&request, &profile, generation, &host), position, staleness_ms);
            }
        }

        #[test]
        fn what_is_written_of_a_string_to_sign_is_the_message(
            profile in profile(),
            seconds in -99_999_999_999_i64..99_999_999_999,
            access_key_id in "[A-Z]{1,128}",
            presigned: bool,
        ) {
            let scope = Scope::new(Date::from_unix_seconds(seconds), "r", "s3").expect("is one");
            check(&Facts {
                profile: &profile,
                access_key_id: &access_key_id,
                secret_generation: 0,
                scope: &scope,
                request: None,
                presigned,
                signature: Some(Signature::from_hex(b"no hexadecimal")),
                timestamp: Timestamp::from_unix_seconds(seconds),
                host_candidate: "",
            }, 0, 0);
        }
    }

    #[test]
    fn a_refusal_is_written_as_the_message() {
        let long = "x".repeat(70_000);
        for denial in [sigv4::Denial::slow_down(), sigv4::Denial::invalid_access_key_id(&long)] {
            let (position, staleness_ms, told) = (7, 0, denied(denial));
            let message = Verdict::Denied(told.clone());
            let message = signature(Reached { answer: message, position, staleness_ms });
            is_framed(Reached { answer: Verdict::Denied(told), position, staleness_ms }, &message);
        }
    }
}
