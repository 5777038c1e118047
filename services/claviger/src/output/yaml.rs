//! YAML, as far as it is another way to lay out JSON: every scalar is written as JSON writes it,
//! which YAML 1.2 reads the same.

use std::fmt::Write;

use serde_json::Value;

/// A document that holds `value`.
pub(super) fn document(value: &Value) -> String {
    let mut text = String::new();
    block(&mut text, value, 0);
    text
}

fn block(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (index, (name, value)) in fields.iter().enumerate() {
                // The first field of an item stands on the line of its dash.
                if index > 0 || !text.ends_with("- ") {
                    indent(text, depth);
                }
                text.push_str(name);
                text.push(':');
                nested(text, value, depth + 1);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                indent(text, depth);
                text.push_str("- ");
                block(text, item, depth + 1);
            }
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{value}");
        }
    }
}

fn nested(text: &mut String, value: &Value, depth: usize) {
    let empty = match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    };
    text.push(if empty { ' ' } else { '\n' });
    block(text, value, depth);
}

fn indent(text: &mut String, depth: usize) {
    text.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn blocks_are_indented_and_scalars_are_those_of_json() {
        let value = json!({
            "users": [{ "label": "a: \"b\"\n", "root": false }, { "keys": [] }],
            "tags": ["x", 1, null],
            "none": {},
        });
        let expected = "\
none: {}
tags:
  - \"x\"
  - 1
  - null
users:
  - label: \"a: \\\"b\\\"\\n\"
    root: false
  - keys: []
";
        assert_eq!(document(&value), expected);
    }
}
