//! `claviger account`.

use api::event::v1::{AccountSettings, LockoutMode, Spelling};
use api::identity::v1::{
    Account, CreateAccountRequest, CreateAccountResponse, DeleteAccountRequest, GetAccountRequest,
    ListAccountsRequest, ListAccountsResponse, UpdateAccountRequest,
};
use prost_types::FieldMask;

use super::credential::{self, Credential};
use super::{Client, PAGE_SIZE, account_name, all, call, instant, with_client};
use crate::cli::{AccountArgs, AccountCommand, CredentialArgs, Lockout, SettingsArgs};
use crate::exit::{Failure, Outcome};
use crate::output::Table;

/// Does what was asked for.
pub(crate) async fn run(args: AccountArgs) -> Outcome {
    with_client(args.connection, async |client: &Client| act(client, args.command).await).await
}

async fn act(client: &Client, command: AccountCommand) -> Outcome {
    let output = client.output;
    let mut accounts = client.accounts();
    match command {
        AccountCommand::Create { name, settings, credential, retry } => {
            let mut account = Account { display_name: name, ..Default::default() };
            let (settings, paths) = settings_of(settings);
            // Settings of which none was given are those of the server.
            account.settings = Some(settings).filter(|_| !paths.is_empty());
            let request =
                CreateAccountRequest { account: Some(account), request_id: retry.request_id() };
            let answer = accounts.create_account(call(request)).await?.into_inner();
            show_created(client, &answer, &credential)
        }
        AccountCommand::Get { id } => {
            let name = named(client, id).await?;
            let request = GetAccountRequest { name, ..Default::default() };
            let answer = accounts.get_account(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.GetAccountResponse", &answer, || {
                details(&answer.account.clone().unwrap_or_default())
            })
        }
        AccountCommand::List => list(client).await,
        AccountCommand::Update { id, name, settings, clear_expiry_notices, change } => {
            let (settings, mut paths) = settings_of(settings);
            if clear_expiry_notices {
                paths.push("settings.expiry_notice_seconds".to_owned());
            }
            if name.is_some() {
                paths.push("display_name".to_owned());
            }
            if paths.is_empty() {
                return Err(Failure::usage("nothing to change: give --name or a setting"));
            }
            let account = Account {
                name: named(client, id).await?,
                display_name: name.unwrap_or_default(),
                settings: Some(settings),
                etag: change.etag(),
                ..Default::default()
            };
            let request = UpdateAccountRequest {
                account: Some(account),
                update_mask: Some(FieldMask { paths }),
                request_id: change.request_id(),
            };
            let answer = accounts.update_account(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.UpdateAccountResponse", &answer, || {
                details(&answer.account.clone().unwrap_or_default())
            })
        }
        AccountCommand::Delete { id, force, change } => {
            let request = DeleteAccountRequest {
                name: account_name(&id),
                request_id: change.request_id(),
                etag: change.etag(),
                force,
            };
            let answer = accounts.delete_account(call(request)).await?.into_inner();
            output.show("claviger.identity.v1.DeleteAccountResponse", &answer, || {
                Table::of_pairs(&[("deleted", &id)])
            })
        }
    }
}

/// The resource name of the account that a command names, or else --account.
async fn named(client: &Client, id: Option<String>) -> Outcome<String> {
    match id {
        Some(id) => Ok(account_name(&id)),
        None => client.account().await,
    }
}

/// The settings that were given, and the paths of an update mask that names them.
fn settings_of(args: SettingsArgs) -> (AccountSettings, Vec<String>) {
    let mut settings = AccountSettings::default();
    let mut paths = vec![];
    let mut given = |name: &str| paths.push(format!("settings.{name}"));
    if let Some(max) = args.keys_per_user {
        given("access_keys_per_user_max");
        settings.access_keys_per_user_max = max;
    }
    if let Some(max) = args.max_lifetime {
        given("access_key_lifetime_seconds_max");
        settings.access_key_lifetime_seconds_max = max;
    }
    if let Some(seconds) = args.default_grace_period {
        given("default_grace_period_seconds");
        settings.default_grace_period_seconds = seconds;
    }
    if let Some(mode) = args.lockout {
        given("lockout_mode");
        settings.set_lockout_mode(match mode {
            Lockout::Off => LockoutMode::Off,
            Lockout::PerSource => LockoutMode::PerSource,
            Lockout::PerKey => LockoutMode::PerKey,
        });
    }
    if let Some(seconds) = args.retention {
        given("retention_seconds");
        settings.retention_seconds = seconds;
    }
    if !args.expiry_notice.is_empty() {
        given("expiry_notice_seconds");
        settings.expiry_notice_seconds = args.expiry_notice;
    }
    if let Some(days) = args.rotation_due_days {
        given("rotation_due_days");
        settings.rotation_due_days = days;
    }
    if let Some(spelling) = args.spelling {
        given("spelling");
        settings.set_spelling(match spelling {
            crate::cli::Spelling::Aws => Spelling::Aws,
            crate::cli::Spelling::Outscale => Spelling::Outscale,
        });
    }
    if let Some(max) = args.buckets {
        given("buckets_max");
        settings.buckets_max = max;
    }
    (settings, paths)
}

async fn list(client: &Client) -> Outcome {
    let accounts = all(async |page_token| {
        let request =
            ListAccountsRequest { page_size: PAGE_SIZE, page_token, ..Default::default() };
        let page = client.accounts().list_accounts(call(request)).await?.into_inner();
        Ok((page.accounts, page.next_page_token))
    });
    let answer = ListAccountsResponse { accounts: accounts.await?, ..Default::default() };
    client
        .output
        .show("claviger.identity.v1.ListAccountsResponse", &answer, || table(&answer.accounts))
}

