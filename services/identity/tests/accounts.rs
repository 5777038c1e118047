//! Accounts: what they ask of access keys, and how they end.

mod support;

use api::error::v1::Reason;
use api::event::v1::{AccountSettings, LockoutMode, Spelling};
use api::identity::v1::*;
use support::{DAY_MS, Home, Identity, START_MS, at, is_in_files, mask, refused};
use tonic::Code;

/// Settings of which none is what an account starts with.
fn settings() -> AccountSettings {
    AccountSettings {
        access_keys_per_user_max: 2,
        access_key_lifetime_seconds_max: 3_153_600_000,
        default_grace_period_seconds: 7_776_000,
        lockout_mode: LockoutMode::PerKey.into(),
        retention_seconds: 7_776_000,
        expiry_notice_seconds: vec![31_536_000, 86_400, 60],
        rotation_due_days: 3650,
        spelling: Spelling::Outscale.into(),
        buckets_max: 10_000,
    }
}

/// What an account asks that does not say.
fn unsaid() -> AccountSettings {
    AccountSettings {
        access_keys_per_user_max: 10,
        lockout_mode: LockoutMode::PerSource.into(),
        buckets_max: 1000,
        ..Default::default()
    }
}

async fn get(identity: &Identity, name: &str) -> Result<Account, tonic::Status> {
    let request = GetAccountRequest { name: name.into(), ..Default::default() };
    Ok(identity.get_account(request).await?.account.expect("there"))
}

async fn update<const N: usize>(
    identity: &Identity,
    account: Account,
    paths: [&str; N],
) -> Result<Account, tonic::Status> {
    let request = UpdateAccountRequest {
        account: Some(account),
        update_mask: mask(paths),
        ..Default::default()
    };
    Ok(identity.update_account(request).await?.account.expect("there"))
}

fn with(account: &Account, settings: AccountSettings) -> Account {
    Account { name: account.name.clone(), settings: Some(settings), ..Default::default() }
}

#[tokio::test]
async fn an_account_keeps_the_settings_that_it_was_made_with() {
    let home = Home::new();
    let identity = home.start().await;
    let plain = identity.account("Acme").await.account.expect("there");
    assert_eq!(plain.settings, Some(unsaid()));
    let made = identity.account_with(settings()).await.account.expect("there");
    assert_eq!(made.settings, Some(settings()));
    identity.stop().await;
    let identity = home.start().await;
    assert_eq!(get(&identity, &made.name).await.expect("found"), made);
}

#[tokio::test]
async fn settings_are_changed_together_or_one_by_one() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await.account.expect("there");
    let to = with(&made, settings());
    // The root user's key has no end, which a limit of lifetimes does not allow.
    let strict = update(&identity, to.clone(), ["settings"]);
    identity.refuses(strict, Code::FailedPrecondition, Reason::LifetimesLonger).await;
    let changed = [
        ("access_keys_per_user_max", AccountSettings { access_keys_per_user_max: 2, ..unsaid() }),
        (
            "default_grace_period_seconds",
            AccountSettings { default_grace_period_seconds: 7_776_000, ..unsaid() },
        ),
        ("lockout_mode", AccountSettings { lockout_mode: 3, ..unsaid() }),
        ("retention_seconds", AccountSettings { retention_seconds: 7_776_000, ..unsaid() }),
        (
            "expiry_notice_seconds",
            AccountSettings { expiry_notice_seconds: vec![31_536_000, 86_400, 60], ..unsaid() },
        ),
        ("rotation_due_days", AccountSettings { rotation_due_days: 3650, ..unsaid() }),
        ("spelling", AccountSettings { spelling: Spelling::Outscale.into(), ..unsaid() }),
        ("buckets_max", AccountSettings { buckets_max: 10_000, ..unsaid() }),
    ];
    for (field, expected) in changed {
        let path = format!("settings.{field}");
        let changed = update(&identity, to.clone(), [&path]).await.expect("changed");
        assert_eq!(changed.settings, Some(expected), "{field}");
        assert_ne!(changed.etag, made.etag);
        let none = with(&made, AccountSettings::default());
        let back = update(&identity, none, ["settings"]).await.expect("changed");
        assert_eq!(back.settings, Some(unsaid()));
    }
    let head = identity.head().await;
    let same = update(&identity, with(&made, unsaid()), ["settings"]).await.expect("no change");
    assert_eq!((same.settings, identity.head().await), (Some(unsaid()), head));

    let both = Account { display_name: "Acme 2".into(), ..with(&made, settings()) };
    let both = update(&identity, both, ["display_name", "settings.rotation_due_days"]).await;
    let both = both.expect("changed");
    assert_eq!(both.display_name, "Acme 2");
    assert_eq!(both.settings.expect("there").rotation_due_days, 3650);
    let events = ListEventsRequest { after_position: head, ..Default::default() };
    let events = identity.all_events(events).await;
    assert_eq!(events.len(), 2);
    assert_eq!(events[0].command_id, events[1].command_id);
}

