//! What a PATCH of an S3 user asks for: to its keys, one thing at most.

use super::body::UserBody;
use super::error::OntapError;

/// The slot of a user's key where a request does not say.
pub(super) const FIRST_SLOT: u32 = 1;

/// What a PATCH asks to be done.
#[derive(Debug)]
pub(super) enum Change {
    /// An access key for a slot: generated, or brought.
    Regenerate(u32),
    DeleteKey(u32),
    /// Nothing to the keys.
    Comment,
}

impl Change {
    /// What the parameters and the body come to together.
    ///
    /// # Errors
    /// By ONTAP's codes for what does not go together.
    pub(super) fn of(regenerate: bool, delete: bool, body: &UserBody) -> Result<Self, OntapError> {
        let slot = body.key_id.unwrap_or(FIRST_SLOT);
        if regenerate && delete {
            return Err(OntapError::regenerate_and_delete());
        }
        if delete && body.pair.is_some() {
            return Err(OntapError::delete_with_pair());
        }
        if !regenerate && body.key_time_to_live.is_some() {
            return Err(OntapError::lifetime_alone());
        }
        if !regenerate && !delete && body.key_id.is_some() {
            return Err(OntapError::key_id_alone());
        }
        Ok(match (regenerate || body.pair.is_some(), delete) {
            (true, _) => Self::Regenerate(slot),
            (false, true) => Self::DeleteKey(slot),
            (false, false) => Self::Comment,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: (bool, bool), body: &str, expected: Result<&str, &str>) {
        let body = UserBody::parse(body.as_bytes(), false).expect("a body");
        let found = Change::of(query.0, query.1, &body).map(|change| format!("{change:?}"));
        let found = found.as_deref().map_err(|error| error.code);
        assert_eq!(found, expected, "{query:?} {body:?}");
    }

    #[test]
    fn what_goes_together_is_done_and_nothing_else() {
        let pair = r#"{"access_key": "A", "secret_key": "s"}"#;
        let (none, regenerate, delete, both) =
            ((false, false), (true, false), (false, true), (true, true));
        check(none, "{}", Ok("Comment"));
        check(none, r#"{"comment": "c"}"#, Ok("Comment"));
        check(regenerate, "", Ok("Regenerate(1)"));
        check(
            regenerate,
            r#"{"key_id": 2, "key_time_to_live": "P1D", "comment": "c"}"#,
            Ok("Regenerate(2)"),
        );
        check(regenerate, pair, Ok("Regenerate(1)"));
        check(none, pair, Ok("Regenerate(1)"));
        check(delete, "", Ok("DeleteKey(1)"));
        check(delete, r#"{"key_id": "2"}"#, Ok("DeleteKey(2)"));
        check(both, "", Err("92406082"));
        check(delete, pair, Err("92406202"));
        check(none, r#"{"key_time_to_live": "P1D"}"#, Err("92406088"));
        check(delete, r#"{"key_time_to_live": "P1D"}"#, Err("92406088"));
        check(none, r#"{"key_id": 1}"#, Err("92406108"));
    }
}