fn show_created(client: &Client, answer: &CreateAccountResponse, args: &CredentialArgs) -> Outcome {
    let account = answer.account.clone().unwrap_or_default();
    let user = answer.root_user.clone().unwrap_or_default();
    let key = answer.access_key.clone().unwrap_or_default();
    let credential = Credential {
        access_key_id: &key.access_key_id,
        secret_access_key: &answer.secret_access_key,
    };
    let full_name = "claviger.identity.v1.CreateAccountResponse";
    credential::show(client.output, args, &credential, full_name, answer, || {
        Table::of_pairs(&[
            ("account", &account.display_name),
            ("account number", &account.account_number),
            ("account id", &account.account_id),
            ("root user", &user.user_name),
            ("access key id", credential.access_key_id),
            ("secret access key", credential.secret_access_key),
            ("expires", &instant(key.expire_time.as_ref())),
        ])
    })
}

fn table(accounts: &[Account]) -> Table<4> {
    let row = |account: &Account| {
        [
            account.display_name.clone(),
            account.account_number.clone(),
            account.account_id.clone(),
            instant(account.create_time.as_ref()),
        ]
    };
    Table::new(["NAME", "NUMBER", "ID", "CREATED"], accounts.iter().map(row).collect())
}

/// One account with its settings, a line each.
fn details(account: &Account) -> Table<2> {
    let settings = account.settings.clone().unwrap_or_default();
    let notices: Vec<_> = settings.expiry_notice_seconds.iter().map(seconds).collect();
    Table::of_pairs(&[
        ("name", &account.display_name),
        ("number", &account.account_number),
        ("id", &account.account_id),
        ("created", &instant(account.create_time.as_ref())),
        ("changed", &instant(account.update_time.as_ref())),
        ("access keys per user", &settings.access_keys_per_user_max.to_string()),
        ("longest lifetime", &seconds(&settings.access_key_lifetime_seconds_max)),
        ("default grace period", &seconds(&settings.default_grace_period_seconds)),
        ("lockout", lockout(settings.lockout_mode())),
        ("retention", &seconds(&settings.retention_seconds)),
        ("expiry notices", &notices.join(", ")),
        ("rotation due", &days(settings.rotation_due_days)),
        ("spelling", spelling(settings.spelling())),
        ("buckets at most", &settings.buckets_max.to_string()),
        ("etag", &account.etag),
    ])
}

/// How a spelling that is not the usual one is given on the command line.
pub(super) fn spelling(spelling: Spelling) -> &'static str {
    match spelling {
        Spelling::Unspecified | Spelling::Aws => "",
        Spelling::Outscale => "outscale",
    }
}

/// How a lockout mode is given on the command line.
pub(super) fn lockout(mode: LockoutMode) -> &'static str {
    match mode {
        LockoutMode::Unspecified => "",
        LockoutMode::Off => "off",
        LockoutMode::PerSource => "per-source",
        LockoutMode::PerKey => "per-key",
    }
}

/// A number of seconds in a column; nothing if there are none.
pub(super) fn seconds<T: Copy + Into<u64>>(seconds: &T) -> String {
    match (*seconds).into() {
        0 => String::new(),
        seconds if seconds % 86_400 == 0 => {
            days(u32::try_from(seconds / 86_400).unwrap_or(u32::MAX))
        }
        seconds => format!("{seconds} s"),
    }
}

/// A number of days in a column; nothing if there are none.
pub(super) fn days(days: u32) -> String {
    if days == 0 { String::new() } else { format!("{days} d") }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Settings {
        #[command(flatten)]
        settings: SettingsArgs,
    }

    #[track_caller]
    fn check(args: &str, paths: &[&str], expected: &AccountSettings) {
        let args = Settings::parse_from(["test"].into_iter().chain(args.split_whitespace()));
        let (settings, found) = settings_of(args.settings);
        assert_eq!(&settings, expected);
        let found: Vec<_> =
            found.iter().filter_map(|path| path.strip_prefix("settings.")).collect();
        assert_eq!(found, paths);
    }

    #[test]
    fn an_update_names_what_was_given() {
        check("", &[], &AccountSettings::default());
        // What is set back to nothing is given, too.
        check("--retention 0", &["retention_seconds"], &AccountSettings::default());
        let settings = AccountSettings {
            access_keys_per_user_max: 2,
            access_key_lifetime_seconds_max: 7_776_000,
            default_grace_period_seconds: 3600,
            lockout_mode: LockoutMode::PerKey.into(),
            retention_seconds: 60,
            expiry_notice_seconds: vec![604_800, 86_400],
            rotation_due_days: 90,
            spelling: Spelling::Outscale.into(),
            buckets_max: 50,
        };
        let args = "--keys-per-user 2 --max-lifetime P90D --default-grace-period PT1H \
                    --lockout per-key --retention 60 --expiry-notice P1W --expiry-notice P1D \
                    --rotation-due-days 90 --spelling outscale --buckets 50";
        let paths = [
            "access_keys_per_user_max",
            "access_key_lifetime_seconds_max",
            "default_grace_period_seconds",
            "lockout_mode",
            "retention_seconds",
            "expiry_notice_seconds",
            "rotation_due_days",
            "spelling",
            "buckets_max",
        ];
        check(args, &paths, &settings);
    }

    #[test]
    fn seconds_are_shown_as_days_where_they_are() {
        assert_eq!([0_u64, 60, 86_400, 604_800].map(|s| seconds(&s)), ["", "60 s", "1 d", "7 d"]);
    }
}