#[tokio::test]
async fn settings_out_of_range_are_refused_and_leave_all_as_it_was() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await.account.expect("there");
    for bad in [
        AccountSettings { access_keys_per_user_max: 11, ..settings() },
        AccountSettings { access_keys_per_user_max: 258, ..settings() },
        AccountSettings { access_key_lifetime_seconds_max: 3_153_600_001, ..settings() },
        AccountSettings { default_grace_period_seconds: 7_776_001, ..settings() },
        AccountSettings { lockout_mode: 4, ..settings() },
        AccountSettings { lockout_mode: -1, ..settings() },
        AccountSettings { retention_seconds: 7_776_001, ..settings() },
        AccountSettings { expiry_notice_seconds: vec![59], ..settings() },
        AccountSettings { expiry_notice_seconds: vec![31_536_001], ..settings() },
        AccountSettings { expiry_notice_seconds: (60..69).collect(), ..settings() },
        AccountSettings { rotation_due_days: 3651, ..settings() },
        AccountSettings { spelling: 9, ..settings() },
        AccountSettings { buckets_max: 10_001, ..settings() },
    ] {
        let account = Account { display_name: "Bad".into(), ..with(&made, bad) };
        let request = CreateAccountRequest { account: Some(account.clone()), ..Default::default() };
        identity.refuses_field(identity.create_account(request)).await;
        identity.refuses_field(update(&identity, account, ["display_name", "settings"])).await;
    }
    for name in [String::new(), "x".repeat(129), "a\nb".into()] {
        let account = Account { display_name: name, ..with(&made, unsaid()) };
        identity.refuses_field(update(&identity, account, ["display_name"])).await;
    }
    for paths in [["", "settings"], ["display_name", "etag"], ["settings.unknown", "settings"]] {
        let account = Account { display_name: "x".into(), ..with(&made, unsaid()) };
        identity.refuses_field(update(&identity, account, paths)).await;
    }
    identity.refuses_field(update(&identity, with(&made, unsaid()), [])).await;
    identity.refuses_field(identity.update_account(UpdateAccountRequest::default())).await;
    assert_eq!(get(&identity, &made.name).await.expect("found"), made);
}

#[tokio::test]
async fn no_key_may_have_more_time_left_than_a_new_limit_allows() {
    let home = Home::new();
    let identity = home.start().await;
    let limit = |seconds| AccountSettings { access_key_lifetime_seconds_max: seconds, ..unsaid() };
    let made = identity.account_with(limit(10 * 86_400)).await;
    let account = made.account.expect("there");
    let set = async |seconds| {
        let path = "settings.access_key_lifetime_seconds_max";
        update(&identity, with(&account, limit(seconds)), [path]).await
    };
    let longer = (Code::FailedPrecondition, Reason::LifetimesLonger);
    identity.refuses(set(86_400 * 10 - 1), longer.0, longer.1).await;
    home.clock.advance(DAY_MS);
    set(9 * 86_400).await.expect("nine days are left");
    set(20 * 86_400).await.expect("to allow more is always fine");
    let root = made.root_user.expect("there").name;
    let asked = AccessKey { time_to_live: "P20D".into(), ..Default::default() };
    let key = identity.key_with(&root, asked).await.expect("created").access_key.expect("there");
    identity.refuses(set(9 * 86_400), longer.0, longer.1).await;
    identity.delete_key(&key.name).await.expect("deleted");
    set(9 * 86_400).await.expect("it was the only one");
    let key = identity.key(&made.access_key.expect("there").name).await;
    assert_eq!(key.expire_time, Some(at(START_MS + 10 * DAY_MS)), "keys stay as they are");
    set(0).await.expect("no limit");
    identity.access_key(&root).await.expect("no end");
}

