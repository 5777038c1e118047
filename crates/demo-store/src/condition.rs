//! Conditional requests: whether an object may be read, or replaced, as it now is.

use crate::record::ObjectRecord;
use s3s::dto::{ETagCondition, Timestamp};
use s3s::{S3Result, s3_error};

/// The conditions of a read, or of the source of a copy (RFC 9110, section 13).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReadCondition<'r> {
    pub(crate) if_match: Option<&'r ETagCondition>,
    pub(crate) if_none_match: Option<&'r ETagCondition>,
    pub(crate) if_modified_since: Option<&'r Timestamp>,
    pub(crate) if_unmodified_since: Option<&'r Timestamp>,
}

/// What a read's conditions come to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// Go on.
    Holds,
    /// The client has this already.
    NotModified,
    /// The object is not as the client needs it.
    Failed,
}

impl ReadCondition<'_> {
    /// Weighs the conditions in the order of RFC 9110, section 13.2.2.
    pub(crate) fn outcome(&self, object: &ObjectRecord) -> Outcome {
        let modified = &object.last_modified;
        // A condition on the ETag, when there, silences the one on the date.
        let failed = match self.if_match {
            Some(condition) => !matches(condition, &object.etag),
            None => self.if_unmodified_since.is_some_and(|since| modified > since),
        };
        if failed {
            return Outcome::Failed;
        }
        let unmodified = match self.if_none_match {
            Some(condition) => matches(condition, &object.etag),
            None => self.if_modified_since.is_some_and(|since| modified <= since),
        };
        if unmodified { Outcome::NotModified } else { Outcome::Holds }
    }
}

/// The condition of a write on what stands under the key before it.
#[derive(Clone, Debug)]
pub(crate) enum WriteCondition {
    /// None.
    Always,
    /// `If-None-Match: *`: nothing stands there.
    IfAbsent,
    /// `If-Match`: this stands there.
    IfMatch(ETagCondition),
}

impl WriteCondition {
    /// Reads the two headers of a write.
    ///
    /// # Errors
    /// `NotImplemented`, as in S3, for an `If-None-Match` other than `*`, or for both at once.
    pub(crate) fn new(
        if_match: Option<ETagCondition>,
        if_none_match: Option<ETagCondition>,
    ) -> S3Result<Self> {
        match (if_match, if_none_match) {
            (None, None) => Ok(Self::Always),
            (None, Some(ETagCondition::Any)) => Ok(Self::IfAbsent),
            (Some(condition), None) => Ok(Self::IfMatch(condition)),
            (None | Some(_), Some(_)) => Err(s3_error!(
                NotImplemented,
                "A header you provided implies functionality that is not implemented"
            )),
        }
    }

    /// Checks the condition against what stands under the key.
    ///
    /// # Errors
    /// `PreconditionFailed`, or `NoSuchKey` for an `If-Match` where nothing stands.
    pub(crate) fn check(&self, existing: Option<&ObjectRecord>) -> S3Result<()> {
        match (self, existing) {
            (Self::Always, _) | (Self::IfAbsent, None) => Ok(()),
            (Self::IfMatch(condition), Some(object)) if matches(condition, &object.etag) => Ok(()),
            (Self::IfMatch(_), None) => Err(s3_error!(NoSuchKey)),
            (Self::IfAbsent | Self::IfMatch(_), Some(_)) => Err(failed()),
        }
    }
}

/// The answer to a condition that does not hold.
pub(crate) fn failed() -> s3s::S3Error {
    s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold")
}

fn matches(condition: &ETagCondition, etag: &str) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(wanted) => wanted.value() == etag,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    fn at(seconds: u64) -> Timestamp {
        (SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).into()
    }

    fn object() -> ObjectRecord {
        ObjectRecord { etag: "e".into(), last_modified: at(10), ..ObjectRecord::default() }
    }

    fn etag(text: &str) -> ETagCondition {
        text.parse().expect("an ETag")
    }

    #[test]
    fn reads_follow_the_rfcs_order() {
        use Outcome::{Failed, Holds, NotModified};
        type Row<'a> = (Option<&'a str>, Option<&'a str>, Option<u64>, Option<u64>, Outcome);
        // if-match, if-none-match, if-modified-since, if-unmodified-since
        let rows: [Row<'_>; 13] = [
            (None, None, None, None, Holds),
            (Some("\"e\""), None, None, None, Holds),
            (Some("e"), None, None, None, Holds),
            (Some("*"), None, None, None, Holds),
            (Some("\"x\""), None, None, None, Failed),
            (None, Some("\"e\""), None, None, NotModified),
            (None, Some("\"x\""), None, None, Holds),
            (None, None, Some(10), None, NotModified),
            (None, None, Some(9), None, Holds),
            (None, None, None, Some(9), Failed),
            (None, None, None, Some(10), Holds),
            (Some("\"e\""), None, None, Some(9), Holds),
            (None, Some("\"x\""), Some(11), None, Holds),
        ];
        for (if_match, if_none_match, modified, unmodified, expected) in rows {
            let (if_match, if_none_match) = (if_match.map(etag), if_none_match.map(etag));
            let (modified, unmodified) = (modified.map(at), unmodified.map(at));
            let condition = ReadCondition {
                if_match: if_match.as_ref(),
                if_none_match: if_none_match.as_ref(),
                if_modified_since: modified.as_ref(),
                if_unmodified_since: unmodified.as_ref(),
            };
            assert_eq!(condition.outcome(&object()), expected, "{condition:?}");
        }
    }

    #[test]
    fn writes_are_refused_unless_the_condition_holds() {
        let check = |if_match: Option<&str>, if_none_match: Option<&str>, exists: bool| {
            let object = object();
            WriteCondition::new(if_match.map(etag), if_none_match.map(etag))
                .and_then(|condition| condition.check(exists.then_some(&object)))
                .map_err(|error| error.code().as_str().to_owned())
        };
        assert_eq!(check(None, None, true), Ok(()));
        assert_eq!(check(None, Some("*"), false), Ok(()));
        assert_eq!(check(None, Some("*"), true), Err("PreconditionFailed".into()));
        assert_eq!(check(Some("\"e\""), None, true), Ok(()));
        assert_eq!(check(Some("\"x\""), None, true), Err("PreconditionFailed".into()));
        assert_eq!(check(Some("\"e\""), None, false), Err("NoSuchKey".into()));
        assert_eq!(check(None, Some("\"e\""), true), Err("NotImplemented".into()));
    }
}
