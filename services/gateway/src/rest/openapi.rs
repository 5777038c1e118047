//! The OpenAPI document: what is served, made of the same contracts as it is served by.
//!
//! Source: OpenAPI Specification 3.1.1.

mod response;
mod schema;

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Map, Value, json};

use self::schema::Schemas;
use super::bind;
use super::comments::{self, first_sentence};
use super::contract::{Body, Contract, Rpc, field_at};
use super::field;
use super::template::{Segment, Template};

const ABOUT: &str = "\
Claviger is the credential authority for S3: it keeps accounts, users and access keys. Each call here is a \
gRPC call of `claviger.identity.v1`, with ProtoJSON in and out. Fields are named in lower camel case, and \
are taken too as the descriptions name them, such as `page_size`. Whole numbers of 64 bits are text. \
Unknown fields and parameters are refused. A change (PATCH) without `updateMask` changes what its body \
names, `name` and `etag` apart; `null` clears a field. Lists come in pages: ask again with `pageToken`. \
Answers that go on have a message a line; if they fail, the last line is `{\"error\": …}` with a problem.";

const SIGNATURE: &str = "\
AWS Signature Version 4 in the header `Authorization`, for the service `claviger` or `execute-api`, of any \
region, with an access key of a user.";

/// Makes the document.
///
/// # Errors
/// If two messages would have one name in it.
pub(crate) fn document(contract: &Contract) -> anyhow::Result<Value> {
    let mut schemas = Schemas::of(contract)?;
    let mut paths = Map::new();
    let mut tags: Vec<Value> = vec![];
    let mut ids = BTreeSet::new();
    for rpc in &contract.rpcs {
        let service = rpc.method.parent_service();
        if tags.iter().all(|tag| tag["name"] != service.name()) {
            let description = comments::of_service(service);
            tags.push(json!({ "name": service.name(), "description": description }));
        }
        let verb = rpc.verb.as_str().to_lowercase();
        let path = paths.entry(path_of(&rpc.template)).or_insert_with(|| json!({}));
        path[verb] = operation(rpc, &mut schemas, &mut ids);
    }
    tags.push(json!({ "name": "Documentation", "description": "What this is. For anybody." }));
    paths.insert("/openapi.json".to_owned(), response::documentation("application/json"));
    paths.insert("/docs".to_owned(), response::documentation("text/html; charset=utf-8"));
    Ok(json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Claviger",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "adminToken": [] }, { "password": [] }, { "signature": [] }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas.finish(),
            "responses": response::components(),
            "headers": response::headers(),
            "securitySchemes": {
                "adminToken": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An operator's admin token.",
                },
                "password": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "Login, such as `alice@123456789012`, and password of a user.",
                },
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": SIGNATURE,
                },
            },
        },
    }))
}

/// A path as OpenAPI has it: each place has the name of what it tells apart, such as `{user}`.
pub(crate) fn path_of(template: &Template) -> String {
    let mut path = String::new();
    let mut names = places(template).into_iter();
    for segment in template.segments() {
        path.push('/');
        match segment {
            Segment::Literal(literal) => path.push_str(literal),
            Segment::Any => path.push_str(&format!("{{{}}}", names.next().unwrap_or_default())),
        }
    }
    if let Some(verb) = template.verb() {
        path.push(':');
        path.push_str(verb);
    }
    path
}

/// The names of a path's places: those of the collections before them, of one.
fn places(template: &Template) -> Vec<String> {
    let segments = template.segments();
    let pairs = std::iter::once(None).chain(segments.iter().map(Some)).zip(segments);
    let name = |(before, segment): (Option<&Segment>, &Segment)| match (before, segment) {
        (_, Segment::Literal(_)) => None,
        (Some(Segment::Literal(before)), Segment::Any) => {
            Some(before.strip_suffix('s').unwrap_or(before).to_owned())
        }
        (_, Segment::Any) => Some("id".to_owned()),
    };
    pairs.filter_map(name).collect()
}

fn operation(rpc: &Rpc, schemas: &mut Schemas, ids: &mut BTreeSet<String>) -> Value {
    let comment = comments::of_method(&rpc.method);
    let mut id = rpc.method.name().to_owned();
    if !ids.insert(id.clone()) {
        // Another route of an RPC is told from the first by its verb.
        id.extend(rpc.template.verb().map(capitalised));
        ids.insert(id.clone());
    }
    let mut operation = json!({
        "operationId": id,
        "tags": [rpc.method.parent_service().name()],
        "summary": first_sentence(&comment),
        "description": comment,
        "parameters": parameters(rpc, schemas),
        "responses": response::all(rpc, schemas),
    });
    let schema = match &rpc.body {
        Body::Nothing => None,
        Body::Everything => Some(schemas.body_of(rpc)),
        Body::Field(_, message) => Some(schemas.reference(message)),
    };
    if let Some(schema) = schema {
        let mut content = json!({ "application/json": { "schema": schema } });
        if rpc.verb == Method::PATCH {
            content["application/merge-patch+json"] = content["application/json"].clone();
        }
        // None is as good as an empty one.
        operation["requestBody"] = json!({ "required": false, "content": content });
    }
    operation
}

