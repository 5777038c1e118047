//! What may be answered.

use std::collections::BTreeMap;

use prost_reflect::DescriptorPool;
use serde_json::{Map, Value, json};

use super::super::comments;
use super::super::contract::Rpc;
use super::schema::Schemas;

/// The statuses of problems, and when they are answered.
const PROBLEMS: [(u16, &str); 16] = [
    (400, "The request is malformed, or what it asks for cannot be done as things are."),
    (401, "There is no credential, or one that is nobody's."),
    (403, "Whoever asks may not do that."),
    (404, "There is no such resource."),
    (405, "The path is asked for by other methods: `Allow` says which."),
    (408, "The body did not arrive in time."),
    (409, "It is there already, or was changed meanwhile."),
    (412, "The resource is not the one that `If-Match` names."),
    (413, "The body is longer than 1 MiB."),
    (415, "The body is not JSON."),
    (
        429,
        "Too much at once, or of something: `Retry-After` says when to ask again, if that helps.",
    ),
    (431, "The request's head is too large."),
    (500, "The server failed in a way it did not foresee."),
    (501, "Identity does not know this call yet."),
    (
        503,
        "What is behind the gateway gives no answer: ask again, with the same `Idempotency-Key`.",
    ),
    (504, "No answer came in time: what was asked for may or may not be done."),
];

/// What an RPC may answer.
pub(crate) fn all(rpc: &Rpc, schemas: &mut Schemas) -> Map<String, Value> {
    let message = schemas.reference(&rpc.response);
    let content = match rpc.streams() {
        true => json!({
            "application/x-ndjson": {
                "schema": { "type": "string", "description": "A message a line, as `x-line` has it." },
                "x-line": message,
            }
        }),
        false => json!({ "application/json": { "schema": message } }),
    };
    let ok = json!({
        "description": comments::of_message(&rpc.response),
        "headers": { "X-Request-Id": { "$ref": "#/components/headers/X-Request-Id" } },
        "content": content,
    });
    let mut responses = Map::from_iter([("200".to_owned(), ok)]);
    for (status, _) in PROBLEMS.into_iter().filter(|(status, _)| can_be(rpc, *status)) {
        let reference = json!({ "$ref": format!("#/components/responses/{status}") });
        responses.insert(status.to_string(), reference);
    }
    responses
}

/// Whether an RPC ever answers so.
fn can_be(rpc: &Rpc, status: u16) -> bool {
    match status {
        409 => rpc.writes(),
        412 => rpc.etag().is_some(),
        _ => true,
    }
}

/// The problems that may be answered.
pub(crate) fn components() -> BTreeMap<String, Value> {
    let response = |(status, description): (u16, &str)| {
        let mut headers = vec!["X-Request-Id"];
        headers.extend(match status {
            401 => Some("WWW-Authenticate"),
            405 => Some("Allow"),
            429 | 503 => Some("Retry-After"),
            _ => None,
        });
        let headers = headers.into_iter().map(|name| {
            (name.to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }))
        });
        let schema = json!({ "$ref": "#/components/schemas/Problem" });
        let response = json!({
            "description": description,
            "headers": Map::from_iter(headers),
            "content": { "application/problem+json": { "schema": schema } },
        });
        (status.to_string(), response)
    };
    PROBLEMS.into_iter().map(response).collect()
}

/// The headers of answers.
pub(crate) fn headers() -> Value {
    let header = |description: &str, required: bool, kind: &str| json!({ "description": description, "required": required, "schema": { "type": kind } });
    json!({
        "X-Request-Id": header("Names the request in logs and in the audit trail.", true, "string"),
        "WWW-Authenticate": header("The kinds of credentials.", true, "string"),
        "Allow": header("The methods that the path is asked for by.", true, "string"),
        "Retry-After": header("Seconds to wait before asking again.", false, "integer"),
    })
}

/// The path of a document for anybody.
pub(crate) fn documentation(content_type: &str) -> Value {
    let is_html = content_type.starts_with("text/html");
    let (id, what) = match is_html {
        true => ("GetDocumentation", "The document to read"),
        false => ("GetOpenApi", "This document"),
    };
    let schema = json!({ "type": if is_html { "string" } else { "object" } });
    json!({
        "get": {
            "operationId": id,
            "tags": ["Documentation"],
            "summary": what,
            "security": [],
            "responses": {
                "200": { "description": what, "content": { content_type: { "schema": schema } } },
                "405": { "$ref": "#/components/responses/405" },
                "431": { "$ref": "#/components/responses/431" },
                "500": { "$ref": "#/components/responses/500" },
            },
        }
    })
}

/// The problem document.
pub(crate) fn problem() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "type": "object",
        "description": "Why there is no answer (RFC 9457).",
        "required": ["type", "title", "status", "detail", "instance", "reason"],
        "properties": {
            "type": text("`about:blank`: `reason` tells problems apart."),
            "title": text("The status in words."),
            "status": { "type": "integer", "description": "The status." },
            "detail": text("What is wrong, for people."),
            "instance": text("`urn:uuid:` and the request's id."),
            "reason": text(&reasons()),
            "violations": {
                "type": "array",
                "description": "The fields that are wrong.",
                "items": {
                    "type": "object",
                    "required": ["field", "description"],
                    "properties": {
                        "field": text("The field, such as `user.tags[0].key`."),
                        "description": text("What is wrong with it."),
                    },
                },
            },
        },
    })
}

/// The reasons, as the contracts tell of them, and this interface's own.
fn reasons() -> String {
    let mut text = "What is wrong, for programs. New ones may come.".to_owned();
    let pool = DescriptorPool::decode(api::FILE_DESCRIPTOR_SET).ok();
    let reasons = pool.and_then(|pool| pool.get_enum_by_name("claviger.error.v1.Reason"));
    for value in reasons.iter().flat_map(|reasons| reasons.values()).filter(|it| it.number() != 0) {
        let name = value.name().trim_start_matches("REASON_");
        text.push_str(&format!("\n\n`{name}`: {}", comments::of_value(&value)));
    }
    text
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn each_status_is_one_of_http() {
        for (status, _) in PROBLEMS {
            let status = StatusCode::from_u16(status).expect("a status");
            assert!(status.canonical_reason().is_some(), "{status}");
        }
    }
}
