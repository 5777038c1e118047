//! `claviger key`.

use api::identity::v1::{
    AccessKey, AccessKeyState, CreateAccessKeyRequest, DeleteAccessKeyRequest,
    EndGracePeriodRequest, GetAccessKeyRequest, ListAccessKeysRequest, ListAccessKeysResponse,
    RotateSecretAccessKeyRequest, UpdateAccessKeyRequest,
};
use prost_types::FieldMask;

use super::credential::{self, Credential};
use super::{Client, PAGE_SIZE, call, instant, key_name, last_part, with_client};
use crate::cli::{KeyArgs, KeyCommand};
use crate::exit::Outcome;
use crate::output::Table;

/// Does what was asked for.
pub(crate) async fn run(args: KeyArgs) -> Outcome {
    with_client(args.connection, async |client: &Client| act(client, args.command).await).await
}

async fn act(client: &Client, command: KeyCommand) -> Outcome {
    let output = client.output;
    let mut keys = client.keys();
    match command {
        KeyCommand::Create { user, expires_at, inactive, credential, retry } => {
            let state =
                if inactive { AccessKeyState::Inactive } else { AccessKeyState::Unspecified };
            let access_key =
                AccessKey { state: state.into(), expire_time: expires_at, ..Default::default() };
            let request = CreateAccessKeyRequest {
                parent: client.user(&user).await?,
                access_key: Some(access_key),
                request_id: retry.request_id(),
                ..Default::default()
            };
            let answer = keys.create_access_key(call(request)).await?.into_inner();
            let key = answer.access_key.clone().unwrap_or_default();
            let made = Credential::of(&key, &answer.secret_access_key);
            let full_name = "claviger.identity.v1.CreateAccessKeyResponse";
            credential::show(output, &credential, &made, full_name, &answer, || made.table(&key))
        }
        KeyCommand::Get { id } => {
            let request = GetAccessKeyRequest { name: key_name(&id)?, ..Default::default() };
            let answer = keys.get_access_key(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.GetAccessKeyResponse", &answer, || {
                table(answer.access_key.as_slice())
            })
        }
        KeyCommand::List { user } => list(client, user.as_deref().unwrap_or("-")).await,
        KeyCommand::Activate { id } => {
            let state = AccessKeyState::Active.into();
            update(client, AccessKey { name: key_name(&id)?, state, ..Default::default() }, "state")
                .await
        }
        KeyCommand::Deactivate { id } => {
            let state = AccessKeyState::Inactive.into();
            update(client, AccessKey { name: key_name(&id)?, state, ..Default::default() }, "state")
                .await
        }
        KeyCommand::Expire { id, expiry } => {
            let key =
                AccessKey { name: key_name(&id)?, expire_time: expiry.at, ..Default::default() };
            update(client, key, "expire_time").await
        }
        KeyCommand::Rotate { id, grace_period, credential, retry } => {
            let request = RotateSecretAccessKeyRequest {
                name: key_name(&id)?,
                grace_period_seconds: Some(grace_period),
                request_id: retry.request_id(),
                ..Default::default()
            };
            let answer = keys.rotate_secret_access_key(call(request)).await?.into_inner();
            let key = answer.access_key.clone().unwrap_or_default();
            let made = Credential::of(&key, &answer.secret_access_key);
            let full_name = "claviger.identity.v1.RotateSecretAccessKeyResponse";
            credential::show(output, &credential, &made, full_name, &answer, || made.table(&key))
        }
        KeyCommand::EndGracePeriod { id } => {
            let request = EndGracePeriodRequest { name: key_name(&id)?, ..Default::default() };
            let answer = keys.end_grace_period(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.EndGracePeriodResponse", &answer, || {
                table(answer.access_key.as_slice())
            })
        }
        KeyCommand::Delete { id } => {
            let request = DeleteAccessKeyRequest { name: key_name(&id)?, ..Default::default() };
            let answer = keys.delete_access_key(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.DeleteAccessKeyResponse", &answer, || {
                Table::of_pairs(&[("deleted", &id)])
            })
        }
    }
}

async fn update(client: &Client, key: AccessKey, field: &str) -> Outcome {
    let update_mask = Some(FieldMask { paths: vec![field.to_owned()] });
    let request = UpdateAccessKeyRequest { access_key: Some(key), update_mask, ..Default::default() };
    let answer = client.keys().update_access_key(call(request)).await?.into_inner();
    client.output.show("claviger.identity.v1.UpdateAccessKeyResponse", &answer, || {
        table(answer.access_key.as_slice())
    })
}

async fn list(client: &Client, user: &str) -> Outcome {
    let mut request = ListAccessKeysRequest {
        parent: client.user(user).await?,
        page_size: PAGE_SIZE,
        ..Default::default()
    };
    let mut access_keys = vec![];
    loop {
        let page = client.keys().list_access_keys(call(request.clone())).await?.into_inner();
        access_keys.extend(page.access_keys);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let answer = ListAccessKeysResponse { access_keys, ..Default::default() };
    client
        .output
        .show("claviger.identity.v1.ListAccessKeysResponse", &answer, || table(&answer.access_keys))
}

fn table(keys: &[AccessKey]) -> Table<6> {
    let row = |key: &AccessKey| {
        let state = match key.state() {
            AccessKeyState::Unspecified => "",
            AccessKeyState::Active => "ACTIVE",
            AccessKeyState::Inactive => "INACTIVE",
            AccessKeyState::Expired => "EXPIRED",
            AccessKeyState::Deleted => "DELETED",
            AccessKeyState::NotYetValid => "NOT YET VALID",
        };
        let secrets: Vec<_> = key
            .secrets
            .iter()
            .map(|secret| match &secret.expire_time {
                None => format!("#{}", secret.generation),
                Some(end) => format!("#{} until {end}", secret.generation),
            })
            .collect();
        let holder = key.name.rsplit_once("/accessKeys/").map_or("", |(user, _)| last_part(user));
        [
            key.access_key_id.clone(),
            state.to_owned(),
            instant(key.expire_time.as_ref()),
            secrets.join(", "),
            instant(key.create_time.as_ref()),
            holder.to_owned(),
        ]
    };
    let headings = ["ACCESS KEY ID", "STATE", "EXPIRES", "SECRETS", "CREATED", "USER ID"];
    Table::new(headings, keys.iter().map(row).collect())
}
