//! `claviger event`.

use api::event::v1::Event;
use api::event::v1::payload::Event as Kind;
use api::identity::v1::{
    GetAccountRequest, GetUserRequest, ListEventsRequest, ListEventsResponse, WatchEventsRequest,
};
use tonic::Request;
use uuid::Uuid;

use super::{Client, PAGE_SIZE, account_name, call, instant, last_part, with_client};
use crate::cli::{EventArgs, EventCommand, EventFilter};
use crate::exit::Outcome;
use crate::output::Table;

/// Does what was asked for.
pub(crate) async fn run(args: EventArgs) -> Outcome {
    with_client(args.connection, async |client: &Client| match args.command {
        EventCommand::List { filter, limit } => list(client, filter, limit).await,
        EventCommand::Watch { after } => watch(client, after).await,
    })
    .await
}

async fn list(client: &Client, filter: EventFilter, limit: Option<u64>) -> Outcome {
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let mut request = ListEventsRequest {
        account: account_filter(client).await?,
        user: match filter.user {
            Some(user) => user_filter(client, &user).await?,
            None => String::new(),
        },
        access_key_id: filter.key.unwrap_or_default(),
        page_size: i32::try_from(limit).unwrap_or(PAGE_SIZE).min(PAGE_SIZE),
        ..Default::default()
    };
    let mut events = vec![];
    loop {
        let page = client.events().list_events(call(request.clone())).await?.into_inner();
        events.extend(page.events);
        if page.next_page_token.is_empty() || events.len() >= limit {
            break;
        }
        request.page_token = page.next_page_token;
    }
    events.truncate(limit);
    let answer = ListEventsResponse { events, ..Default::default() };
    client.output.show("claviger.identity.v1.ListEventsResponse", &answer, || {
        let rows = answer.events.iter().map(|event| row(event).map(|(_, cell)| cell));
        Table::new(["POSITION", "TIME", "EVENT", "SUBJECT", "ACTOR", "ACCOUNT"], rows.collect())
    })
}

async fn watch(client: &Client, after_position: u64) -> Outcome {
    // No time limit: it is watched until somebody ends it.
    let request = Request::new(WatchEventsRequest { after_position, ..Default::default() });
    let account = account_filter(client).await?;
    let mut events = client.events().watch_events(request).await?.into_inner();
    while let Some(message) = events.message().await? {
        let Some(event) = message.event else { continue };
        if !account.is_empty() && event.account != account {
            continue;
        }
        client.output.show_next("claviger.event.v1.Event", &event, || row(&event))?;
    }
    Ok(())
}

/// The account by which events are filtered, if one was given: the filter wants its UUID.
async fn account_filter(client: &Client) -> Outcome<String> {
    let Some(account) = &client.account else { return Ok(String::new()) };
    let name = account_name(account);
    if last_part(&name).parse::<Uuid>().is_ok() {
        return Ok(name);
    }
    let request = GetAccountRequest { name, ..Default::default() };
    let answer = client.accounts().get_account(call(request)).await?.into_inner();
    Ok(answer.account.unwrap_or_default().name)
}

/// The user by whom events are filtered: by UUID also one that is gone, by name one that is there.
async fn user_filter(client: &Client, user: &str) -> Outcome<String> {
    let name = client.user(user).await?;
    if user.parse::<Uuid>().is_ok() {
        return Ok(name);
    }
    let request = GetUserRequest { name, ..Default::default() };
    let answer = client.users().get_user(call(request)).await?.into_inner();
    Ok(answer.user.unwrap_or_default().name)
}

/// An event in columns, with the width that each has when rows come one by one.
fn row(event: &Event) -> [(usize, String); 6] {
    let kind = event.payload.as_ref().and_then(|payload| payload.event.as_ref());
    let (what, detail) = kind.map_or(("Unknown", String::new()), describe);
    let subject = if event.user.is_empty() { &event.account } else { &event.user };
    let subject = if detail.is_empty() { last_part(subject).to_owned() } else { detail };
    let actor = event.actor.as_ref().map(|actor| actor.principal.clone()).unwrap_or_default();
    [
        (8, event.position.to_string()),
        (24, instant(event.time.as_ref())),
        (22, what.to_owned()),
        (36, subject),
        (8, actor),
        (0, last_part(&event.account).to_owned()),
    ]
}

/// What happened, and to what if that has a name of its own.
fn describe(kind: &Kind) -> (&'static str, String) {
    match kind {
        Kind::AccountCreated(event) => ("AccountCreated", event.display_name.clone()),
        Kind::UserCreated(event) => ("UserCreated", event.user_name.clone()),
        Kind::UserLabelChanged(_) => ("UserLabelChanged", String::new()),
        Kind::UserLocked(_) => ("UserLocked", String::new()),
        Kind::UserUnlocked(_) => ("UserUnlocked", String::new()),
        Kind::UserDeleted(_) => ("UserDeleted", String::new()),
        Kind::AccessKeyCreated(event) => ("AccessKeyCreated", event.access_key_id.clone()),
        Kind::AccessKeyActivated(event) => ("AccessKeyActivated", event.access_key_id.clone()),
        Kind::AccessKeyDeactivated(event) => ("AccessKeyDeactivated", event.access_key_id.clone()),
        Kind::AccessKeyExpiryChanged(event) => {
            ("AccessKeyExpiryChanged", event.access_key_id.clone())
        }
        Kind::SecretAccessKeyRotated(event) => {
            ("SecretAccessKeyRotated", event.access_key_id.clone())
        }
        Kind::GracePeriodEnded(event) => ("GracePeriodEnded", event.access_key_id.clone()),
        Kind::AccessKeyDeleted(event) => ("AccessKeyDeleted", event.access_key_id.clone()),
        Kind::AccountRenamed(event) => ("AccountRenamed", event.display_name.clone()),
        Kind::AccountSettingsChanged(_) => ("AccountSettingsChanged", String::new()),
        Kind::AccountDeleted(_) => ("AccountDeleted", String::new()),
        Kind::UserRenamed(event) => ("UserRenamed", event.user_name.clone()),
        Kind::UserCommentChanged(_) => ("UserCommentChanged", String::new()),
        Kind::UserPathChanged(_) => ("UserPathChanged", String::new()),
        Kind::UserEmailChanged(_) => ("UserEmailChanged", String::new()),
        Kind::UserTagsChanged(_) => ("UserTagsChanged", String::new()),
        Kind::AccessKeyLabelChanged(event) => {
            ("AccessKeyLabelChanged", event.access_key_id.clone())
        }
        Kind::AccessKeySlotChanged(event) => ("AccessKeySlotChanged", event.access_key_id.clone()),
        Kind::AccessKeyExpiring(event) => ("AccessKeyExpiring", event.access_key_id.clone()),
        Kind::AccessKeyRotationDue(event) => ("AccessKeyRotationDue", event.access_key_id.clone()),
        Kind::AccessKeyUndeleted(event) => ("AccessKeyUndeleted", event.access_key_id.clone()),
        Kind::AccessKeyPurged(event) => ("AccessKeyPurged", event.access_key_id.clone()),
        Kind::AdminTokenCreated(event) => ("AdminTokenCreated", event.display_name.clone()),
        Kind::AdminTokenRevoked(_) => ("AdminTokenRevoked", String::new()),
    }
}
