//! `claviger event`.

mod describe;
mod watch;

use api::event::v1::Event;
use api::identity::v1::{GetAccountRequest, GetUserRequest, ListEventsRequest, ListEventsResponse};
use uuid::Uuid;

use self::describe::{Described, describe};
use super::{Client, PAGE_SIZE, account_name, call, instant, last_part, with_client};
use crate::cli::{EventArgs, EventCommand, EventFilter, EventRange};
use crate::exit::Outcome;
use crate::output::Table;

/// Does what was asked for.
pub(crate) async fn run(args: EventArgs) -> Outcome {
    with_client(args.connection, async |client: &Client| match args.command {
        EventCommand::List { filter, range, limit } => list(client, filter, range, limit).await,
        EventCommand::Watch { filter, after, seconds } => {
            watch::run(client, Filter::of(client, filter).await?, after, seconds).await
        }
    })
    .await
}

/// Which events are asked for, as requests spell it; what is empty matches all.
struct Filter {
    account: String,
    user: String,
    access_key_id: String,
    kinds: Vec<String>,
    principal: String,
}

impl Filter {
    async fn of(client: &Client, args: EventFilter) -> Outcome<Self> {
        Ok(Self {
            account: account(client).await?,
            user: match args.user {
                Some(name) => user(client, &name).await?,
                None => String::new(),
            },
            access_key_id: args.key.unwrap_or_default(),
            kinds: args.kinds.iter().map(|kind| field_name(kind)).collect(),
            principal: args.by.unwrap_or_default(),
        })
    }
}

async fn list(
    client: &Client,
    filter: EventFilter,
    range: EventRange,
    limit: Option<u64>,
) -> Outcome {
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let Filter { account, user, access_key_id, kinds, principal } =
        Filter::of(client, filter).await?;
    let EventRange { since, until, after, until_position } = range;
    let mut request = ListEventsRequest {
        account,
        user,
        access_key_id,
        kinds,
        principal,
        start_time: since,
        end_time: until,
        after_position: after,
        until_position,
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
        let headings = ["POSITION", "TIME", "EVENT", "SUBJECT", "ACTOR", "ACCOUNT", "DETAIL"];
        Table::new(headings, rows.collect())
    })
}

/// The account by which events are filtered, if one was given: the filter wants its UUID.
async fn account(client: &Client) -> Outcome<String> {
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
async fn user(client: &Client, user: &str) -> Outcome<String> {
    if user.parse::<Uuid>().is_ok() {
        let account = match account(client).await?.as_str() {
            "" => client.account().await?,
            account => account.to_owned(),
        };
        return Ok(format!("{account}/users/{user}"));
    }
    let request = GetUserRequest { name: client.user(user).await?, ..Default::default() };
    let answer = client.users().get_user(call(request)).await?.into_inner();
    Ok(answer.user.unwrap_or_default().name)
}

/// The name of a kind of events as the filter wants it, `user_locked` for what tables show as
/// `UserLocked`.
fn field_name(kind: &str) -> String {
    let mut name = String::new();
    for char in kind.chars() {
        if char.is_ascii_uppercase() && !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
        name.push(char.to_ascii_lowercase());
    }
    name
}

/// An event in columns, with the width that each has when rows come one by one.
fn row(event: &Event) -> [(usize, String); 7] {
    let kind = event.payload.as_ref().and_then(|payload| payload.event.as_ref());
    let Described { name, subject, detail } = kind.map_or_else(Described::unknown, describe);
    // What it happened to is what has a name of its own, or else whose stream it is in.
    let streams = [&event.user, &event.admin_token, &event.account];
    let stream = streams.into_iter().find(|name| !name.is_empty());
    let subject = subject.or_else(|| stream.map(|name| last_part(name).to_owned()));
    let actor = event.actor.as_ref().map(|actor| actor.principal.clone()).unwrap_or_default();
    [
        (8, event.position.to_string()),
        (24, instant(event.time.as_ref())),
        (22, name.to_owned()),
        (36, subject.unwrap_or_default()),
        (8, actor),
        (36, last_part(&event.account).to_owned()),
        (0, detail),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_given_as_tables_show_it_or_as_its_field() {
        assert_eq!(field_name("UserLocked"), "user_locked");
        assert_eq!(field_name("SecretAccessKeyRotated"), "secret_access_key_rotated");
        assert_eq!(field_name("user_locked"), "user_locked");
        assert_eq!(field_name(""), "");
    }
}
