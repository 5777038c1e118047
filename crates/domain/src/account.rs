//! Accounts: tenants that own users.

use crate::{AccountEvent, AccountNumber, DisplayName, Refusal, Timestamp};

/// What is known of an account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Account {
    /// Its number in ARNs.
    pub number: AccountNumber,
    /// Its name for people.
    pub display_name: DisplayName,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What can be asked of an account.
#[derive(Clone, Debug)]
pub enum Command {
    /// Make the account.
    Create {
        /// Its number in ARNs.
        number: AccountNumber,
        /// Its name for people.
        display_name: DisplayName,
    },
}

/// Decides what `command` does to `account`, which is `None` until it was made.
///
/// # Errors
/// The [`Refusal`] to show to the client; nothing is then recorded.
pub fn decide(account: Option<&Account>, command: Command) -> Result<Vec<AccountEvent>, Refusal> {
    match command {
        Command::Create { .. } if account.is_some() => Err(Refusal::AccountExists),
        Command::Create { number, display_name } => {
            Ok(vec![AccountEvent::Created { number, display_name }])
        }
    }
}

/// Applies one event, recorded at `at`. Total: what is in the log has happened.
pub fn evolve(_account: Option<Account>, event: &AccountEvent, at: Timestamp) -> Option<Account> {
    match event {
        AccountEvent::Created { number, display_name } => {
            Some(Account { number: *number, display_name: display_name.clone(), created_at: at })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_made_once() {
        let create = || Command::Create {
            number: AccountNumber::from_random(7),
            display_name: DisplayName::parse("Acme").expect("valid"),
        };
        let events = decide(None, create()).expect("accepted");
        let account = events
            .iter()
            .fold(None, |state, event| evolve(state, event, chrono::DateTime::UNIX_EPOCH));
        assert_eq!(account.as_ref().map(|account| account.display_name.as_str()), Some("Acme"));
        assert_eq!(decide(account.as_ref(), create()), Err(Refusal::AccountExists));
    }
}
