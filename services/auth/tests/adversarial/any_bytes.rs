//! Any bytes on any call: they are refused, or answered, and nothing breaks.

use http::uri::PathAndQuery;
use proptest::prelude::*;
use prost::bytes::{Buf, BufMut, Bytes};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Status};

use crate::auth;
use crate::callers::CALLS;
use crate::harness::*;

/// Messages as they are.
#[derive(Clone, Copy)]
pub(crate) struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// Makes a call with these bytes for its message: all that is answered.
pub(crate) async fn send(
    channel: rpc::Channel,
    call: &str,
    message: &[u8],
) -> Result<Vec<Bytes>, Status> {
    let mut client = Grpc::new(channel);
    client.ready().await.map_err(Status::from_error)?;
    let path = PathAndQuery::try_from(format!("/{call}"));
    let messages = futures::stream::iter([Bytes::copy_from_slice(message)]);
    let request = tonic::Request::new(messages);
    let mut answers = client.streaming(request, path.expect("is a path"), Raw).await?.into_inner();
    let mut all = vec![];
    while let Some(answer) = answers.message().await? {
        all.push(answer);
    }
    Ok(all)
}

/// A message in the wire format, of whatever fields, some of them messages.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let texts = prop_oneof![
        Just(signed(ID, SECRET).into_bytes()),
        Just(b"AWS4-HMAC-SHA256\n20260301T120000Z\n20260301/us-east-1/s3/aws4_request\n".to_vec()),
        Just(REGION.as_bytes().to_vec()),
        Just(ID.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..80),
        "\\PC{0,40}".prop_map(String::into_bytes),
    ];
    let bytes = texts.prop_recursive(3, 24, 4, |inner| {
        prop::collection::vec((1..12_u32, inner, any::<u64>(), any::<bool>()), 0..5)
            .prop_map(|fields| fields.into_iter().flat_map(field).collect())
    });
    prop_oneof![
        4 => prop::collection::vec((1..12_u32, bytes, any::<u64>(), any::<bool>()), 0..6)
            .prop_map(|fields| fields.into_iter().flat_map(field).collect::<Vec<u8>>()),
        1 => prop::collection::vec(any::<u8>(), 0..300),
    ]
}

/// A field, of bytes or of a number.
fn field((tag, bytes, number, is_number): (u32, Vec<u8>, u64, bool)) -> Vec<u8> {
    let mut field = vec![];
    if is_number && bytes.len().is_multiple_of(3) {
        prost::encoding::uint64::encode(tag, &number, &mut field);
    } else {
        prost::encoding::bytes::encode(tag, &bytes, &mut field);
    }
    field
}

#[test]
fn whatever_is_sent_to_whichever_call_is_answered_or_refused() {
    let runtime = tokio::runtime::Runtime::new().expect("starts");
    let auth = runtime.block_on(auth());
    let channel = |token: &str| {
        let token = rpc::Token::parse(token).expect("is one");
        rpc::channel(&auth.uri, &token).expect("is a URI")
    };
    let (service, operator) =
        runtime.block_on(async { (channel(SERVICE_TOKEN), channel(ADMIN_TOKEN)) });
    let config = ProptestConfig::with_cases(600);
    proptest!(config, |(call in 0..CALLS.len(), message in message())| {
        let (call, by_service, _) = CALLS[call];
        let channel = if by_service { service.clone() } else { operator.clone() };
        if let Err(status) = runtime.block_on(send(channel, call, &message)) {
            let refused = matches!(status.code(), Code::InvalidArgument | Code::Unavailable);
            prop_assert!(refused, "{call}: {status}");
        }
    });
    assert_eq!(runtime.block_on(auth.ask(&signed(ID, SECRET), 10)), Ok(1), "it goes on");
}
