//! What `claviger dev` prints once it is ready.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rpc::Token;
use serde::Serialize;
use uuid::Uuid;

use super::KEYSTONE_SERVICE;
use super::password::Login;
use super::state::{Account, Hidden};
use crate::cli::DevOutput;

const ROTATED: &str = "(rotated)";

/// Where everything is.
pub(super) struct Report {
    pub(super) s3: String,
    pub(super) rest: String,
    pub(super) identity: String,
    pub(super) auth: String,
    pub(super) admin: String,
    pub(super) region: &'static str,
    /// By which a store may ask by Keystone's API.
    pub(super) keystone_password: Hidden,
    /// A configuration for the aws CLI.
    pub(super) aws_config: PathBuf,
    /// The folder of the program that runs.
    pub(super) program_dir: PathBuf,
}

impl Report {
    /// Prints it on stdout.
    ///
    /// # Errors
    /// If nobody takes it.
    pub(super) fn print(
        &self,
        output: DevOutput,
        account: &Account,
        secret_is_valid: bool,
        login: &Login,
        admin_token: &Token,
    ) -> io::Result<()> {
        let secret = secret_is_valid.then(|| account.secret_access_key.expose());
        let mut stdout = io::stdout().lock();
        match output {
            DevOutput::Json => {
                let line = serde_json::to_string(&self.json(account, secret, login, admin_token))?;
                writeln!(stdout, "{line}")?;
            }
            DevOutput::Text => self.text(&mut stdout, account, secret, login, admin_token)?,
        }
        stdout.flush()
    }

    fn json<'a>(
        &'a self,
        account: &'a Account,
        secret: Option<&'a str>,
        login: &'a Login,
        admin_token: &'a Token,
    ) -> Line<'a> {
        Line {
            s3: &self.s3,
            rest: &self.rest,
            identity: &self.identity,
            auth: &self.auth,
            admin: &self.admin,
            account: LineAccount { id: account.id, number: &account.number, name: &account.name },
            root: LineRoot {
                access_key_id: &account.access_key_id,
                secret_access_key: secret,
                login: &login.name,
                password: login.password.as_ref().map(Hidden::expose),
            },
            admin_token: admin_token.expose(),
            region: self.region,
            keystone: LineKeystone {
                auth_url: format!("{}/v3", self.rest),
                username: KEYSTONE_SERVICE[0],
                password: self.keystone_password.expose(),
                user_domain_name: KEYSTONE_SERVICE[1],
                project_domain_name: KEYSTONE_SERVICE[1],
                project_name: KEYSTONE_SERVICE[2],
            },
        }
    }

    fn text(
        &self,
        out: &mut impl Write,
        account: &Account,
        secret: Option<&str>,
        login: &Login,
        admin_token: &Token,
    ) -> io::Result<()> {
        let Self { s3, rest, identity, auth, admin, region, .. } = self;
        let (aws_config, program_dir) = (quoted(&self.aws_config), quoted(&self.program_dir));
        let (id, number, name) = (account.id, &account.number, &account.name);
        let access_key_id = &account.access_key_id;
        let secret = secret.unwrap_or(ROTATED);
        let password = login.password.as_ref().map_or(ROTATED, Hidden::expose);
        let login = &login.name;
        let token = admin_token.expose();
        let ([store, _, _], keystone_password) =
            (KEYSTONE_SERVICE, self.keystone_password.expose());
        let authority = identity.trim_start_matches("http://");
        write!(
            out,
            "\
claviger dev is ready. It is for trying out only: there is no TLS, and secrets are printed here.

  S3        {s3}
  REST      {rest}
  identity  {identity}  gRPC
  auth      {auth}  gRPC
  admin     {admin}  /livez /readyz /metrics
  account   {name}  {number}  {id}
  login     {login}  password {password}
  Keystone  {rest}/v3  user {store}  password {keystone_password}

Store objects as the account's root user:

  export AWS_ACCESS_KEY_ID={access_key_id} AWS_SECRET_ACCESS_KEY={secret}
  export AWS_DEFAULT_REGION={region} AWS_ENDPOINT_URL={s3}
  export AWS_CONFIG_FILE={aws_config}
  aws s3 mb s3://demo

Manage users and access keys as an operator:

  export CLAVIGER_ENDPOINT={identity} CLAVIGER_TOKEN={token}
  export PATH=\"$PATH\":{program_dir}
  claviger user create alice
  claviger key create alice
  grpcurl -plaintext -H \"authorization: Bearer $CLAVIGER_TOKEN\" \\
    -d '{{\"parent\": \"accounts/{number}\"}}' \\
    {authority} claviger.identity.v1.UserService/ListUsers

Ctrl-C ends it; what was written is there at the next start.
"
        )
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

/// The line for programs. Keys are only ever added.
#[derive(Serialize)]
struct Line<'a> {
    s3: &'a str,
    rest: &'a str,
    identity: &'a str,
    auth: &'a str,
    admin: &'a str,
    account: LineAccount<'a>,
    root: LineRoot<'a>,
    admin_token: &'a str,
    region: &'a str,
    keystone: LineKeystone<'a>,
}