#[tokio::test]
async fn an_account_is_changed_only_as_the_client_saw_it() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity.account("Acme").await.account.expect("there");
    home.clock.advance(1);
    let renamed = Account { display_name: "Bcme".into(), ..made.clone() };
    let renamed = update(&identity, renamed, ["display_name"]).await.expect("renamed");
    assert_eq!((renamed.display_name.as_str(), &renamed.settings), ("Bcme", &made.settings));
    assert_eq!(renamed.update_time, Some(at(START_MS + 1)));
    let stale = Account { display_name: "Ccme".into(), ..made.clone() };
    let stale = update(&identity, stale, ["display_name"]);
    identity.refuses(stale, Code::Aborted, Reason::EtagMismatch).await;
    let delete = |etag: &str| DeleteAccountRequest {
        name: made.name.clone(),
        etag: etag.into(),
        ..Default::default()
    };
    let stale = identity.delete_account(delete(&made.etag));
    identity.refuses(stale, Code::Aborted, Reason::EtagMismatch).await;
    identity.delete_account(delete(&renamed.etag)).await.expect("deleted");
}

#[tokio::test]
async fn an_account_goes_with_its_root_user_and_leaves_no_secret() {
    let home = Home::new();
    let identity = home.start().await;
    let made = identity
        .account_with(AccountSettings { retention_seconds: 3600, ..Default::default() })
        .await;
    let (account, root) = (made.account.expect("there"), made.root_user.expect("there"));
    let other = identity.account("Other").await;
    let alice = identity.user(&account.name, "alice").await.expect("created");
    let retained = identity.access_key(&root.name).await.expect("created").access_key;
    identity.delete_key(&retained.expect("there").name).await.expect("deleted");
    let delete = |name: &str| DeleteAccountRequest { name: name.into(), ..Default::default() };
    let kept = identity.delete_account(delete(&account.name));
    identity.refuses(kept, Code::FailedPrecondition, Reason::AccountHasUsers).await;

    let remove = DeleteUserRequest { name: alice.name, ..Default::default() };
    identity.delete_user(remove).await.expect("deleted");
    assert_eq!(identity.data_keys().await, 3);
    let by_number = format!("accounts/{}", account.account_number);
    let deleted = identity.delete_account(delete(&by_number)).await.expect("deleted");
    assert_eq!(identity.data_keys().await, 1, "of its keys, also the retained, none is left");

    let events = ListEventsRequest { account: account.name.clone(), ..Default::default() };
    let events = identity.all_events(events).await;
    assert_eq!(events.last().expect("there").position, deleted.position);
    let gone = async |identity: &Identity| {
        for name in [&account.name, &by_number] {
            refused(get(identity, name).await, Code::NotFound, Reason::NoSuchAccount);
            let again = identity.delete_account(delete(name));
            identity.refuses(again, Code::NotFound, Reason::NoSuchAccount).await;
        }
        identity
            .refuses(identity.user(&account.name, "bob"), Code::NotFound, Reason::NoSuchAccount)
            .await;
        let request = GetUserRequest { name: root.name.clone(), ..Default::default() };
        refused(identity.get_user(request).await, Code::NotFound, Reason::NoSuchAccount);
        let key = made.access_key.clone().expect("there").access_key_id;
        let name = format!("accounts/-/users/-/accessKeys/{key}");
        let request = GetAccessKeyRequest { name, ..Default::default() };
        let got = identity.get_access_key(request).await;
        refused(got, Code::NotFound, Reason::NoSuchAccessKey);
        let listed = identity.list_accounts(ListAccountsRequest::default()).await;
        assert_eq!(listed.expect("listed").accounts, [other.account.clone().expect("there")]);
    };
    gone(&identity).await;
    identity.stop().await;
    assert!(!is_in_files(&home.data_dir(), made.secret_access_key.as_bytes()));
    let identity = home.start().await;
    gone(&identity).await;
    let verified = identity.verify_log(VerifyLogRequest::default()).await.expect("whole");
    assert_eq!(verified.head_position, deleted.position);
}

#[tokio::test]
async fn accounts_are_paged_oldest_first() {
    let home = Home::new();
    let identity = home.start().await;
    let mut made = vec![];
    for n in 0..5 {
        made.push(identity.account(&format!("Account {n}")).await.account.expect("there"));
    }
    let (mut found, mut page_token) = (vec![], String::new());
    loop {
        let request = ListAccountsRequest { page_size: 2, page_token, ..Default::default() };
        let page = identity.list_accounts(request).await.expect("listed");
        assert!(page.accounts.len() <= 2);
        found.extend(page.accounts);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(found, made);
}
