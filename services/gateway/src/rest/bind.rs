//! One request, out of what path, query and body say of it.

use http::Method;
use prost_reflect::{DynamicMessage, FieldDescriptor, MessageDescriptor, Value as Meant};
use serde_json::Value;

use super::contract::{Body, Rpc, field_at, is_secret};
use super::field::{self, Violation};
use super::percent::decode_query;
use super::template::Values;
use crate::request::json;

/// The most parameters of a query.
const PARAMETERS_MAX: usize = 256;

/// Makes the request.
///
/// What the path says stands above what the body says of the same field, so that what was read can be
/// sent back. A change that has no mask changes what its body names.
///
/// # Errors
/// The first thing that is wrong.
pub(crate) fn bind(
    rpc: &Rpc,
    path: Values,
    query: Option<&str>,
    body: &[u8],
) -> Result<DynamicMessage, Violation> {
    let value = match (&rpc.body, body) {
        (_, b"") => None,
        (Body::Nothing, _) => return Err(Violation::new("", "the request takes no body")),
        (Body::Everything | Body::Field(..), body) => Some(
            json::parse(body).map_err(|error| Violation::new("", format!("the body {error}")))?,
        ),
    };
    let mut request = match (&rpc.body, &value) {
        (Body::Everything, Some(value)) => field::read(&rpc.request, value, "")?,
        (Body::Field(field, message), Some(value)) => {
            let mut request = DynamicMessage::new(rpc.request.clone());
            let read = field::read(message, value, field.json_name())?;
            request.set_field(field, Meant::Message(read));
            request
        }
        _ => DynamicMessage::new(rpc.request.clone()),
    };
    read_query(rpc, query.unwrap_or_default(), &mut request)?;
    for (path, value) in path {
        set(&mut request, &path, Meant::String(value));
    }
    if let (Body::Field(field, message), Some(Value::Object(object))) = (&rpc.body, &value)
        && rpc.verb == Method::PATCH
        && let Some(mask) = rpc.request.get_field_by_name("update_mask")
        && !request.has_field(&mask)
    {
        let bound: Vec<&str> = rpc.template.fields().collect();
        let mut paths = vec![];
        name_fields(message, object, &field::join(field.name(), ""), &bound, &mut paths);
        let skip = field.name().len() + 1;
        let paths = paths.into_iter().map(|path| path[skip..].to_owned()).collect();
        if let Some(meant) = field::mask_of(&mask.kind(), paths) {
            request.set_field(&mask, meant);
        }
    }
    Ok(request)
}

/// The paths of what an object names, but for what the request's path says and the etag, which is no
/// change: of an object within, what that names; of anything else, itself.
fn name_fields(
    message: &MessageDescriptor,
    object: &serde_json::Map<String, Value>,
    at: &str,
    bound: &[&str],
    paths: &mut Vec<String>,
) {
    for (name, value) in object {
        let Some(found) = field::named(message, name) else { continue };
        let path = format!("{at}{}", found.name());
        if bound.contains(&path.as_str()) || found.name() == "etag" {
            continue;
        }
        let nested = field::nested(&found).filter(|_| !found.is_list());
        match (nested, value) {
            (Some(message), Value::Object(object)) => {
                name_fields(&message, object, &format!("{path}."), bound, paths);
            }
            _ => paths.push(path),
        }
    }
}

/// Reads the query's parameters into the request.
fn read_query(rpc: &Rpc, query: &str, request: &mut DynamicMessage) -> Result<(), Violation> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut seen: Vec<String> = vec![];
    for (count, pair) in pairs.enumerate() {
        if count == PARAMETERS_MAX {
            return Err(Violation::new("", "the query has too many parameters"));
        }
        let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = decode_query(name).zip(decode_query(text));
        let Some((name, text)) = decoded else {
            return Err(Violation::new("", "the query is not UTF-8, percent-encoded"));
        };
        let Some((path, field)) = parameter(rpc, &name) else {
            return Err(field::unknown("", &name));
        };
        let meant = field::of_text(&field, &text, &name)?;
        if field.is_list() {
            push(request, &path, meant);
        } else if seen.contains(&path) {
            return Err(Violation::new(name, "is there twice"));
        } else {
            set(request, &path, meant);
            seen.push(path);
        }
    }
    Ok(())
}

/// What a parameter stands for: a field that neither path nor body says, by the name of the contracts. A
/// secret is never one: queries end up in logs.
pub(crate) fn parameter(rpc: &Rpc, name: &str) -> Option<(String, FieldDescriptor)> {
    let mut message = rpc.request.clone();
    let mut path = String::new();
    let mut names = name.split('.').peekable();
    loop {
        let field = field::named(&message, names.next()?)?;
        path = field::join(&path, field.name());
        match (names.peek(), field::nested(&field)) {
            (None, None) => {
                let by_path = rpc.template.fields().any(|bound| bound == path);
                let elsewhere = by_path || is_of_body(rpc, &path) || is_secret(&field);
                return (!elsewhere).then_some((path, field));
            }
            (Some(_), Some(nested)) if !field.is_list() => message = nested,
            _ => return None,
        }
    }
}

/// Whether the body says this field.
fn is_of_body(rpc: &Rpc, path: &str) -> bool {
    match &rpc.body {
        Body::Nothing => false,
        Body::Everything => true,
        Body::Field(field, _) => path.split('.').next() == Some(field.name()),
    }
}

/// Sets the field at a path of the contracts' names.
pub(crate) fn set(message: &mut DynamicMessage, path: &str, meant: Meant) {
    with(message, path, |message, field| message.set_field(field, meant));
}

/// The text at a path of the contracts' names; empty where there is none.
pub(crate) fn text(message: &DynamicMessage, path: &str) -> String {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let Some(value) = message.get_field_by_name(name) else { return String::new() };
    match (rest, value.as_message()) {
        (Some(rest), Some(message)) => text(message, rest),
        _ => value.as_str().unwrap_or_default().to_owned(),
    }
}

fn push(message: &mut DynamicMessage, path: &str, meant: Meant) {
    with(message, path, |message, field| {
        if let Meant::List(items) = message.get_field_mut(field) {
            items.push(meant);
        }
    });
}

/// Does something with the message that holds the field at a path.
fn with(
    message: &mut DynamicMessage,
    path: &str,
    act: impl FnOnce(&mut DynamicMessage, &FieldDescriptor),
) {
    let descriptor = prost_reflect::ReflectMessage::descriptor(message);
    let Some(field) = field_at(&descriptor, path.split('.').next().unwrap_or_default()) else {
        return;
    };
    match path.split_once('.') {
        None => act(message, &field),
        Some((_, rest)) => {
            if let Meant::Message(inner) = message.get_field_mut(&field) {
                with(inner, rest, act);
            }
        }
    }
}

#[cfg(test)]
mod tests;
