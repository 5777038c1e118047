//! The OpenAPI document as a page to read: HTML made here, with no script and nothing from elsewhere.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use http::{HeaderValue, Response};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::respond;
use crate::body::{self, BoxBody};

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

const STYLE: &str = "\
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;\
padding:0 1rem}code{font:.9em ui-monospace,monospace}h2{margin-top:2.5rem}details{border:1px solid #8886;\
border-radius:.4rem;margin:.5rem 0;padding:.4rem .8rem}summary{cursor:pointer}summary b{display:inline-block;\
min-width:4.5rem}table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #8886;\
padding:.3rem .6rem .3rem 0;text-align:left;vertical-align:top}";

/// The page, with the policy by which a browser shows it.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    html: Bytes,
    policy: HeaderValue,
}

impl Page {
    /// Makes the page of a document.
    pub(crate) fn of(document: &Value) -> Self {
        let hash = STANDARD.encode(Sha256::digest(STYLE));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'"
        );
        let policy = HeaderValue::try_from(policy);
        let policy = policy.unwrap_or(HeaderValue::from_static("default-src 'none'"));
        Self { html: html(document).into(), policy }
    }

    /// The answer.
    pub(crate) fn respond(&self) -> Response<BoxBody> {
        let mut response = respond(HTML, body::full(self.html.clone()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, self.policy.clone());
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        response
    }
}

fn html(document: &Value) -> String {
    let info = &document["info"];
    let mut page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport \
         content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style>\
         <h1>{title} {version}</h1>{about}<p>As an OpenAPI document: \
         <a href=\"/openapi.json\">/openapi.json</a>.",
        title = escape(text(&info["title"])),
        version = escape(text(&info["version"])),
        about = paragraphs(text(&info["description"])),
    );
    page.push_str("<h2>Credentials</h2><ul>");
    for (_, scheme) in members(&document["components"]["securitySchemes"]) {
        add(&mut page, format_args!("<li>{}", inline(text(&scheme["description"]))));
    }
    page.push_str("</ul>");
    for tag in items(&document["tags"]) {
        let (name, about) = (escape(text(&tag["name"])), paragraphs(text(&tag["description"])));
        add(&mut page, format_args!("<h2>{name}</h2>{about}"));
        for (path, operations) in members(&document["paths"]) {
            for (verb, operation) in members(operations) {
                if items(&operation["tags"]).contains(&tag["name"]) {
                    add_operation(&mut page, verb, path, operation);
                }
            }
        }
    }
    page.push_str("<h2>Schemas</h2>");
    for (name, schema) in members(&document["components"]["schemas"]) {
        let about = paragraphs(text(&schema["description"]));
        add(
            &mut page,
            format_args!(
                "<details id=\"{0}\"><summary><code>{0}</code></summary>{about}",
                escape(name)
            ),
        );
        let rows = members(&schema["properties"]);
        add_table(
            &mut page,
            rows.map(|(name, schema)| (name.to_owned(), schema, text(&schema["description"]))),
        );
        page.push_str("</details>");
    }
    page
}

fn add_operation(page: &mut String, verb: &str, path: &str, operation: &Value) {
    add(
        page,
        format_args!(
            "<details id=\"{}\"><summary><b>{}</b><code>{}</code> {}</summary>{}",
            escape(text(&operation["operationId"])),
            escape(&verb.to_uppercase()),
            escape(path),
            inline(text(&operation["summary"])),
            paragraphs(text(&operation["description"])),
        ),
    );
    let rows = items(&operation["parameters"]).iter().map(|it| {
        let name = format!("{} ({})", text(&it["name"]), text(&it["in"]));
        (name, &it["schema"], text(&it["description"]))
    });
    add_table(page, rows);
    for (_, content) in members(&operation["requestBody"]["content"]).take(1) {
        add(page, format_args!("<p>Body: {}", kind(&content["schema"])));
    }
    for (content_type, content) in members(&operation["responses"]["200"]["content"]) {
        let schema = content.get("x-line").unwrap_or(&content["schema"]);
        add(page, format_args!("<p>Answer: {} ({})", kind(schema), escape(content_type)));
    }
    let statuses = members(&operation["responses"]).map(|(status, _)| status);
    let statuses = statuses.collect::<Vec<_>>().join(", ");
    add(page, format_args!("<p>Statuses: {}</details>", escape(&statuses)));
}

fn add_table<'a>(page: &mut String, rows: impl Iterator<Item = (String, &'a Value, &'a str)>) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return;
    }
    page.push_str("<table>");
    for (name, schema, about) in rows {
        let (name, kind, about) = (escape(&name), kind(schema), paragraphs(about));
        add(page, format_args!("<tr><td><code>{name}</code><td>{kind}<td>{about}"));
    }
    page.push_str("</table>");
}

/// A type in a word or two.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|it| it.rsplit('/').next()) {
        return format!("<a href=\"#{0}\">{0}</a>", escape(name));
    }
    let name = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or_default();
    match (name, schema["format"].as_str()) {
        ("array", _) => format!("list of {}", kind(&schema["items"])),
        (_, Some(format)) => escape(format),
        (name, None) => escape(name),
    }
}

/// Paragraphs of text with code in it.
fn paragraphs(text: &str) -> String {
    text.split("\n\n").map(|paragraph| format!("<p>{}", inline(paragraph))).collect()
}

/// Text with code between backticks.
fn inline(text: &str) -> String {
    let mut html = String::new();
    for (n, part) in text.split('`').enumerate() {
        let escaped = escape(part);
        match n % 2 {
            0 => html.push_str(&escaped),
            _ => add(&mut html, format_args!("<code>{escaped}</code>")),
        }
    }
    html
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

fn add(page: &mut String, part: std::fmt::Arguments<'_>) {
    // Writing to text does not fail.
    let _ = page.write_fmt(part);
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

#[cfg(test)]
mod tests {
    use super::super::contract::Contract;
    use super::super::openapi;
    use super::*;

    #[test]
    fn every_operation_is_on_the_page_and_nothing_from_elsewhere() {
        let contract = Contract::load().expect("ours");
        let page = html(&openapi::document(&contract).expect("a document"));
        for rpc in &contract.rpcs {
            let id = format!("id=\"{}\"", rpc.method.name());
            assert!(page.contains(&id), "{id}");
        }
        for foreign in ["<script", "src=", "http:", "https:", "url("] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn what_a_contract_says_is_no_html() {
        assert_eq!(
            inline("a <b> `c<d>` \"&'"),
            "a &lt;b&gt; <code>c&lt;d&gt;</code> &quot;&amp;&#39;"
        );
    }
}
