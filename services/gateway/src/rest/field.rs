//! Messages out of JSON, field by field, so that each mistake is told where it is.
//!
//! What the JSON of a field means, prost-reflect says: the ProtoJSON format of protocol buffers.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value as Meant};
use prost_types::FieldMask;
use serde_json::{Map, Value, json};

/// The most items of one list.
const ITEMS_MAX: usize = 1000;
/// The longest name of a field that is told back.
const NAME_BYTES_MAX: usize = 64;
/// From here on a double is not exact.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// What is wrong with a field.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Violation {
    /// Such as `user.tags[3].key`.
    pub(crate) field: String,
    /// Never what the field says.
    pub(crate) description: String,
}

impl Violation {
    pub(crate) fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self { field: field.into(), description: description.into() }
    }
}

/// Reads a message. `at` is where it stands; empty for the whole.
///
/// # Errors
/// The first field that is unknown, twice there, or not of its type.
pub(crate) fn read(
    message: &MessageDescriptor,
    value: &Value,
    at: &str,
) -> Result<DynamicMessage, Violation> {
    let object = value.as_object().ok_or_else(|| Violation::new(at, "must be an object"))?;
    let mut read = DynamicMessage::new(message.clone());
    let mut seen = vec![];
    for (name, value) in object {
        let field = named(message, name).ok_or_else(|| unknown(at, name))?;
        let at = join(at, field.json_name());
        // Under both its names.
        if seen.contains(&field.number()) {
            return Err(Violation::new(at, "is there twice"));
        }
        seen.push(field.number());
        if value.is_null() {
            continue;
        }
        let meant =
            if field.is_list() { list(&field, value, &at)? } else { one(&field, value, &at)? };
        let oneof = field.containing_oneof();
        if oneof.is_some_and(|oneof| oneof.fields().any(|other| read.has_field(&other))) {
            return Err(Violation::new(at, "excludes another field that is there"));
        }
        read.set_field(&field, meant);
    }
    Ok(read)
}

/// The field of this name, in lower camel case or as the contracts spell it.
pub(crate) fn named(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    message.get_field_by_json_name(name).or_else(|| message.get_field_by_name(name))
}

/// The message that a field is, unless it is one that JSON has in one word, such as a time.
pub(crate) fn nested(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    let Kind::Message(message) = field.kind() else { return None };
    (message.package_name() != "google.protobuf").then_some(message)
}

pub(crate) fn unknown(at: &str, name: &str) -> Violation {
    let end = name.char_indices().map(|(start, _)| start).find(|start| *start >= NAME_BYTES_MAX);
    Violation::new(join(at, &name[..end.unwrap_or(name.len())]), "is not known")
}

