//! A credential that was just made, in the forms that programs read.

use api::identity::v1::AccessKey;
use prost::Message;

use super::instant;
use crate::cli::{CredentialArgs, CredentialFormat};
use crate::exit::Outcome;
use crate::output::{self, Format, Table};

/// An access key and its secret, on its way to stdout.
pub(super) struct Credential<'a> {
    pub(super) access_key_id: &'a str,
    pub(super) secret_access_key: &'a str,
}

impl<'a> Credential<'a> {
    pub(super) fn of(key: &'a AccessKey, secret_access_key: &'a str) -> Self {
        Self { access_key_id: &key.access_key_id, secret_access_key }
    }

    pub(super) fn table(&self, key: &AccessKey) -> Table<2> {
        Table::of_pairs(&[
            ("access key id", self.access_key_id),
            ("secret access key", self.secret_access_key),
            ("expires", &instant(key.expire_time.as_ref())),
        ])
    }

    /// The credential for a program; none for the form that is the answer itself.
    fn formatted(&self, args: &CredentialArgs, format: CredentialFormat) -> Option<String> {
        let Self { access_key_id: id, secret_access_key: secret } = self;
        let CredentialArgs { s3_endpoint: endpoint, region, .. } = args;
        match format {
            // A secret that was brought may be any visible ASCII, and a shell reads this.
            CredentialFormat::Env => Some(format!(
                "export AWS_ACCESS_KEY_ID={id}\n\
                 export AWS_SECRET_ACCESS_KEY={}\n\
                 export AWS_DEFAULT_REGION={}\n\
                 export AWS_ENDPOINT_URL={}\n",
                quoted(secret),
                quoted(region),
                quoted(endpoint),
            )),
            CredentialFormat::AwsProfile => Some(format!(
                "[profile claviger]\n\
                 aws_access_key_id = {id}\n\
                 aws_secret_access_key = {secret}\n\
                 region = {region}\n\
                 endpoint_url = {endpoint}\n\
                 s3 =\n  addressing_style = path\n"
            )),
            CredentialFormat::Rclone => Some(format!(
                "[claviger]\n\
                 type = s3\n\
                 provider = Other\n\
                 access_key_id = {id}\n\
                 secret_access_key = {secret}\n\
                 region = {region}\n\
                 endpoint = {endpoint}\n\
                 force_path_style = true\n"
            )),
            CredentialFormat::S3cmd => {
                let host = endpoint.split_once("://").map_or(endpoint.as_str(), |(_, host)| host);
                let host = host.trim_end_matches('/');
                let https = if endpoint.starts_with("https:") { "True" } else { "False" };
                Some(format!(
                    "[default]\n\
                     access_key = {id}\n\
                     secret_key = {secret}\n\
                     bucket_location = {region}\n\
                     host_base = {host}\n\
                     host_bucket = {host}\n\
                     use_https = {https}\n"
                ))
            }
            CredentialFormat::Json => None,
        }
    }
}

impl CredentialArgs {
    /// Whether a program is to read the credential, in a form that nothing else has.
    pub(super) fn is_for_a_program(&self) -> bool {
        self.format.is_some_and(|format| format != CredentialFormat::Json)
    }
}

/// Prints an answer that holds a new credential.
pub(super) fn show<const N: usize>(
    output: Format,
    args: &CredentialArgs,
    credential: &Credential<'_>,
    full_name: &str,
    answer: &impl Message,
    table: impl FnOnce() -> Table<N>,
) -> Outcome {
    let Some(format) = args.format else { return output.show(full_name, answer, table) };
    match credential.formatted(args, format) {
        Some(text) => output::print(&text),
        None => Format::Json.show(full_name, answer, table),
    }
}

/// One word for any shell, which finds nothing in it to do.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_written_and_does_nothing_of_it() {
        let args = CredentialArgs {
            format: Some(CredentialFormat::Env),
            s3_endpoint: "http://a/$(exit 1)?x=1&y='2'".to_owned(),
            region: "eu west;1".to_owned(),
        };
        let secret: String = ('!'..='~').collect();
        let credential = Credential { access_key_id: "AKIA", secret_access_key: &secret };
        let text = credential.formatted(&args, CredentialFormat::Env).expect("is for a program");
        let script = format!(
            "set -eu\n{text}printf '%s\\n' \"$AWS_ACCESS_KEY_ID\" \"$AWS_SECRET_ACCESS_KEY\" \
             \"$AWS_DEFAULT_REGION\" \"$AWS_ENDPOINT_URL\""
        );
        let shell = std::process::Command::new("sh").args(["-c", &script]).output();
        let shell = shell.expect("there is a shell");
        let expected = format!("AKIA\n{secret}\n{}\n{}\n", args.region, args.s3_endpoint);
        assert_eq!(String::from_utf8_lossy(&shell.stdout), expected, "{shell:?}");
        assert!(shell.status.success() && shell.stderr.is_empty(), "{shell:?}");
    }

    fn check(format: CredentialFormat, expected: &str) {
        let args = CredentialArgs {
            format: Some(format),
            s3_endpoint: "https://s3.example.com/".to_owned(),
            region: "eu-west-1".to_owned(),
        };
        let credential = Credential { access_key_id: "AKIA", secret_access_key: "s/+" };
        assert_eq!(credential.formatted(&args, format).as_deref(), Some(expected));
    }

    #[test]
    fn a_credential_is_written_as_programs_read_it() {
        check(
            CredentialFormat::Env,
            "export AWS_ACCESS_KEY_ID=AKIA\nexport AWS_SECRET_ACCESS_KEY='s/+'\n\
             export AWS_DEFAULT_REGION='eu-west-1'\n\
             export AWS_ENDPOINT_URL='https://s3.example.com/'\n",
        );
        check(
            CredentialFormat::S3cmd,
            "[default]\naccess_key = AKIA\nsecret_key = s/+\nbucket_location = eu-west-1\n\
             host_base = s3.example.com\nhost_bucket = s3.example.com\nuse_https = True\n",
        );
        check(
            CredentialFormat::Rclone,
            "[claviger]\ntype = s3\nprovider = Other\naccess_key_id = AKIA\n\
             secret_access_key = s/+\nregion = eu-west-1\nendpoint = https://s3.example.com/\n\
             force_path_style = true\n",
        );
        check(
            CredentialFormat::AwsProfile,
            "[profile claviger]\naws_access_key_id = AKIA\naws_secret_access_key = s/+\n\
             region = eu-west-1\nendpoint_url = https://s3.example.com/\n\
             s3 =\n  addressing_style = path\n",
        );
    }
}
