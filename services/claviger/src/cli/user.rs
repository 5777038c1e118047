//! `claviger user`, as it is spelled.

use std::path::PathBuf;

use api::event::v1::Tag;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use prost_types::Timestamp;

use super::shared::{ChangeArgs, Connection, RetryArgs};
use super::time;

#[derive(Debug, Args)]
pub(crate) struct UserArgs {
    #[command(subcommand)]
    pub(crate) command: UserCommand,
    #[command(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make a user, without access keys
    Create {
        /// 1 to 64 of A-Z a-z 0-9 _ + = , . @ -
        name: String,
        /// Text for people, up to 256 characters
        #[arg(long, default_value = "", hide_default_value = true)]
        label: String,
        /// More text for people, up to 256 characters
        #[arg(long, default_value = "", hide_default_value = true)]
        comment: String,
        /// Where it stands in its organisation, such as /division_abc/
        #[arg(long, default_value = "", hide_default_value = true)]
        path: String,
        /// E-mail address; nothing is sent to it
        #[arg(long, default_value = "", hide_default_value = true)]
        email: String,
        /// A tag; may be repeated
        #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
        tags: Vec<Tag>,
        #[command(flatten)]
        retry: RetryArgs,
    },
    /// Show a user
    Get {
        /// By name or UUID
        user: String,
        /// As it was at this instant, also if it was deleted since and is named by UUID
        #[arg(long, value_name = "TIME", value_parser = time::parse)]
        at: Option<Timestamp>,
    },
    /// Show the users of the account, by name
    List {
        /// As they were at this instant, oldest first
        #[arg(long, value_name = "TIME", value_parser = time::parse)]
        at: Option<Timestamp>,
    },
    /// Change what is given, and nothing else; an empty text removes what was there
    Update {
        /// By name or UUID
        user: String,
        #[command(flatten)]
        changes: UserChanges,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Make every request of a user fail until it is unlocked
    Lock {
        /// By name or UUID
        user: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Restore exactly what was before a user was locked
    Unlock {
        /// By name or UUID
        user: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Set the password of a user, for those interfaces that take no signature; it is read from
    /// --password-file, or else from CLAVIGER_PASSWORD. The login is NAME@ACCOUNT_NUMBER
    SetPassword {
        /// By name or UUID
        user: String,
        /// A file that holds it and that only its owner may read; - for stdin
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// Set it only if this is the user's etag still, as an answer told it
        #[arg(long, value_parser = NonEmptyStringValueParser::new())]
        etag: Option<String>,
    },
    /// Leave a user without a password
    RemovePassword {
        /// By name or UUID
        user: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Delete a user
    Delete {
        /// By name or UUID
        user: String,
        /// Delete its access keys with it
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct UserChanges {
    /// Another name; it keeps its access keys
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Text for people, up to 256 characters
    #[arg(long)]
    pub(crate) label: Option<String>,
    /// More text for people, up to 256 characters
    #[arg(long)]
    pub(crate) comment: Option<String>,
    /// Where it stands in its organisation, such as /division_abc/
    #[arg(long)]
    pub(crate) path: Option<String>,
    /// E-mail address; nothing is sent to it
    #[arg(long)]
    pub(crate) email: Option<String>,
    /// A tag; may be repeated. Those that are given take the place of all that it has
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    pub(crate) tags: Vec<Tag>,
    /// Remove all tags
    #[arg(long, conflicts_with = "tags")]
    pub(crate) clear_tags: bool,
}

/// Reads a tag. Its value may be empty, and hold more of `=`.
fn tag(text: &str) -> Result<Tag, String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => {
            Ok(Tag { key: key.to_owned(), value: value.to_owned() })
        }
        Some(_) | None => Err("must be KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, &str)>) {
        let found = tag(text).ok();
        let found = found.as_ref().map(|tag| (tag.key.as_str(), tag.value.as_str()));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_tag_is_a_key_and_a_value() {
        check("team=blue", Some(("team", "blue")));
        check("team=", Some(("team", "")));
        check("sum=1+1=2", Some(("sum", "1+1=2")));
        check("team", None);
        check("=blue", None);
    }
}
