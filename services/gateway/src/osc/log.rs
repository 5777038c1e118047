//! The log of calls: what identity's audit trail holds, as OUTSCALE shows it.
//!
//! The trail is of what was done: calls that only read, and those refused, are not in it.

use api::event::v1::payload::Event as Kind;
use api::event::v1::{AccountUnchanged, Event, UserUnchanged};
use api::identity::v1::ListEventsRequest;
use chrono::{DateTime, NaiveDate};
use prost_types::Timestamp;
use serde_json::Value;

use super::Answer;
use super::call::Call;
use super::error::OscError;
use super::parameters::Parameters;
use super::render;

/// Logs in an answer when the request does not say, and at most.
const RESULTS_DEFAULT: u64 = 100;
const RESULTS_MAX: u64 = 1000;
/// What a call that was recorded was answered with.
const STATUS_CODE: &str = "200";
const FILTERS: [&str; 9] = [
    "QueryAccessKeys",
    "QueryApiNames",
    "QueryCallNames",
    "QueryDateAfter",
    "QueryDateBefore",
    "QueryIpAddresses",
    "QueryUserAgents",
    "RequestIds",
    "ResponseStatusCodes",
];
/// Everything that OUTSCALE has in a log.
const FIELDS: [&str; 16] = [
    "AccountId",
    "CallDuration",
    "QueryAccessKey",
    "QueryApiName",
    "QueryApiVersion",
    "QueryCallName",
    "QueryDate",
    "QueryHeaderRaw",
    "QueryHeaderSize",
    "QueryIpAddress",
    "QueryPayloadRaw",
    "QueryPayloadSize",
    "QueryUserAgent",
    "RequestId",
    "ResponseSize",
    "ResponseStatusCode",
];

