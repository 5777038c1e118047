//! What identity answers, as JSON.

use bytes::Bytes;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, SerializeOptions};

use super::contract::is_secret;
use super::problem::Problem;

/// A message as ProtoJSON. Fields that have nothing are there too, so that answers have one shape; those that
/// may be absent are absent.
///
/// # Errors
/// 500 if it is no such message.
pub(crate) fn json(message: &MessageDescriptor, bytes: Bytes) -> Result<Vec<u8>, Problem> {
    let decoded = DynamicMessage::decode(message.clone(), bytes);
    // A secret may be in it: what is wrong with it is not told.
    let decoded = decoded.map_err(|_| {
        tracing::error!(message = message.full_name(), "identity's answer cannot be read");
        Problem::internal()
    })?;
    let options = SerializeOptions::new().skip_default_fields(false);
    let rendered = decoded.serialize_with_options(serde_json::value::Serializer, &options);
    let mut rendered = rendered.map_err(|_| Problem::internal())?;
    if let Some(object) = rendered.as_object_mut() {
        // Where nothing secret was made, no empty secret is shown.
        for field in message.fields().filter(|it| is_secret(it) && !decoded.has_field(it)) {
            object.remove(field.json_name());
        }
    }
    serde_json::to_vec(&rendered).map_err(|_| Problem::internal())
}

/// The etag of the resource that an answer is about; none if it is about several, or none.
pub(crate) fn etag(message: &MessageDescriptor, bytes: &Bytes) -> Option<String> {
    let decoded = DynamicMessage::decode(message.clone(), bytes.clone()).ok()?;
    let mut resources = message.fields().filter(|field| {
        let Kind::Message(resource) = field.kind() else { return false };
        let has_etag = resource.get_field_by_name("etag").is_some();
        has_etag && !field.is_list() && decoded.has_field(field)
    });
    let (resource, other) = (resources.next()?, resources.next());
    if other.is_some() {
        return None;
    }
    let resource = decoded.get_field(&resource);
    let etag = resource.as_message()?.get_field_by_name("etag")?.as_str()?.to_owned();
    (!etag.is_empty()).then_some(etag)
}
