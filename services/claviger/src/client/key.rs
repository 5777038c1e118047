//! `claviger key`.

mod asked;

use api::identity::v1::{
    AccessKey, AccessKeyState, AccessKeyUse, CreateAccessKeyRequest, DeleteAccessKeyRequest,
    DeleteAccessKeyResponse, EndGracePeriodRequest, GetAccessKeyRequest, ListAccessKeysRequest,
    ListAccessKeysResponse, PurgeAccessKeyRequest, ReplaceAccessKeyRequest,
    RotateSecretAccessKeyRequest, UndeleteAccessKeyRequest, UpdateAccessKeyRequest,
};
use prost_types::{FieldMask, Timestamp};

use self::asked::{Change, New};
use super::credential::{self, Credential};
use super::{Client, PAGE_SIZE, all, call, instant, key_name, last_part, with_client};
use crate::cli::{ChangeArgs, CredentialArgs, KeyArgs, KeyCommand};
use crate::exit::Outcome;
use crate::output::{Format, Table};

/// Does what was asked for.
pub(crate) async fn run(args: KeyArgs) -> Outcome {
    with_client(args.connection, async |client: &Client| act(client, args.command).await).await
}

async fn act(client: &Client, command: KeyCommand) -> Outcome {
    let output = client.output;
    let mut keys = client.keys();
    match command {
        KeyCommand::Create { user, new, credential, retry } => {
            let New { access_key, secret_access_key, lifetime_days_max } = New::of(*new)?;
            let request = CreateAccessKeyRequest {
                parent: client.user(&user).await?,
                access_key: Some(access_key),
                request_id: retry.request_id(),
                secret_access_key,
                lifetime_days_max,
                ..Default::default()
            };
            let answer = keys.create_access_key(call(request)).await?.into_inner();
            let key = answer.access_key.clone().unwrap_or_default();
            let made = Credential::of(&key, &answer.secret_access_key);
            let full_name = "claviger.identity.v1.CreateAccessKeyResponse";
            credential::show(output, &credential, &made, full_name, &answer, || made.table(&key))
        }
        KeyCommand::Get { id, at, user } => {
            let mut name = key_name(&id)?;
            if let Some(user) = user {
                name = format!("{}/accessKeys/{id}", client.user(&user).await?);
            }
            let request = GetAccessKeyRequest { name, read_time: at, ..Default::default() };
            let answer = keys.get_access_key(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.GetAccessKeyResponse", &answer, || {
                details(&answer.access_key.clone().unwrap_or_default())
            })
        }
        KeyCommand::List { user, at, older_than_days, deleted } => {
            let parent = client.user(user.as_deref().unwrap_or("-")).await?;
            list(client, parent, at, older_than_days, deleted).await
        }
        KeyCommand::Update { id, changes, change } => {
            update(client, &id, Change::of(changes), change).await
        }
        KeyCommand::Activate { id, change } => {
            update(client, &id, Change::to_state(AccessKeyState::Active), change).await
        }
        KeyCommand::Deactivate { id, change } => {
            update(client, &id, Change::to_state(AccessKeyState::Inactive), change).await
        }
        KeyCommand::Expire { id, end, limit, change } => {
            update(client, &id, Change::to_end(end, &limit), change).await
        }
        KeyCommand::Rotate { id, grace_period, expiry, limit, credential, change } => {
            let request = RotateSecretAccessKeyRequest {
                name: key_name(&id)?,
                grace_period_seconds: grace_period,
                request_id: change.request_id(),
                etag: change.etag(),
                access_key: asked::expiry(expiry),
                lifetime_days_max: limit.max_lifetime_days,
            };
            let answer = keys.rotate_secret_access_key(call(request)).await?.into_inner();
            let key = answer.access_key.clone().unwrap_or_default();
            let made = Credential::of(&key, &answer.secret_access_key);
            let full_name = "claviger.identity.v1.RotateSecretAccessKeyResponse";
            credential::show(output, &credential, &made, full_name, &answer, || made.table(&key))
        }
        KeyCommand::EndGracePeriod { id, change } => {
            let request = EndGracePeriodRequest {
                name: key_name(&id)?,
                request_id: change.request_id(),
                etag: change.etag(),
            };
            let answer = keys.end_grace_period(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.EndGracePeriodResponse", &answer, || {
                table(answer.access_key.as_slice())
            })
        }
        KeyCommand::Replace { id, grace_period, new, credential, change } => {
            let New { access_key, secret_access_key, lifetime_days_max } = New::of(*new)?;
            let request = ReplaceAccessKeyRequest {
                name: key_name(&id)?,
                access_key: Some(access_key),
                secret_access_key,
                grace_period_seconds: grace_period,
                request_id: change.request_id(),
                etag: change.etag(),
                lifetime_days_max,
            };
            let answer = keys.replace_access_key(call(request)).await?.into_inner();
            let key = answer.access_key.clone().unwrap_or_default();
            let made = Credential::of(&key, &answer.secret_access_key);
            let full_name = "claviger.identity.v1.ReplaceAccessKeyResponse";
            credential::show(output, &credential, &made, full_name, &answer, || made.table(&key))
        }
        KeyCommand::Delete { id, replace_last, credential, change } => {
            let request = DeleteAccessKeyRequest {
                name: key_name(&id)?,
                request_id: change.request_id(),
                etag: change.etag(),
                replace_last,
                ..Default::default()
            };
            let answer = keys.delete_access_key(call(request)).await?.into_inner();
            show_deleted(client, &id, &answer, &credential)
        }
        KeyCommand::Undelete { id, change } => {
            let request = UndeleteAccessKeyRequest {
                name: key_name(&id)?,
                request_id: change.request_id(),
                etag: change.etag(),
            };
            let answer = keys.undelete_access_key(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.UndeleteAccessKeyResponse", &answer, || {
                table(answer.access_key.as_slice())
            })
        }
        KeyCommand::Purge { id, change } => {
            let request = PurgeAccessKeyRequest {
                name: key_name(&id)?,
                request_id: change.request_id(),
                etag: change.etag(),
            };
            let answer = keys.purge_access_key(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.PurgeAccessKeyResponse", &answer, || {
                Table::of_pairs(&[("purged", &id)])
            })
        }
    }
}