pub(crate) fn join(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

fn list(field: &FieldDescriptor, value: &Value, at: &str) -> Result<Meant, Violation> {
    let items = value.as_array().ok_or_else(|| Violation::new(at, "must be an array"))?;
    if items.len() > ITEMS_MAX {
        return Err(Violation::new(at, format!("must have at most {ITEMS_MAX} items")));
    }
    let items = items.iter().enumerate();
    let items = items.map(|(n, item)| one(field, item, &format!("{at}[{n}]")));
    Ok(Meant::List(items.collect::<Result<_, _>>()?))
}

/// One value of a field: of a list, an item.
pub(crate) fn one(field: &FieldDescriptor, value: &Value, at: &str) -> Result<Meant, Violation> {
    if let Some(message) = nested(field) {
        return Ok(Meant::Message(read(&message, value, at)?));
    }
    let wrong = || Violation::new(at, expected(&field.kind()));
    if is_mask(&field.kind()) {
        let text = value.as_str().ok_or_else(wrong)?;
        return mask(&field.kind(), text).ok_or_else(wrong);
    }
    let inexact = value.as_f64().filter(|_| value.is_f64()).is_some_and(|it| it.abs() >= EXACT_MAX);
    if inexact || value.is_null() {
        return Err(wrong());
    }
    // prost-reflect reads whole messages: here one that has this field only. What it says of a mistake
    // repeats the value, and is not told.
    let value = if field.is_list() { json!([value]) } else { value.clone() };
    let object = Value::Object(Map::from_iter([(field.json_name().to_owned(), value)]));
    let message = DynamicMessage::deserialize(field.parent_message().clone(), object);
    let meant = message.map_err(|_| wrong())?.get_field(field).into_owned();
    if let Meant::List(items) = meant {
        return items.into_iter().next().ok_or_else(wrong);
    }
    Ok(meant)
}

/// One value of a field out of a query, where all is text.
pub(crate) fn of_text(field: &FieldDescriptor, text: &str, at: &str) -> Result<Meant, Violation> {
    let value = match (field.kind(), text) {
        (Kind::Bool, "true") => Value::Bool(true),
        (Kind::Bool, "false") => Value::Bool(false),
        (_, text) => Value::String(text.to_owned()),
    };
    one(field, &value, at)
}

fn is_mask(kind: &Kind) -> bool {
    kind.as_message().is_some_and(|message| message.full_name() == "google.protobuf.FieldMask")
}

/// A mask with these paths.
pub(crate) fn mask_of(kind: &Kind, paths: Vec<String>) -> Option<Meant> {
    let mut mask = DynamicMessage::new(kind.as_message()?.clone());
    mask.transcode_from(&FieldMask { paths }).ok()?;
    Some(Meant::Message(mask))
}

/// `label,displayName`, or as the contracts spell it.
fn mask(kind: &Kind, text: &str) -> Option<Meant> {
    let valid = |c: char| c.is_ascii_alphanumeric() || ['_', '.'].contains(&c);
    let path = |path: &str| {
        let mut snake = String::new();
        for c in path.chars() {
            if c.is_ascii_uppercase() {
                snake.push('_');
            }
            snake.push(c.to_ascii_lowercase());
        }
        (!path.is_empty() && path.chars().all(valid)).then_some(snake)
    };
    let paths = text.split(',').take(ITEMS_MAX).map(path).collect::<Option<Vec<String>>>()?;
    mask_of(kind, paths)
}

/// What a field must be.
fn expected(kind: &Kind) -> String {
    let whole = |low: &str, high: &str| format!("must be a whole number from {low} to {high}");
    match kind {
        Kind::Double | Kind::Float => "must be a number".to_owned(),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => whole("-2147483648", "2147483647"),
        Kind::Uint32 | Kind::Fixed32 => whole("0", "4294967295"),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            whole("-9223372036854775808", "9223372036854775807")
        }
        Kind::Uint64 | Kind::Fixed64 => whole("0", "18446744073709551615"),
        Kind::Bool => "must be true or false".to_owned(),
        Kind::String => "must be text".to_owned(),
        Kind::Bytes => "must be base64".to_owned(),
        Kind::Enum(kind) => {
            let names: Vec<_> = kind.values().map(|value| value.name().to_owned()).collect();
            format!("must be one of {}", names.join(", "))
        }
        Kind::Message(message) => match message.full_name() {
            "google.protobuf.Timestamp" => "must be a time such as 2030-01-31T12:00:00Z".to_owned(),
            "google.protobuf.FieldMask" => "must be names of fields between commas".to_owned(),
            name => format!("must be a {name}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use prost_reflect::DescriptorPool;

    use super::*;

    fn message(name: &str) -> MessageDescriptor {
        let pool = DescriptorPool::decode(api::FILE_DESCRIPTOR_SET).expect("ours");
        pool.get_message_by_name(&format!("claviger.identity.v1.{name}")).expect("there")
    }

    fn check(name: &str, value: Value, expected: Value) {
        let read = read(&message(name), &value, "").expect("is read");
        assert_eq!(serde_json::to_value(read).expect("JSON"), expected, "{value}");
    }

    fn check_refused(name: &str, value: Value, field: &str, description: &str) {
        let refused = read(&message(name), &value, "").expect_err("refused");
        assert_eq!((refused.field.as_str(), refused.description.as_str()), (field, description));
    }

    #[test]
    fn fields_are_read_by_either_name() {
        check("User", json!({}), json!({}));
        check("User", json!({"userName": "a", "label": null}), json!({"userName": "a"}));
        check("User", json!({"user_name": "a"}), json!({"userName": "a"}));
        let tags = json!([{"key": "a", "value": "b"}, {}]);
        check("User", json!({"tags": tags}), json!({"tags": tags}));
        check("User", json!({"state": "USER_STATE_LOCKED"}), json!({"state": "USER_STATE_LOCKED"}));
        check("User", json!({"state": 2}), json!({"state": "USER_STATE_LOCKED"}));
        let time = "2030-01-31T12:00:00+02:00";
        check(
            "AccessKey",
            json!({"expireTime": time}),
            json!({"expireTime": "2030-01-31T10:00:00Z"}),
        );
        for position in [json!(7), json!("7"), json!(7.0)] {
            check("GetUserRequest", json!({"minPosition": position}), json!({"minPosition": "7"}));
        }
        check("Checkpoint", json!({"hash": "-_8"}), json!({"hash": "+/8="}));
        let masks = ["label,displayName", "label,display_name"];
        for mask in masks {
            let expected = json!({"updateMask": masks[0]});
            check("UpdateUserRequest", json!({"updateMask": mask}), expected);
        }
        check("LockUserResponse", json!({"user": {"label": "é"}}), json!({"user": {"label": "é"}}));
    }

    #[test]
    fn what_is_wrong_is_told_where_it_is_and_without_its_words() {
        check_refused("User", json!([]), "", "must be an object");
        check_refused("User", json!({"nope": 1}), "nope", "is not known");
        check_refused(
            "User",
            json!({"userName": "a", "user_name": "b"}),
            "userName",
            "is there twice",
        );
        check_refused("User", json!({"label": 5}), "label", "must be text");
        check_refused("User", json!({"root": "true"}), "root", "must be true or false");
        check_refused("User", json!({"tags": {}}), "tags", "must be an array");
        check_refused("User", json!({"tags": [{}, {"kee": ""}]}), "tags[1].kee", "is not known");
        check_refused("User", json!({"tags": [null]}), "tags[0]", "must be an object");
        check_refused(
            "User",
            json!({"tags": vec![json!({}); 1001]}),
            "tags",
            "must have at most 1000 items",
        );
        check_refused("ListEventsRequest", json!({"kinds": ["a", 1]}), "kinds[1]", "must be text");
        let states = "must be one of USER_STATE_UNSPECIFIED, USER_STATE_ACTIVE, USER_STATE_LOCKED";
        check_refused("User", json!({"state": "LOCKED"}), "state", states);
        let whole = "must be a whole number from 0 to 18446744073709551615";
        for position in [json!(-1), json!("x"), json!(1.5), json!(1.8446744073709552e19), json!({})]
        {
            check_refused("GetUserRequest", json!({"minPosition": position}), "minPosition", whole);
        }
        let time = "must be a time such as 2030-01-31T12:00:00Z";
        for bad in [json!(5), json!("2030-01-31"), json!("")] {
            check_refused("AccessKey", json!({"expireTime": bad}), "expireTime", time);
        }
        check_refused("Checkpoint", json!({"hash": "§"}), "hash", "must be base64");
        let mask = "must be names of fields between commas";
        for bad in [json!("a,,b"), json!("a b"), json!(["a"]), json!("")] {
            check_refused("UpdateUserRequest", json!({"updateMask": bad}), "updateMask", mask);
        }
        let long = "é".repeat(100);
        let told = read(&message("User"), &json!({ long: 1 }), "").expect_err("refused").field;
        assert_eq!(told, "é".repeat(32));
    }
}
