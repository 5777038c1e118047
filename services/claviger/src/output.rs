//! How answers are printed: a table for people, or the answer as proto3 JSON, written once for all
//! messages by way of their descriptors.

mod yaml;

use std::io::{self, Write};
use std::sync::LazyLock;

use anyhow::Context;
use clap::ValueEnum;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::exit::Outcome;

/// How an answer is printed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people
    #[default]
    Table,
    /// One document
    Json,
    /// One document
    Yaml,
}

/// Between two columns.
const GAP: &str = "  ";
/// What stands where there is nothing.
const NOTHING: &str = "-";

static DESCRIPTORS: LazyLock<Result<DescriptorPool, prost_reflect::DescriptorError>> =
    LazyLock::new(|| DescriptorPool::decode(api::FILE_DESCRIPTOR_SET));

/// Rows under headings.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    headings: [&'static str; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(headings: [&'static str; N], rows: Vec<[String; N]>) -> Self {
        Self { headings, rows }
    }
}

impl Table<2> {
    /// Names and values, one pair a line, without headings.
    pub(crate) fn of_pairs(pairs: &[(&str, &str)]) -> Self {
        let rows = pairs.iter().map(|(name, value)| [(*name).to_owned(), (*value).to_owned()]);
        Self { headings: [""; 2], rows: rows.collect() }
    }
}

impl Format {
    /// Prints an answer of the type that `full_name` names.
    ///
    /// # Errors
    /// If stdout cannot be written to.
    pub(crate) fn show<const N: usize>(
        self,
        full_name: &str,
        answer: &impl Message,
        table: impl FnOnce() -> Table<N>,
    ) -> Outcome {
        let text = match self {
            Self::Table => table_text(&table()),
            Self::Json => ProtoJson::of(full_name, answer)?.pretty()?,
            Self::Yaml => yaml::document(&ProtoJson::of(full_name, answer)?.value()?),
        };
        print(&text)
    }

    /// Prints one of many answers, as they come: a line of JSON, a document of YAML, or a line of
    /// columns of fixed widths.
    ///
    /// # Errors
    /// If stdout cannot be written to.
    pub(crate) fn show_next<const N: usize>(
        self,
        full_name: &str,
        answer: &impl Message,
        row: impl FnOnce() -> [(usize, String); N],
    ) -> Outcome {
        let text = match self {
            Self::Table => {
                let (widths, cells): (Vec<_>, Vec<_>) = row().into_iter().unzip();
                line(&widths, cells.iter().map(String::as_str))
            }
            Self::Json => ProtoJson::of(full_name, answer)?.line()?,
            Self::Yaml => {
                let value = ProtoJson::of(full_name, answer)?.value()?;
                format!("---\n{}", yaml::document(&value))
            }
        };
        print(&text)
    }
}

impl Format {
    /// Prints something that is no message: its fields as JSON or YAML, or `text`, which is for people.
    ///
    /// # Errors
    /// If stdout cannot be written to.
    pub(crate) fn show_value(
        self,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Outcome {
        let json = || serde_json::to_value(value).context("is not JSON");
        let pretty = || serde_json::to_string_pretty(value).context("is not JSON");
        print(&match self {
            Self::Table => text(),
            Self::Json => pretty()? + "\n",
            Self::Yaml => yaml::document(&json()?),
        })
    }
}

/// A message of the type that `full_name` names, as `-o json` prints it.
///
/// # Errors
/// If there is no such type.
pub(crate) fn json(full_name: &str, message: &impl Message) -> anyhow::Result<String> {
    ProtoJson::of(full_name, message)?.pretty()
}

/// Reads what [`json`] gives.
///
/// # Errors
/// If it is not the JSON of such a message.
pub(crate) fn parse_json<M: Message + Default>(full_name: &str, json: &str) -> anyhow::Result<M> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let message = DynamicMessage::deserialize(descriptor(full_name)?, &mut deserializer)?;
    deserializer.end()?;
    Ok(M::decode(message.encode_to_vec().as_slice())?)
}

fn descriptor(full_name: &str) -> anyhow::Result<MessageDescriptor> {
    let pool = DESCRIPTORS.as_ref().context("the descriptors do not decode")?;
    let descriptor = pool.get_message_by_name(full_name);
    descriptor.with_context(|| format!("no message is named {full_name}"))
}

/// Prints on stdout. That nobody reads any more is not this program's failure.
pub(crate) fn print(text: &str) -> Outcome {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        written => Ok(written?),
    }
}

/// Prints this program's version.
pub(crate) fn version(format: Format) -> Outcome {
    let version = env!("CARGO_PKG_VERSION");
    let value = serde_json::json!({ "name": "claviger", "version": version });
    match format {
        Format::Table => print(&format!("claviger {version}\n")),
        Format::Json => print(&format!("{value}\n")),
        Format::Yaml => print(&yaml::document(&value)),
    }
}