async fn update(client: &Client, id: &str, what: Change, change: ChangeArgs) -> Outcome {
    let Change { access_key, paths, lifetime_days_max } = what;
    let key = AccessKey { name: key_name(id)?, etag: change.etag(), ..access_key };
    let request = UpdateAccessKeyRequest {
        access_key: Some(key),
        update_mask: Some(FieldMask { paths }),
        request_id: change.request_id(),
        lifetime_days_max,
    };
    let answer = client.keys().update_access_key(call(request)).await?.into_inner();
    client.output.show("claviger.identity.v1.UpdateAccessKeyResponse", &answer, || {
        table(answer.access_key.as_slice())
    })
}

async fn list(
    client: &Client,
    parent: String,
    read_time: Option<Timestamp>,
    older_than_days: u32,
    show_deleted: bool,
) -> Outcome {
    let access_keys = all(async |page_token| {
        let request = ListAccessKeysRequest {
            parent: parent.clone(),
            page_size: PAGE_SIZE,
            page_token,
            read_time,
            older_than_days,
            show_deleted,
            ..Default::default()
        };
        let page = client.keys().list_access_keys(call(request)).await?.into_inner();
        Ok((page.access_keys, page.next_page_token))
    });
    let answer = ListAccessKeysResponse { access_keys: access_keys.await?, ..Default::default() };
    client
        .output
        .show("claviger.identity.v1.ListAccessKeysResponse", &answer, || table(&answer.access_keys))
}

/// Shows the access key that was made in the place of a deleted one, if one was.
fn show_deleted(
    client: &Client,
    id: &str,
    answer: &DeleteAccessKeyResponse,
    args: &CredentialArgs,
) -> Outcome {
    let full_name = "claviger.identity.v1.DeleteAccessKeyResponse";
    match &answer.replacement {
        Some(key) => {
            let made = Credential::of(key, &answer.replacement_secret_access_key);
            credential::show(client.output, args, &made, full_name, answer, || made.table(key))
        }
        // A program that waits for a credential must not take anything else for one.
        None if args.is_for_a_program() => {
            eprintln!("note: {id} was deleted, and none made in its place");
            Ok(())
        }
        None => {
            let output = args.format.map_or(client.output, |_| Format::Json);
            output.show(full_name, answer, || Table::of_pairs(&[("deleted", id)]))
        }
    }
}

