//! Messages as JSON Schema.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;
use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::super::comments;
use super::super::contract::{Body, Contract, Rpc, is_secret};
use super::super::field::nested;
use super::response;

/// The schemas that are referred to.
pub(crate) struct Schemas {
    /// What has been described, by the name of the schema.
    described: BTreeMap<String, Value>,
    /// The messages that come in requests, by their full names: nothing unknown may be in them.
    requested: BTreeSet<String>,
}

impl Schemas {
    /// None yet, but for the problem.
    ///
    /// # Errors
    /// If two messages have the same name, in packages of their own.
    pub(crate) fn of(contract: &Contract) -> anyhow::Result<Self> {
        let mut reached = BTreeSet::new();
        let mut requested = BTreeSet::new();
        for rpc in &contract.rpcs {
            if !matches!(rpc.body, Body::Nothing) {
                reach(&rpc.request, &mut requested);
            }
            reach(&rpc.request, &mut reached);
            reach(&rpc.response, &mut reached);
        }
        let mut names = BTreeSet::from(["Problem"]);
        for message in &reached {
            let name = message.rsplit('.').next().unwrap_or_default();
            ensure!(names.insert(name), "{name} is the name of two messages");
        }
        let described = BTreeMap::from([("Problem".to_owned(), response::problem())]);
        Ok(Self { described, requested })
    }

    pub(crate) fn finish(self) -> BTreeMap<String, Value> {
        self.described
    }

    /// A reference to the schema of a message.
    pub(crate) fn reference(&mut self, message: &MessageDescriptor) -> Value {
        let name = message.name().to_owned();
        if !self.described.contains_key(&name) {
            // So that a message within itself ends here.
            self.described.insert(name.clone(), Value::Null);
            let is_requested = self.requested.contains(message.full_name());
            let schema = self.object(message, |_| true, is_requested);
            self.described.insert(name.clone(), schema);
        }
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    /// The body of an RPC that says everything that the path does not.
    pub(crate) fn body_of(&mut self, rpc: &Rpc) -> Value {
        let name = format!("{}Body", rpc.method.name());
        let bound: Vec<String> = rpc.template.fields().map(str::to_owned).collect();
        let in_body = |field: &FieldDescriptor| !bound.iter().any(|path| path == field.name());
        let schema = self.object(&rpc.request, in_body, true);
        self.described.insert(name.clone(), schema);
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    fn object(
        &mut self,
        message: &MessageDescriptor,
        includes: impl Fn(&FieldDescriptor) -> bool,
        is_requested: bool,
    ) -> Value {
        let mut properties = Map::new();
        let mut required = vec![];
        for field in message.fields().filter(includes) {
            if !is_requested && !field.supports_presence() && !is_secret(&field) {
                required.push(field.json_name().to_owned());
            }
            properties.insert(field.json_name().to_owned(), self.field(&field));
        }
        let mut schema = json!({
            "type": "object",
            "description": comments::of_message(message),
            "properties": properties,
        });
        if is_requested {
            schema["additionalProperties"] = json!(false);
        }
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        schema
    }

    /// The schema of one field.
    pub(crate) fn field(&mut self, field: &FieldDescriptor) -> Value {
        let one = self.kind(&field.kind());
        let mut schema = match field.is_list() {
            true => json!({ "type": "array", "items": one, "maxItems": 1000 }),
            false => one,
        };
        let description = comments::of_field(field);
        if ["Set by the server.", "Output only."].iter().any(|it| description.ends_with(it)) {
            schema["readOnly"] = json!(true);
        }
        if is_secret(field) {
            schema["format"] = json!("password");
        }
        // In a change, to clear it.
        let is_optional = field.field_descriptor_proto().proto3_optional();
        if is_optional && let Some(name) = schema["type"].as_str().map(str::to_owned) {
            schema["type"] = json!([name, "null"]);
        }
        schema["description"] = json!(description);
        schema
    }

    /// The schema of a field as a parameter, which cannot be null.
    pub(crate) fn of_parameter(&self, mut schema: Value) -> Value {
        if let Some(name) = schema["type"].as_array().and_then(|it| it.first()).cloned() {
            schema["type"] = name;
        }
        schema
    }

    fn kind(&mut self, kind: &Kind) -> Value {
        let whole = |low: i64, high: i64, format: &str| json!({ "type": "integer", "format": format, "minimum": low, "maximum": high });
        match kind {
            Kind::Double | Kind::Float => json!({ "type": "number" }),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                whole(i32::MIN.into(), i32::MAX.into(), "int32")
            }
            Kind::Uint32 | Kind::Fixed32 => whole(0, u32::MAX.into(), "uint32"),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
                json!({ "type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$" })
            }
            Kind::Uint64 | Kind::Fixed64 => {
                json!({ "type": "string", "format": "uint64", "pattern": "^[0-9]{1,20}$" })
            }
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::String => json!({ "type": "string" }),
            Kind::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
            Kind::Enum(kind) => self.reference_to_enum(kind),
            Kind::Message(message) => match message.full_name() {
                "google.protobuf.Timestamp" => json!({ "type": "string", "format": "date-time" }),
                "google.protobuf.FieldMask" => json!({ "type": "string" }),
                _ => self.reference(message),
            },
        }
    }

    fn reference_to_enum(&mut self, kind: &EnumDescriptor) -> Value {
        let mut description = comments::of_enum(kind);
        for value in kind.values() {
            description.push_str(&format!(
                "\n\n`{}`: {}",
                value.name(),
                comments::of_value(&value)
            ));
        }
        let names: Vec<_> = kind.values().map(|value| value.name().to_owned()).collect();
        let schema = json!({ "type": "string", "description": description, "enum": names });
        self.described.insert(kind.name().to_owned(), schema);
        json!({ "$ref": format!("#/components/schemas/{}", kind.name()) })
    }
}

/// Adds the full names of a message and of all within it.
fn reach(message: &MessageDescriptor, reached: &mut BTreeSet<String>) {
    if reached.insert(message.full_name().to_owned()) {
        message.fields().filter_map(|field| nested(&field)).for_each(|it| reach(&it, reached));
    }
}
