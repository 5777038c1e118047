//! What is to be set of Keystone's API.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use anyhow::ensure;
use sigv4::{EXPIRES_SECONDS_MAX, SKEW_SECONDS_MAX};
use zeroize::Zeroizing;

/// The roles of whoever signed, where none are set.
pub const KEYSTONE_ROLES: [&str; 1] = ["member"];
/// How long ago a request may have been signed, where nothing is set.
pub const KEYSTONE_MAX_AGE: Duration = Duration::from_secs(SKEW_SECONDS_MAX as u64);

/// A machine's secret: so long that nobody guesses it, and that to compare it need not take long.
const PASSWORD_BYTES_MIN: usize = 20;
const PASSWORD_BYTES_MAX: usize = 512;
const SERVICES_MAX: usize = 64;
const ROLES_MAX: usize = 16;
const NAME_BYTES_MAX: usize = 64;

/// Keystone's API, by which a Ceph RGW and OpenStack Swift ask who signed a request.
#[derive(Clone, Debug)]
pub struct Keystone {
    /// Who may ask: 1 to 64, no two of one name and domain.
    pub services: Vec<KeystoneService>,
    /// What whoever signed is in its account, for the asking store to go by: 1 to 16 names. Usually
    /// [`KEYSTONE_ROLES`].
    pub roles: Vec<String>,
    /// How long ago a request may have been signed that is asked about: 15 minutes to 7 days. Usually
    /// [`KEYSTONE_MAX_AGE`]: whoever asks does not say whether it was a presigned URL, nor its end.
    pub max_age: Duration,
}

/// One who may ask by Keystone's API: a Ceph RGW, or a Swift.
#[derive(Clone)]
pub struct KeystoneService {
    /// Its user name, 1 to 64 bytes, as its domain and project have.
    pub name: String,
    /// The name of its domain, usually `Default`.
    pub domain: String,
    /// The name of its project, usually `service`.
    pub project: String,
    /// 20 to 512 bytes. Zeroed on drop, never printed.
    pub password: Zeroizing<String>,
    /// What the password was before: good as well, for the time of a change.
    pub old_password: Option<Zeroizing<String>>,
}

impl Keystone {
    /// # Errors
    /// Says what is wrong, and never a password.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let count = self.services.len();
        ensure!((1..=SERVICES_MAX).contains(&count), "keystone has {count} services, not 1 to 64");
        ensure!(
            (1..=ROLES_MAX).contains(&self.roles.len()) && self.roles.iter().all(|it| is_name(it)),
            "keystone's roles must be 1 to 16 names of 1 to 64 visible ASCII characters"
        );
        let max = Duration::from_secs(EXPIRES_SECONDS_MAX.into());
        ensure!(
            (KEYSTONE_MAX_AGE..=max).contains(&self.max_age),
            "keystone's max_age must be 15 minutes to 7 days"
        );
        let mut seen = BTreeSet::new();
        for service in &self.services {
            let KeystoneService { name, domain, project, .. } = service;
            ensure!(
                [name, domain, project].into_iter().all(|it| is_name(it)),
                "name, domain and project of a keystone service must each be 1 to 64 visible ASCII \
                 characters"
            );
            ensure!(seen.insert((domain, name)), "the keystone service {name} is there twice");
            for password in [Some(&service.password), service.old_password.as_ref()] {
                let fits = |it: &Zeroizing<String>| {
                    (PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX).contains(&it.len())
                };
                ensure!(
                    password.is_none_or(fits),
                    "the password of the keystone service {name} must have 20 to 512 bytes"
                );
            }
        }
        Ok(())
    }
}

fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl fmt::Debug for KeystoneService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeystoneService")
            .field("name", &self.name)
            .field("domain", &self.domain)
            .field("project", &self.project)
            .field("password", &"redacted")
            .field("old_password", &self.old_password.as_ref().map(|_| "redacted"))
            .finish()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const PASSWORD: &str = "s3cr3t-of-twenty-bytes";

    pub(crate) fn keystone() -> Keystone {
        Keystone {
            services: vec![KeystoneService {
                name: "rgw".to_owned(),
                domain: "Default".to_owned(),
                project: "service".to_owned(),
                password: Zeroizing::new(PASSWORD.to_owned()),
                old_password: None,
            }],
            roles: KEYSTONE_ROLES.map(str::to_owned).to_vec(),
            max_age: KEYSTONE_MAX_AGE,
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_without_a_password() {
        let check = |what: &str, change: fn(&mut Keystone), expected: bool| {
            let mut keystone = keystone();
            change(&mut keystone);
            let checked = keystone.check();
            assert_eq!(checked.is_ok(), expected, "{what}: {checked:?}");
            let said = format!("{keystone:?} {checked:?}");
            assert!(!said.contains("s3cr3t"), "{what}: {said}");
        };
        let short = |text: &str| Zeroizing::new(text.to_owned());
        check("right", |_| {}, true);
        check("nobody", |it| it.services.clear(), false);
        check("twice", |it| it.services.push(it.services[0].clone()), false);
        check("no roles", |it| it.roles.clear(), false);
        check("a role without a name", |it| it.roles[0].clear(), false);
        check("a role of two words", |it| it.roles[0] = "a b".to_owned(), false);
        check("a week", |it| it.max_age = Duration::from_secs(604_800), true);
        check("more", |it| it.max_age = Duration::from_secs(604_801), false);
        check("less", |it| it.max_age = Duration::from_secs(899), false);
        check("no domain", |it| it.services[0].domain.clear(), false);
        for text in ["s3cr3t", &"s3cr3t".repeat(100)] {
            let mut keystone = keystone();
            keystone.services[0].old_password = Some(short(text));
            let error = keystone.check().expect_err("too short or too long").to_string();
            assert!(!error.contains("s3cr3t"), "{error}");
            keystone.services[0].password = short(text);
            assert!(keystone.check().is_err());
        }
    }
}
