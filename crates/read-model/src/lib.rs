//! The in-memory table, filled from the credential feed, that answers "whose key is this?"
//!
//! It holds date keys, never a secret access key, and nothing of it is on disk. Reading takes no
//! lock and allocates nothing; there is one writer, the feed.
//!
//! * A [`Table`] is one state of all credentials. [`Table::apply`] brings it forward.
//! * A [`ReadModel`] is the table that is served now. A snapshot is loaded into a fresh table and
//!   put in place of the old one whole, so that nobody ever sees a part of it.
//! * A [`position`] tells the epoch of the log too: what was seen in another says nothing here.
//!
//! ```
//! use read_model::{AccessKeyRecord, Change, ReadModel, SecretRecord, Table, UserRecord};
//! use sigv4::DateKey;
//!
//! let table = Table::new();
//! table.apply(Change {
//!     users: vec![UserRecord {
//!         user_id: [1; 16],
//!         account_id: [2; 16],
//!         account_number: "123456789012".into(),
//!         user_name: "alice".into(),
//!         root: false,
//!         locked: false,
//!     }],
//!     access_keys: vec![AccessKeyRecord {
//!         access_key_id: "AKIAIOSFODNN7EXAMPLE".into(),
//!         user_id: [1; 16],
//!         active: true,
//!         not_before_ms: None,
//!         expires_at_ms: None,
//!         secrets: vec![SecretRecord {
//!             generation: 1,
//!             expires_at_ms: None,
//!             date_keys: vec![(20_000, DateKey::from_bytes([3; 32]))],
//!         }],
//!     }],
//!     ..Change::default()
//! });
//! table.advance(7);
//!
//! let model = ReadModel::new();
//! model.replace(table);
//! let served = model.table();
//! let table = served.as_ref().expect("was put in place");
//! let keys = table.pin();
//! let key = keys.access_key("AKIAIOSFODNN7EXAMPLE").expect("is known");
//! assert_eq!(key.user().profile().user_name, "alice");
//! assert_eq!(table.position(), 7);
//! ```

mod account;
mod change;
mod id;
mod key;
mod keys;
mod model;
mod on_demand;
pub mod position;
mod secret;
mod signing_keys;
mod table;
mod user;

pub use change::{
    AccessKeyRecord, AccountId, AccountRecord, Change, DateKeyRecord, LockoutMode, SecretRecord,
    UserId, UserRecord,
};
pub use key::{AccessKey, SECRETS_MAX};
pub use model::ReadModel;
pub use on_demand::{Fetched, ON_DEMAND_LIFE, ON_DEMAND_MAX, OlderDay, PublicKeys};
pub use position::NotApplied;
pub use secret::Secret;
pub use table::{Pinned, Table};
pub use user::{Profile, User};