/// Where and as whom a store asks by Keystone's API, in the words of OpenStack's configurations.
#[derive(Serialize)]
struct LineKeystone<'a> {
    auth_url: String,
    username: &'a str,
    password: &'a str,
    user_domain_name: &'a str,
    project_domain_name: &'a str,
    project_name: &'a str,
}

#[derive(Serialize)]
struct LineAccount<'a> {
    id: Uuid,
    number: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct LineRoot<'a> {
    access_key_id: &'a str,
    /// Null once the secret has been rotated through the API.
    secret_access_key: Option<&'a str>,
    login: &'a str,
    /// Null once another was set, or it was removed, through the API.
    password: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(password: Option<&str>) -> Login {
        let password = password.map(|text| Hidden::new(text.to_owned()));
        Login { name: "root@123456789012".to_owned(), password }
    }

    fn report() -> (Report, Account, Token) {
        let uri = |port: u16| format!("http://127.0.0.1:{port}");
        let report = Report {
            s3: uri(7100),
            rest: uri(7101),
            identity: uri(7110),
            auth: uri(7120),
            admin: uri(7190),
            region: "us-east-1",
            keystone_password: Hidden::new("k3yst0n3".to_owned()),
            aws_config: "/tmp/it's here/aws-config".into(),
            program_dir: "/opt/claviger".into(),
        };
        let account = Account {
            id: Uuid::from_u128(1),
            number: "123456789012".to_owned(),
            name: "dev".to_owned(),
            access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_access_key: Hidden::new("s3cr3t".to_owned()),
            generation: 1,
        };
        (report, account, Token::parse("0123456789abcdef").expect("valid"))
    }

    #[test]
    fn json_has_the_keys_of_the_contract() {
        let (report, account, token) = report();
        let line = |secret, password| {
            let login = login(password);
            let line = report.json(&account, secret, &login, &token);
            serde_json::to_string(&line).expect("it is JSON")
        };
        let expected = concat!(
            r#"{"s3":"http://127.0.0.1:7100","rest":"http://127.0.0.1:7101","#,
            r#""identity":"http://127.0.0.1:7110","auth":"http://127.0.0.1:7120","#,
            r#""admin":"http://127.0.0.1:7190","#,
            r#""account":{"id":"00000000-0000-0000-0000-000000000001","#,
            r#""number":"123456789012","name":"dev"},"#,
            r#""root":{"access_key_id":"AKIAIOSFODNN7EXAMPLE","secret_access_key":"s3cr3t","#,
            r#""login":"root@123456789012","password":"passw0rd"},"#,
            r#""admin_token":"0123456789abcdef","region":"us-east-1","#,
            r#""keystone":{"auth_url":"http://127.0.0.1:7101/v3","username":"store","#,
            r#""password":"k3yst0n3","user_domain_name":"Default","#,
            r#""project_domain_name":"Default","project_name":"service"}}"#,
        );
        assert_eq!(line(Some("s3cr3t"), Some("passw0rd")), expected);
        assert_eq!(line(None, Some("passw0rd")), expected.replace(r#""s3cr3t""#, "null"));
        assert_eq!(line(Some("s3cr3t"), None), expected.replace(r#""passw0rd""#, "null"));
    }

    #[test]
    fn text_has_lines_to_paste() {
        let (report, account, token) = report();
        let text = |secret| {
            let (mut out, login) = (vec![], login(secret));
            report.text(&mut out, &account, secret, &login, &token).expect("written");
            String::from_utf8(out).expect("UTF-8")
        };
        let shown = text(Some("s3cr3t"));
        for line in [
            "  export AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE AWS_SECRET_ACCESS_KEY=s3cr3t\n",
            "  export AWS_DEFAULT_REGION=us-east-1 AWS_ENDPOINT_URL=http://127.0.0.1:7100\n",
            "  login     root@123456789012  password s3cr3t\n",
            "  Keystone  http://127.0.0.1:7101/v3  user store  password k3yst0n3\n",
            "  export AWS_CONFIG_FILE='/tmp/it'\\''s here/aws-config'\n",
            "  export PATH=\"$PATH\":'/opt/claviger'\n",
            "    127.0.0.1:7110 claviger.identity.v1.UserService/ListUsers\n",
        ] {
            assert!(shown.contains(line), "{shown}");
        }
        assert!(text(None).contains("AWS_SECRET_ACCESS_KEY=(rotated)\n"));
    }
}
