//! Faults that are asked for, as they travel to the child in an environment variable.

use std::fmt;

/// Makes some calls on some files fail.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// Which calls.
    pub call: Call,
    /// The name of the file, without folders; all files when empty.
    pub file: String,
    /// Which of these calls.
    pub when: When,
    /// What they do instead.
    pub failure: Failure,
}

/// Calls that can fail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Call {
    /// `fsync` and `fdatasync`.
    Sync,
    /// `write`, `pwrite` and their like.
    Write,
    /// Whatever takes room of the disk: `fallocate`, and writing where the file has no blocks. Asking
    /// how much there is (`statvfs`) is one too, whatever file the rule is about, and not counted.
    Grow,
}

/// Which calls of those that a rule is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum When {
    /// The n-th, from 1.
    At(u64),
    /// The n-th, from 1, and all after it.
    From(u64),
    /// While a flag is up, see [`crate::raise`]. Its name is one word.
    While(String),
}

/// What a call does that should fail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failure {
    /// Fails with `EIO`; of a write, nothing is written.
    Io,
    /// Of a sync: says that all is well, and makes nothing durable. Of a write, as if there were no
    /// rule.
    Lie,
    /// Writes half of the bytes, and says so. Of a sync, as if there were no rule.
    Short,
    /// Writes what fits into so many bytes, over all calls that the rule is about, then fails with
    /// `ENOSPC`. Of a sync, as if there were no rule. Of growing, there is no room at all, as is said to
    /// whoever asks; what has blocks is written over as ever. All else of growing is as if there were no
    /// rule.
    NoRoom(u64),
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call = match self.call {
            Call::Sync => "sync",
            Call::Write => "write",
            Call::Grow => "grow",
        };
        write!(f, "{call}:{}:", self.file)?;
        match &self.when {
            When::At(n) => write!(f, "at:{n}:")?,
            When::From(n) => write!(f, "from:{n}:")?,
            When::While(flag) => write!(f, "while:{flag}:")?,
        }
        match self.failure {
            Failure::Io => f.write_str("io:0"),
            Failure::Lie => f.write_str("lie:0"),
            Failure::Short => f.write_str("short:0"),
            Failure::NoRoom(bytes) => write!(f, "no-room:{bytes}"),
        }
    }
}

impl Rule {
    /// Reads rules, separated by `;`, each as it is displayed.
    pub fn parse_all(text: &str) -> Option<Vec<Self>> {
        text.split(';').filter(|rule| !rule.is_empty()).map(Self::parse).collect()
    }

    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.split(':').collect();
        let [call, file, when, at, failure, bytes] = fields[..] else { return None };
        Some(Self {
            call: match call {
                "sync" => Call::Sync,
                "write" => Call::Write,
                "grow" => Call::Grow,
                _ => return None,
            },
            file: file.to_owned(),
            when: match when {
                "at" => When::At(at.parse().ok()?),
                "from" => When::From(at.parse().ok()?),
                "while" => When::While(at.to_owned()),
                _ => return None,
            },
            failure: match failure {
                "io" => Failure::Io,
                "lie" => Failure::Lie,
                "short" => Failure::Short,
                "no-room" => Failure::NoRoom(bytes.parse().ok()?),
                _ => return None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_displayed_is_read() {
        let rule = |call, when, failure| Rule { call, file: "db".to_owned(), when, failure };
        let rules = [
            rule(Call::Sync, When::At(3), Failure::Io),
            rule(Call::Sync, When::From(3), Failure::Lie),
            rule(Call::Write, When::From(1), Failure::NoRoom(70)),
            rule(Call::Write, When::While("full".to_owned()), Failure::Short),
            rule(Call::Grow, When::While("full".to_owned()), Failure::NoRoom(0)),
        ];
        let text: Vec<String> = rules.iter().map(Rule::to_string).collect();
        assert_eq!(Rule::parse_all(&text.join(";")).as_deref(), Some(&rules[..]));
        assert_eq!(Rule::parse_all(""), Some(Vec::new()));
        assert_eq!(Rule::parse_all("sync:db:at:x:io:0"), None);
    }
}