fn capitalised(verb: &str) -> String {
    let (first, rest) = verb.split_at_checked(1).unwrap_or((verb, ""));
    first.to_uppercase() + rest
}

fn parameters(rpc: &Rpc, schemas: &mut Schemas) -> Vec<Value> {
    let bound = rpc.template.fields().filter_map(|path| field_at(&rpc.request, path));
    let about = bound.map(|field| comments::of_field(&field)).collect::<Vec<_>>().join(" ");
    let mut parameters = vec![];
    for name in places(&rpc.template) {
        parameters.push(json!({
            "name": name,
            "in": "path",
            "required": true,
            "description": format!("Part of {about}"),
            "schema": { "type": "string", "minLength": 1 },
        }));
    }
    query_parameters(rpc, &rpc.request.clone(), "", schemas, &mut parameters);
    let mut header = |name: &str, description: &str, schema: Value| {
        parameters.push(json!({
            "name": name,
            "in": "header",
            "description": description,
            "schema": schema,
        }));
    };
    if rpc.has_request_id() {
        let description = "Makes sending again safe: stands for `requestId` where there is none.";
        header("Idempotency-Key", description, json!({ "type": "string" }));
    }
    if rpc.etag().is_some() {
        let description = "Do it only if the resource's etag is this one; 412 if not.";
        let schema = json!({ "type": "string", "pattern": "^(\\*|\"[!#-~]+\")$" });
        header("If-Match", description, schema);
    }
    parameters
}

/// The parameters for the fields of a message, by name; of messages within, by their path.
fn query_parameters(
    rpc: &Rpc,
    message: &prost_reflect::MessageDescriptor,
    at: &str,
    schemas: &mut Schemas,
    parameters: &mut Vec<Value>,
) {
    for found in message.fields() {
        let name = field::join(at, found.json_name());
        if let Some(nested) = field::nested(&found).filter(|_| !found.is_list()) {
            query_parameters(rpc, &nested, &name, schemas, parameters);
        } else if bind::parameter(rpc, &name).is_some() {
            let mut schema = schemas.field(&found);
            let description =
                schema.as_object_mut().and_then(|schema| schema.remove("description"));
            parameters.push(json!({
                "name": name,
                "in": "query",
                "description": description,
                "schema": schemas.of_parameter(schema),
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document(&Contract::load().expect("ours")).expect("a document");
        fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(object) => {
                    found.extend(object.get("$ref").and_then(Value::as_str));
                    object.values().for_each(|value| references(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| references(value, found)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        let mut found = vec![];
        references(&document, &mut found);
        assert!(found.len() > 100, "{}", found.len());
        for reference in found {
            let pointer = reference.strip_prefix('#').expect("is within");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn an_operation_is_described_as_it_is_served() {
        let document = document(&Contract::load().expect("ours")).expect("a document");
        let lock = &document["paths"]["/v1/accounts/{account}/users/{user}:lock"]["post"];
        assert_eq!(lock["operationId"], "LockUser");
        assert_eq!(
            lock["summary"],
            "LockUser makes every request of the user fail until it is unlocked"
        );
        let names = |operation: &Value| -> Vec<String> {
            let parameters = operation["parameters"].as_array().expect("an array").iter();
            parameters.map(|it| it["name"].as_str().expect("text").to_owned()).collect()
        };
        assert_eq!(names(lock), ["account", "user", "Idempotency-Key", "If-Match"]);
        let body = &document["components"]["schemas"]["LockUserBody"]["properties"];
        let fields: Vec<_> = body.as_object().expect("an object").keys().collect();
        assert_eq!(fields, ["etag", "requestId"]);
        let update = &document["paths"]["/v1/accounts/{account}"]["patch"];
        let expected = ["account", "updateMask", "requestId", "Idempotency-Key", "If-Match"];
        assert_eq!(names(update), expected);
        let verify = &document["paths"]["/v1/log:verify"]["get"];
        assert!(names(verify).contains(&"since.publicKey".to_owned()), "{verify}");
        let user = &document["components"]["schemas"]["User"];
        assert_eq!(user["properties"]["createTime"]["readOnly"], true);
        assert_eq!(user["properties"]["state"]["$ref"], "#/components/schemas/UserState");
    }

    #[test]
    fn no_secret_is_a_parameter() {
        let document = document(&Contract::load().expect("ours")).expect("a document");
        let paths = document["paths"].as_object().expect("an object").values();
        for operation in paths.flat_map(|path| path.as_object().expect("an object").values()) {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().expect("text").to_lowercase();
                assert!(!name.contains("secret") && !name.contains("password"), "{name}");
            }
        }
    }
}
