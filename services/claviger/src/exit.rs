//! How the process ends: one line for people, and a code for scripts.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::ExitCode;

use api::error::v1::Reason;
use tonic::{Code, Status};

/// What the exit code says. Part of the command line's contract: numbers never change meaning.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exit {
    /// It did not work, for a reason that has no code of its own.
    Failed = 1,
    /// The command line, a variable or the configuration file is wrong. (clap's own code.)
    Usage = 2,
    /// What was named does not exist.
    NotFound = 3,
    /// The caller is not known, or may not do this; or a request that was to be verified is denied.
    Denied = 4,
    /// It exists already, has changed meanwhile, or is in a state that forbids this.
    Conflict = 5,
    /// The server cannot be reached or cannot answer now: trying again may help. (`EX_UNAVAILABLE`.)
    Unavailable = 69,
}

/// Why a command ends without success.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What scripts are told.
    pub(crate) exit: Exit,
    /// What people are told.
    pub(crate) message: String,
}

/// What a command comes to.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, message: message.into() }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self { exit: Exit::NotFound, message: message.into() }
    }

    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Self { exit: Exit::Denied, message: message.into() }
    }

    /// Names the server, if it could not be reached.
    pub(crate) fn at(self, endpoint: &str) -> Self {
        match self.exit {
            Exit::Unavailable => Self { message: format!("{endpoint}: {}", self.message), ..self },
            Exit::Failed | Exit::Usage | Exit::NotFound | Exit::Denied | Exit::Conflict => self,
        }
    }

    /// Writes the line to stderr, and gives the code to end with.
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("{self}");
        ExitCode::from(self.exit as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A message may come from a server: it stays on one line and sends nothing to the terminal.
        let line: String =
            self.message.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
        write!(f, "error: {line}")
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        // With the causes after it.
        Self::failed(format!("{error:#}"))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::failed(format!("cannot write the output: {error}"))
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let exit = match status.code() {
            Code::NotFound => Exit::NotFound,
            Code::Unauthenticated | Code::PermissionDenied => Exit::Denied,
            Code::AlreadyExists | Code::Aborted | Code::FailedPrecondition => Exit::Conflict,
            Code::Unavailable | Code::DeadlineExceeded => Exit::Unavailable,
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::InvalidArgument
            | Code::ResourceExhausted
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Internal
            | Code::DataLoss => Exit::Failed,
        };
        let name = match api::reason(&status).map(Reason::name) {
            Some(reason) => reason.to_owned(),
            None => format!("{:?}", status.code()),
        };
        let message = status.message();
        Self { exit, message: format!("{message}{} ({name})", root_cause(&status)) }
    }
}

/// What lies at the bottom of a failure on the way to the server, such as that it refused the
/// connection; empty if the server itself answered.
fn root_cause(status: &Status) -> String {
    let causes = std::iter::successors(status.source(), |error| (*error).source());
    match causes.last().map(ToString::to_string) {
        Some(cause) if !status.message().contains(&cause) => format!(": {cause}"),
        Some(_) | None => String::new(),
    }
}

/// The name of a reason as it travels, such as `NO_SUCH_USER`.
trait Name {
    fn name(self) -> &'static str;
}

impl Name for Reason {
    fn name(self) -> &'static str {
        let name = self.as_str_name();
        name.strip_prefix("REASON_").unwrap_or(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: Status, exit: Exit, line: &str) {
        let failure = Failure::from(status);
        assert_eq!((failure.exit, failure.to_string().as_str()), (exit, line));
    }

    #[test]
    fn a_status_gives_a_code_and_a_line_with_its_reason() {
        check(
            api::status(Code::NotFound, Reason::NoSuchUser, "no such user"),
            Exit::NotFound,
            "error: no such user (NO_SUCH_USER)",
        );
        check(
            api::status(Code::Unauthenticated, Reason::InvalidToken, "the token is not known"),
            Exit::Denied,
            "error: the token is not known (INVALID_TOKEN)",
        );
        check(
            api::status(Code::FailedPrecondition, Reason::UserHasKeys, "has keys"),
            Exit::Conflict,
            "error: has keys (USER_HAS_KEYS)",
        );
        check(
            Status::unavailable("tcp connect error"),
            Exit::Unavailable,
            "error: tcp connect error (Unavailable)",
        );
    }

    #[test]
    fn a_line_stays_a_line() {
        let failure = Failure::failed("a\nb\u{1b}[31m");
        assert_eq!(failure.to_string(), "error: a b [31m");
    }
}
