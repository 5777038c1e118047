//! Passwords: set, shown, replaced and gone.

mod support;

use api::auth::v1::Principal;
use api::error::v1::Reason;
use api::identity::v1::authentication_service_client::AuthenticationServiceClient;
use api::identity::v1::*;
use support::{Home, Identity, is_in_files, mask, refused};
use tonic::{Code, Request, Status};

const PASSWORD: &str = "correct horse battery staple";
const HERE: &str = "192.0.2.7";
const MINUTE_MS: u64 = 60_000;

/// What a gateway is told of a login and a password that came from this address.
async fn shown(
    identity: &Identity,
    login: &str,
    password: &str,
    from: &str,
) -> Result<Principal, Status> {
    let (login, password) = (login.to_owned(), password.to_owned());
    let mut request = Request::new(VerifyPasswordRequest { login, password });
    let gateway = identity.tokens.gateway.as_ref().expect("given").expose();
    let said = [
        ("authorization", format!("Bearer {gateway}")),
        ("claviger-facade", "osc".to_owned()),
        ("claviger-source-address", from.to_owned()),
    ];
    for (name, value) in said {
        request.metadata_mut().insert(name, value.parse().expect("ASCII"));
    }
    let mut client = AuthenticationServiceClient::new(identity.connection());
    let answer = client.verify_password(request).await?.into_inner();
    Ok(answer.principal.expect("there"))
}

async fn check_wrong(identity: &Identity, login: &str, password: &str) {
    let answer = shown(identity, login, password, HERE).await;
    refused(answer, Code::Unauthenticated, Reason::WrongPassword);
}

async fn set(identity: &Identity, name: &str, password: &str) -> Result<User, Status> {
    let (name, password) = (name.to_owned(), password.to_owned());
    let request = SetPasswordRequest { name, password, ..Default::default() };
    let answer = identity.users().set_password(request).await?.into_inner();
    Ok(answer.user.expect("there"))
}

async fn remove(identity: &Identity, name: &str) -> User {
    let request = RemovePasswordRequest { name: name.to_owned(), ..Default::default() };
    let answer = identity.users().remove_password(request).await.expect("removed").into_inner();
    answer.user.expect("there")
}

/// An account with a user `alice` that has a password, and the account's number.
async fn alice(identity: &Identity) -> (User, String) {
    let account = identity.account("Acme").await.account.expect("there");
    let user = identity.user(&account.name, "alice").await.expect("created");
    assert_eq!(user.password_set_time, None);
    let user = set(identity, &user.name, PASSWORD).await.expect("set");
    assert!(user.password_set_time.is_some());
    (user, account.account_number)
}

#[tokio::test]
async fn a_login_and_its_password_say_who_it_is_also_after_a_restart() {
    let home = Home::new();
    let identity = home.start().await;
    let (user, number) = alice(&identity).await;
    let expected = Principal {
        account_id: user.name.split('/').nth(1).expect("an id").to_owned(),
        account_number: number.clone(),
        user_id: user.user_id.clone(),
        user_name: "alice".to_owned(),
        root: false,
        arn: format!("arn:aws:iam::{number}:user/alice"),
    };
    for login in [format!("alice@{number}"), format!("ALICE@{number}")] {
        assert_eq!(shown(&identity, &login, PASSWORD, HERE).await.expect("right"), expected);
    }
    identity.stop().await;
    let identity = home.start().await;
    let login = format!("alice@{number}");
    assert_eq!(shown(&identity, &login, PASSWORD, HERE).await.expect("right"), expected);
    identity.stop().await;
}

#[tokio::test]
async fn what_is_not_right_is_refused_in_one_way() {
    let home = Home::new();
    let identity = home.start().await;
    let (user, number) = alice(&identity).await;
    let other = identity.account("Other").await.account.expect("there").account_number;
    let login = format!("alice@{number}");
    for (login, password) in [
        (login.as_str(), "correct horse battery stapl"),
        (&format!("alice@{other}"), PASSWORD),
        (&format!("root@{number}"), PASSWORD),
        (&format!("bob@{number}"), PASSWORD),
        ("alice@000000000000", PASSWORD),
        ("alice", PASSWORD),
        ("@", PASSWORD),
    ] {
        check_wrong(&identity, login, password).await;
    }
    let lock = LockUserRequest { name: user.name.clone(), ..Default::default() };
    identity.users().lock_user(lock).await.expect("locked");
    check_wrong(&identity, &login, PASSWORD).await;
    let unlock = UnlockUserRequest { name: user.name.clone(), ..Default::default() };
    identity.users().unlock_user(unlock).await.expect("unlocked");
    shown(&identity, &login, PASSWORD, HERE).await.expect("right again");
    for (login, password) in
        [("", "x"), ("x", ""), (&*"x".repeat(129), "x"), ("x", &*"x".repeat(129))]
    {
        let answer = shown(&identity, login, password, HERE).await;
        refused(answer, Code::InvalidArgument, Reason::InvalidField);
    }
    identity.stop().await;
}