fn table(keys: &[AccessKey]) -> Table<8> {
    let row = |key: &AccessKey| {
        [
            key.access_key_id.clone(),
            state(key).to_owned(),
            instant(key.expire_time.as_ref()),
            secrets(key),
            instant(key.create_time.as_ref()),
            instant(key.last_use.as_ref().and_then(|used| used.time.as_ref())),
            holder(key).to_owned(),
            key.label.clone(),
        ]
    };
    let headings = [
        "ACCESS KEY ID",
        "STATE",
        "EXPIRES",
        "SECRETS",
        "CREATED",
        "LAST USED",
        "USER ID",
        "LABEL",
    ];
    Table::new(headings, keys.iter().map(row).collect())
}

/// One access key, a line for each of its fields.
fn details(key: &AccessKey) -> Table<2> {
    let slot = if key.slot == 0 { String::new() } else { key.slot.to_string() };
    let (state, secrets) = (state(key), secrets(key));
    let (created, changed) = (instant(key.create_time.as_ref()), instant(key.update_time.as_ref()));
    let (valid_from, expires) =
        (instant(key.not_before_time.as_ref()), instant(key.expire_time.as_ref()));
    let (deleted, gone) = (instant(key.delete_time.as_ref()), instant(key.purge_time.as_ref()));
    let last_used = last_use(key.last_use.as_ref());
    // Of one secret it is what is told of the access key.
    let in_grace = Some(&key.secrets).filter(|secrets| secrets.len() > 1);
    let of_secrets = in_grace.into_iter().flatten().map(|secret| {
        (format!("last used #{}", secret.generation), last_use(secret.last_use.as_ref()))
    });
    let of_secrets: Vec<_> = of_secrets.collect();
    let mut pairs = vec![
        ("access key id", key.access_key_id.as_str()),
        ("state", state),
        ("user id", holder(key)),
        ("label", &key.label),
        ("slot", &slot),
        ("created", &created),
        ("changed", &changed),
        ("valid from", &valid_from),
        ("expires", &expires),
        ("time to live", &key.time_to_live),
        ("secrets", &secrets),
        ("last used", &last_used),
    ];
    pairs.extend(of_secrets.iter().map(|(name, used)| (name.as_str(), used.as_str())));
    pairs.extend([
        ("imported", if key.imported { "yes" } else { "no" }),
        ("deleted", &deleted),
        ("gone for good", &gone),
        ("etag", &key.etag),
    ]);
    Table::of_pairs(&pairs)
}

/// When, from where and by what, as far as it is known.
fn last_use(used: Option<&AccessKeyUse>) -> String {
    let Some(used) = used else { return String::new() };
    let mut told = instant(used.time.as_ref());
    if !used.source_address.is_empty() {
        told = format!("{told} from {}", used.source_address);
    }
    if !used.user_agent.is_empty() {
        told = format!("{told} by {}", used.user_agent);
    }
    told
}

fn state(key: &AccessKey) -> &'static str {
    match key.state() {
        AccessKeyState::Unspecified => "",
        AccessKeyState::Active => "ACTIVE",
        AccessKeyState::Inactive => "INACTIVE",
        AccessKeyState::Expired => "EXPIRED",
        AccessKeyState::Deleted => "DELETED",
        AccessKeyState::NotYetValid => "NOT YET VALID",
    }
}

/// The generations of its secrets that are valid, and until when.
fn secrets(key: &AccessKey) -> String {
    let secrets: Vec<_> = key
        .secrets
        .iter()
        .map(|secret| match &secret.expire_time {
            None => format!("#{}", secret.generation),
            Some(end) => format!("#{} until {end}", secret.generation),
        })
        .collect();
    secrets.join(", ")
}

/// The id of the user that holds it.
fn holder(key: &AccessKey) -> &str {
    key.name.rsplit_once("/accessKeys/").map_or("", |(user, _)| last_part(user))
}