impl Call<'_> {
    pub(super) async fn read_api_logs(&self) -> Result<Answer, OscError> {
        let filters = self.parameters.within("Filters", &FILTERS)?;
        for name in ["QueryAccessKeys", "QueryUserAgents"] {
            if filters.has(name) {
                return Err(OscError::value(name, "cannot be given: it is not recorded"));
            }
        }
        let wanted = Wanted::of(&filters)?;
        let with = self.parameters.within("With", &FIELDS)?;
        let mut hidden = vec![];
        for field in FIELDS {
            if with.optional_flag(field)? == Some(false) {
                hidden.push(field);
            }
        }
        let size = self.parameters.number("ResultsPerPage", RESULTS_MAX)?;
        let size = size.unwrap_or(RESULTS_DEFAULT);
        if size == 0 {
            return Err(OscError::value("ResultsPerPage", "must be from 1 to 1000"));
        }
        let request = ListEventsRequest {
            account: self.account(),
            page_size: i32::try_from(size).map_err(|_| OscError::internal())?,
            page_token: self.parameters.text("NextPageToken")?.unwrap_or_default().to_owned(),
            start_time: instant(&filters, "QueryDateAfter")?,
            end_time: instant(&filters, "QueryDateBefore")?,
            ..Default::default()
        };
        let answer = self.identity.list_events(&self.acting, request).await?;
        if self.dry_run {
            return Ok(Answer::new());
        }
        let logs = answer.events.iter().filter_map(|event| {
            let mut log = self.log(event)?;
            let passes = wanted.passes(&log);
            log.retain(|name, _| !hidden.contains(&name.as_str()));
            passes.then_some(Value::Object(log))
        });
        let mut shown = Answer::from_iter([("Logs".to_owned(), logs.collect())]);
        if !answer.next_page_token.is_empty() {
            shown.insert("NextPageToken".to_owned(), answer.next_page_token.into());
        }
        Ok(shown)
    }

    /// What is told of an event; nothing if nobody's call made it.
    fn log(&self, event: &Event) -> Option<Answer> {
        let actor = event.actor.as_ref()?;
        let name = call_name(event.payload.as_ref()?.event.as_ref()?)?;
        let members: [(&str, Value); 7] = [
            ("AccountId", self.principal.account_number.as_str().into()),
            ("QueryApiName", actor.facade.as_str().into()),
            ("QueryCallName", name.into()),
            ("QueryDate", render::date(event.time.as_ref()).into()),
            ("QueryIpAddress", actor.source_address.as_str().into()),
            ("RequestId", actor.request_id.as_str().into()),
            ("ResponseStatusCode", 200.into()),
        ];
        Some(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

/// Which logs are asked for: of each of these, any, or one of a list.
struct Wanted<'a>([(&'static str, Option<Vec<&'a str>>); 4]);

impl<'a> Wanted<'a> {
    fn of(filters: &'a Parameters) -> Result<Self, OscError> {
        let codes = filters.texts("ResponseStatusCodes")?;
        let no_code = |codes: &Vec<&str>| !codes.contains(&STATUS_CODE);
        let mut wanted = [
            ("QueryApiName", filters.texts("QueryApiNames")?),
            ("QueryCallName", filters.texts("QueryCallNames")?),
            ("QueryIpAddress", filters.texts("QueryIpAddresses")?),
            ("RequestId", filters.texts("RequestIds")?),
        ];
        if codes.as_ref().is_some_and(no_code) {
            wanted[0].1 = Some(vec![]);
        }
        Ok(Self(wanted))
    }

    fn passes(&self, log: &Answer) -> bool {
        self.0.iter().all(|(field, any)| {
            let value = log.get(*field).and_then(Value::as_str).unwrap_or_default();
            any.as_ref().is_none_or(|any| any.contains(&value))
        })
    }
}

/// A date, which means its midnight, or a date and time.
fn instant(filters: &Parameters, name: &str) -> Result<Option<Timestamp>, OscError> {
    let Some(text) = filters.text(name)? else { return Ok(None) };
    let day = |form| NaiveDate::parse_from_str(text, form).ok();
    let day = day("%Y-%m-%d").or_else(|| day("%Y%m%d"));
    let time = day.and_then(|day| day.and_hms_opt(0, 0, 0)).map(|midnight| midnight.and_utc());
    let time = time.or_else(|| {
        let forms = ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y%m%dT%H%M%S%.f%#z"];
        let text = text.strip_suffix('Z').map_or(text.to_owned(), |text| format!("{text}+0000"));
        let time = forms.into_iter().find_map(|form| DateTime::parse_from_str(&text, form).ok());
        time.map(|time| time.to_utc())
    });
    let time = time.ok_or_else(|| OscError::value(name, "must be a date, or a date and time"))?;
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).unwrap_or_default();
    Ok(Some(Timestamp { seconds: time.timestamp(), nanos }))
}

/// The call that makes such an event, as OUTSCALE names it, or as identity does where OUTSCALE has none.
fn call_name(kind: &Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::AccountCreated(_) => "CreateAccount",
        Kind::AccountRenamed(_) => "UpdateAccount",
        Kind::AccountSettingsChanged(_) => "UpdateApiAccessPolicy",
        Kind::AccountDeleted(_) => "DeleteAccount",
        Kind::UserCreated(_) => "CreateUser",
        Kind::UserLabelChanged(_)
        | Kind::UserRenamed(_)
        | Kind::UserCommentChanged(_)
        | Kind::UserPathChanged(_)
        | Kind::UserEmailChanged(_)
        | Kind::UserTagsChanged(_) => "UpdateUser",
        Kind::UserLocked(_) => "LockUser",
        Kind::UserUnlocked(_) => "UnlockUser",
        Kind::UserDeleted(_) => "DeleteUser",
        Kind::UserPasswordSet(_) => "SetPassword",
        Kind::UserPasswordRemoved(_) => "RemovePassword",
        Kind::AccessKeyCreated(_) => "CreateAccessKey",
        Kind::AccessKeyActivated(_)
        | Kind::AccessKeyDeactivated(_)
        | Kind::AccessKeyExpiryChanged(_)
        | Kind::AccessKeyLabelChanged(_)
        | Kind::AccessKeySlotChanged(_) => "UpdateAccessKey",
        Kind::SecretAccessKeyRotated(_) => "RotateSecretAccessKey",
        Kind::GracePeriodEnded(_) => "EndGracePeriod",
        Kind::AccessKeyDeleted(_) => "DeleteAccessKey",
        Kind::AccessKeyUndeleted(_) => "UndeleteAccessKey",
        Kind::AccessKeyPurged(_) => "PurgeAccessKey",
        Kind::AdminTokenCreated(_) => "CreateAdminToken",
        Kind::AdminTokenRevoked(_) => "RevokeAdminToken",
        Kind::BucketClaimed(_) => "CreateBucket",
        Kind::BucketReleased(_) => "DeleteBucket",
        // Of one transfer, each account has its event.
        Kind::BucketReceived(_) | Kind::BucketGiven(_) => "TransferBucket",
        // Of requests that changed nothing, and of what the server does by itself.
        Kind::UserUnchanged(UserUnchanged { .. })
        | Kind::AccountUnchanged(AccountUnchanged { .. })
        | Kind::AccessKeyExpiring(_)
        | Kind::AccessKeyLockedOut(_)
        | Kind::AccessKeyRotationDue(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(body: &str) -> Parameters {
        Parameters::parse(body.as_bytes(), &FILTERS).expect("filters")
    }

    #[test]
    fn dates_are_read_as_they_are_written_in_requests_and_answers() {
        let check = |text: &str, expected: Option<(i64, i32)>| {
            let filters = filters(&format!("{{\"QueryDateAfter\":\"{text}\"}}"));
            let found = instant(&filters, "QueryDateAfter").ok().flatten();
            assert_eq!(found.map(|at| (at.seconds, at.nanos)), expected, "{text}");
        };
        check("2020-06-14", Some((1_592_092_800, 0)));
        check("20200614", Some((1_592_092_800, 0)));
        check("2020-06-14T00:00:01.500Z", Some((1_592_092_801, 500_000_000)));
        check("2020-06-14T00:00:01.500+0000", Some((1_592_092_801, 500_000_000)));
        check("2020-06-14T02:00:01+02:00", Some((1_592_092_801, 0)));
        check("20200614T000001Z", Some((1_592_092_801, 0)));
        check("", None);
        check("yesterday", None);
        check("2020-06-31", None);
    }

    #[test]
    fn a_log_passes_if_each_filter_has_it() {
        let log = |name: &str| Answer::from_iter([("QueryCallName".to_owned(), name.into())]);
        let check = |body: &str, name: &str, expected: bool| {
            let filters = filters(body);
            let wanted = Wanted::of(&filters).expect("filters");
            assert_eq!(wanted.passes(&log(name)), expected, "{body}, {name}");
        };
        check("{}", "CreateUser", true);
        check(r#"{"QueryCallNames":["CreateUser","x"]}"#, "CreateUser", true);
        check(r#"{"QueryCallNames":["x"]}"#, "CreateUser", false);
        check(r#"{"QueryCallNames":["CreateUser"],"RequestIds":["y"]}"#, "CreateUser", false);
        check(r#"{"ResponseStatusCodes":[200]}"#, "CreateUser", true);
        check(r#"{"ResponseStatusCodes":[403]}"#, "CreateUser", false);
    }
}