#[tokio::test]
async fn a_password_has_a_form() {
    let home = Home::new();
    let identity = home.start().await;
    let (user, number) = alice(&identity).await;
    for bad in ["", "1234567", &"x".repeat(129), "12345678\n", "1234\u{0}5678"] {
        let answer = set(&identity, &user.name, bad).await;
        refused(answer, Code::InvalidArgument, Reason::InvalidField);
    }
    for good in ["12345678", "        ", "pässwörter 密码", &"x".repeat(128)] {
        set(&identity, &user.name, good).await.expect("set");
        shown(&identity, &format!("alice@{number}"), good, HERE).await.expect("right");
    }
    identity.stop().await;
}

#[tokio::test]
async fn a_password_ends_when_it_is_replaced_or_removed_and_with_its_user() {
    let home = Home::new();
    let identity = home.start().await;
    let (user, number) = alice(&identity).await;
    let login = format!("alice@{number}");
    let data_keys = identity.data_keys().await;
    set(&identity, &user.name, "another password").await.expect("set");
    assert_eq!(identity.data_keys().await, data_keys, "the old one's data key is destroyed");
    check_wrong(&identity, &login, PASSWORD).await;
    shown(&identity, &login, "another password", HERE).await.expect("right");

    let renamed = User { user_name: "alicia".into(), ..user.clone() };
    let rename = UpdateUserRequest {
        user: Some(User { etag: String::new(), ..renamed }),
        update_mask: mask(["user_name"]),
        ..Default::default()
    };
    identity.users().update_user(rename).await.expect("renamed");
    check_wrong(&identity, &login, "another password").await;
    let login = format!("alicia@{number}");
    shown(&identity, &login, "another password", HERE).await.expect("right");

    assert_eq!(remove(&identity, &user.name).await.password_set_time, None);
    assert_eq!(remove(&identity, &user.name).await.password_set_time, None);
    assert_eq!(identity.data_keys().await, data_keys - 1);
    check_wrong(&identity, &login, "another password").await;

    set(&identity, &user.name, PASSWORD).await.expect("set");
    let delete = DeleteUserRequest { name: user.name.clone(), ..Default::default() };
    identity.users().delete_user(delete).await.expect("deleted");
    assert_eq!(identity.data_keys().await, data_keys - 1);
    check_wrong(&identity, &login, PASSWORD).await;

    let request = ListEventsRequest { page_size: 1000, ..Default::default() };
    let events = identity.all_events(request).await;
    let payloads = events.iter().map(|event| format!("{:?}", event.payload));
    let told = payloads.filter(|payload| payload.contains("UserPassword")).count();
    assert_eq!(told, 6, "three were set, and three removed");
    identity.stop().await;
}

#[tokio::test]
async fn neither_a_password_nor_its_hash_is_in_a_file() {
    let home = Home::new();
    let identity = home.start().await;
    let (user, _) = alice(&identity).await;
    let stale = SetPasswordRequest {
        name: user.name.clone(),
        password: "never to be set".into(),
        etag: "stale".into(),
    };
    let answer = identity.users().set_password(stale).await;
    refused(answer, Code::Aborted, Reason::EtagMismatch);
    for hidden in [PASSWORD, "never to be set", "argon2"] {
        assert!(!is_in_files(&home.data_dir(), hidden.as_bytes()), "{hidden} is in a file");
    }
    assert!(is_in_files(&home.data_dir(), b"alice"), "the files are looked into");
    identity.stop().await;
    let image = is_in_files(&home.data_dir(), b"argon2");
    assert!(!image, "a checkpoint holds it sealed too");
}

#[tokio::test]
async fn who_tries_in_vain_has_to_wait_and_nobody_else() {
    let home = Home::new();
    let identity = home.start().await;
    let (_, number) = alice(&identity).await;
    let login = format!("alice@{number}");
    for _ in 0..4 {
        check_wrong(&identity, &login, "wrong password").await;
    }
    let paused = shown(&identity, &login, PASSWORD, HERE).await;
    assert!(paused.as_ref().is_err_and(|status| status.message().contains("60 s")), "{paused:?}");
    refused(paused, Code::ResourceExhausted, Reason::TooManyWrongPasswords);
    shown(&identity, &login, PASSWORD, "192.0.2.8").await.expect("right, from elsewhere");
    identity.clock.advance(MINUTE_MS);
    shown(&identity, &login, PASSWORD, HERE).await.expect("right");
    // Who was right has four more.
    for _ in 0..4 {
        check_wrong(&identity, &login, "wrong password").await;
    }
    // Also one login that nobody has.
    for _ in 0..4 {
        check_wrong(&identity, "nobody@000000000000", "wrong password").await;
    }
    let paused = shown(&identity, "NOBODY@000000000000", "wrong password", HERE).await;
    refused(paused, Code::ResourceExhausted, Reason::TooManyWrongPasswords);
    identity.stop().await;
}

#[tokio::test]
async fn no_more_are_tried_at_once_than_are_counted() {
    let home = Home::new();
    let identity = home.start().await;
    let (_, number) = alice(&identity).await;
    let login = format!("alice@{number}");
    let tries = (0..20).map(|_| shown(&identity, &login, "wrong password", HERE));
    let answers = futures::future::join_all(tries).await;
    let tried = answers.iter().filter(|answer| {
        let reason = answer.as_ref().err().and_then(api::reason);
        reason == Some(Reason::WrongPassword)
    });
    assert_eq!(tried.count(), 4);
    identity.stop().await;
}