/// A message in proto3's JSON mapping. Fields with their default values are there too, so that
/// scripts find them: an empty list, `false`, `"0"`.
struct ProtoJson(DynamicMessage);

impl ProtoJson {
    fn of(full_name: &str, message: &impl Message) -> anyhow::Result<Self> {
        let bytes = message.encode_to_vec();
        Ok(Self(DynamicMessage::decode(descriptor(full_name)?, bytes.as_slice())?))
    }

    fn pretty(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    fn line(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    fn value(&self) -> anyhow::Result<Value> {
        Ok(serde_json::to_value(self)?)
    }
}

impl Serialize for ProtoJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let options = SerializeOptions::new().skip_default_fields(false);
        self.0.serialize_with_options(serializer, &options)
    }
}

pub(crate) fn table_text<const N: usize>(table: &Table<N>) -> String {
    let titled = table.headings.iter().any(|heading| !heading.is_empty());
    let mut widths = table.headings.map(str::len);
    for row in &table.rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(shown(cell).chars().count());
        }
    }
    let mut text = String::new();
    if titled {
        text += &line(&widths, table.headings.iter().copied());
    }
    for row in &table.rows {
        text += &line(&widths, row.iter().map(String::as_str));
    }
    text
}

fn line<'a>(widths: &[usize], cells: impl Iterator<Item = &'a str>) -> String {
    let padded: Vec<_> =
        widths.iter().zip(cells).map(|(width, cell)| format!("{:width$}", shown(cell))).collect();
    format!("{}\n", padded.join(GAP).trim_end())
}

/// A cell as it is printed. What a label holds must neither break the line nor reach the terminal.
pub(crate) fn shown(cell: &str) -> String {
    if cell.is_empty() {
        return NOTHING.to_owned();
    }
    cell.chars()
        .flat_map(|char| {
            let escaped = char.is_control().then(|| char.escape_default());
            let plain = escaped.is_none().then_some(char);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use api::identity::v1::{ListUsersResponse, User, UserState};
    use prost_types::Timestamp;

    use super::*;

    fn answer() -> ListUsersResponse {
        ListUsersResponse {
            users: vec![User {
                user_name: "alice".to_owned(),
                label: "a \"b\"\n".to_owned(),
                state: UserState::Active.into(),
                create_time: Some(Timestamp { seconds: 0, nanos: 250_000_000 }),
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    fn json(full_name: &str, message: &impl Message) -> Value {
        ProtoJson::of(full_name, message).and_then(|json| json.value()).expect("known")
    }

    #[test]
    fn json_is_that_of_proto3() {
        let json = json("claviger.identity.v1.ListUsersResponse", &answer());
        let expected = serde_json::json!({
            "users": [{
                "name": "",
                "userId": "",
                "userName": "alice",
                "label": "a \"b\"\n",
                "state": "USER_STATE_ACTIVE",
                "root": false,
                "comment": "",
                "path": "",
                "email": "",
                "tags": [],
                "createTime": "1970-01-01T00:00:00.250Z",
                "etag": "",
                "arn": "",
            }],
            "accessKeys": [],
            "nextPageToken": "",
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn a_position_is_a_string_as_proto3_has_it() {
        let answer = api::identity::v1::DeleteUserResponse { position: u64::MAX };
        let json = json("claviger.identity.v1.DeleteUserResponse", &answer);
        assert_eq!(json, serde_json::json!({ "position": "18446744073709551615" }));
    }

    #[test]
    fn one_of_many_is_one_line_with_its_fields_in_the_order_of_the_contract() {
        let json = ProtoJson::of("claviger.identity.v1.ListUsersResponse", &answer());
        let line = json.and_then(|json| json.line()).expect("known");
        assert!(line.starts_with(r#"{"users":[{"name":"","userId":"","userName":"alice","#));
        assert_eq!(line.matches('\n').count(), 1);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![
            ["alice".to_owned(), "ACTIVE".to_owned(), String::new()],
            ["b".to_owned(), "LOCKED".to_owned(), "über\u{1b}[2J\n".to_owned()],
        ];
        let text = table_text(&Table::new(["NAME", "STATE", "LABEL"], rows));
        assert_eq!(
            text,
            "NAME   STATE   LABEL\nalice  ACTIVE  -\nb      LOCKED  über\\u{1b}[2J\\n\n"
        );
        assert_eq!(table_text(&Table::of_pairs(&[("a", "1"), ("bc", "2")])), "a   1\nbc  2\n");
    }
}
