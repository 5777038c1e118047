//! `claviger doctor`: which setting of a proxy breaks what clients sign.

mod exchange;
mod probe;

use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use tokio::time::timeout;
use zeroize::Zeroizing;

use self::exchange::{Answer, Endpoint};
use self::probe::{FIRST, PROBES, Probe, Signer, Trick};
use crate::cli::{DoctorArgs, DoctorCommand, DoctorEnvoyArgs};
use crate::config::secret;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, Table};

const SECRET_VARIABLE: &str = "AWS_SECRET_ACCESS_KEY";
/// How long one answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Does what was asked for.
pub(crate) async fn run(args: DoctorArgs) -> Outcome {
    match args.command {
        DoctorCommand::Envoy(args) => envoy(&args).await,
    }
}

/// What became of one probe. Names are part of the command line's contract.
#[derive(Debug, Serialize)]
struct Found {
    probe: &'static str,
    outcome: Verdict,
    /// The HTTP status of the answer.
    status: u16,
    /// The S3 error code of the answer, if it has one.
    code: Option<String>,
    /// What to set, if it is not well.
    set: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Broken,
}

async fn envoy(args: &DoctorEnvoyArgs) -> Outcome {
    let secret = secret::find(SECRET_VARIABLE, args.secret_file.as_deref(), None);
    let secret: Zeroizing<String> = secret
        .and_then(|secret| {
            secret.with_context(|| format!("give --secret-file or set {SECRET_VARIABLE}"))
        })
        .map_err(|error| Failure::usage(format!("{error:#}")))?;
    let endpoint = Endpoint::parse(&args.endpoint, args.tls_ca_file.clone())
        .map_err(|error| Failure::usage(format!("--endpoint: {error:#}")))?;
    let signer = Signer {
        access_key_id: &args.access_key_id,
        secret: &secret,
        region: &args.region,
        bucket: &args.bucket,
    };
    let mut found = vec![];
    for (index, probe) in PROBES.iter().enumerate() {
        let answer = ask(&endpoint, &signer, probe).await?;
        let outcome = judge(probe, &answer)?;
        let is_counted = answer.code.as_deref() == Some("SignatureDoesNotMatch");
        let set = (outcome == Verdict::Broken).then_some(probe.set);
        let Answer { status, code } = answer;
        found.push(Found { probe: probe.name, outcome, status, code, set });
        if outcome == Verdict::Broken && index < FIRST {
            break;
        }
        if is_counted && index >= FIRST {
            // Else whoever asks would soon be locked out: what is right takes back what was counted.
            ask(&endpoint, &signer, &PROBES[FIRST - 1]).await?;
        }
    }
    args.output.show_value(&found, || text(&found))?;
    match found.iter().filter(|found| found.outcome == Verdict::Broken).count() {
        0 => Ok(()),
        broken => Err(Failure::failed(format!("{broken} of {} probes broke", found.len()))),
    }
}

async fn ask(endpoint: &Endpoint, signer: &Signer<'_>, probe: &Probe) -> Outcome<Answer> {
    let request = signer.request(probe, endpoint.authority())?;
    let answer = timeout(ANSWER_MAX, endpoint.exchange(&request)).await;
    let answer = answer.map_err(|_| anyhow::anyhow!("there was no answer in {ANSWER_MAX:?}"));
    answer.and_then(|answer| answer).map_err(|error| Failure {
        exit: Exit::Unavailable,
        message: format!("{}: {error:#}", endpoint.authority()),
    })
}

/// What an answer says of what is probed.
///
/// # Errors
/// If it says nothing of it: nobody could be asked, or the access key is no good.
fn judge(probe: &Probe, answer: &Answer) -> Outcome<Verdict> {
    let code = answer.code.as_deref().unwrap_or_default();
    let says = |failure: fn(String) -> Failure| {
        Err(failure(format!("the proxy answers {} {code}", answer.status)))
    };
    match (code, answer.status) {
        ("InvalidAccessKeyId" | "RequestTimeTooSkewed" | "AuthorizationHeaderMalformed", _) => {
            says(Failure::denied)
        }
        (_, 500..) => says(|message| Failure { exit: Exit::Unavailable, message }),
        ("SignatureDoesNotMatch", 403) if probe.trick == Trick::WrongSecret => Ok(Verdict::Ok),
        _ if probe.trick == Trick::WrongSecret => Ok(Verdict::Broken),
        ("SignatureDoesNotMatch", _) | (_, 300..400) => Ok(Verdict::Broken),
        // Those of S3 have a code: it is the proxy that says no.
        ("", 400..500) if answer.status != 404 => Ok(Verdict::Broken),
        ("InvalidURI" | "BadRequest", _) => Ok(Verdict::Broken),
        _ => Ok(Verdict::Ok),
    }
}

fn text(found: &[Found]) -> String {
    let rows = found.iter().map(|found| {
        let outcome = match found.outcome {
            Verdict::Ok => "ok",
            Verdict::Broken => "broken",
        };
        let code = found.code.as_deref().unwrap_or_default();
        let answer = format!("{} {code}", found.status);
        let set = found.set.unwrap_or_default().to_owned();
        [found.probe.to_owned(), outcome.to_owned(), answer.trim_end().to_owned(), set]
    });
    output::table_text(&Table::new(["PROBE", "OUTCOME", "ANSWER", "SET"], rows.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_tells_of_the_probe_or_of_nothing() {
        let find = |trick| PROBES.iter().find(|probe| probe.trick == trick).expect("there");
        let check = |trick, status, code: &str, expected: Result<Verdict, Exit>| {
            let code = Some(code.to_owned()).filter(|code| !code.is_empty());
            let verdict = judge(find(trick), &Answer { status, code: code.clone() });
            assert_eq!(verdict.map_err(|failure| failure.exit), expected, "{status} {code:?}");
        };
        let plain = Trick::None;
        check(plain, 200, "", Ok(Verdict::Ok));
        check(plain, 404, "NoSuchKey", Ok(Verdict::Ok));
        check(plain, 403, "AccessDenied", Ok(Verdict::Ok));
        check(plain, 403, "SignatureDoesNotMatch", Ok(Verdict::Broken));
        check(plain, 400, "", Ok(Verdict::Broken));
        check(plain, 307, "", Ok(Verdict::Broken));
        check(plain, 503, "ServiceUnavailable", Err(Exit::Unavailable));
        check(plain, 403, "InvalidAccessKeyId", Err(Exit::Denied));
        let wrong = Trick::WrongSecret;
        check(wrong, 403, "SignatureDoesNotMatch", Ok(Verdict::Ok));
        check(wrong, 404, "NoSuchKey", Ok(Verdict::Broken));
        check(wrong, 403, "AccessDenied", Ok(Verdict::Broken));
        check(wrong, 200, "", Ok(Verdict::Broken));
        check(wrong, 403, "InvalidAccessKeyId", Err(Exit::Denied));
        check(wrong, 503, "", Err(Exit::Unavailable));
    }
}
