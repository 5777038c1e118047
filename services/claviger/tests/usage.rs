//! Help, usage errors and exit codes, without a server.

mod support;

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use support::{claviger, run};

#[track_caller]
fn check(args: &[&str], env: &[(&str, &str)], code: i32, said: &str) {
    let output = claviger().args(args).envs(env.iter().copied()).output().expect("starts");
    let ran = support::Ran::of(&output);
    assert_eq!(ran.code, code, "{args:?}: {}", ran.stderr);
    assert_eq!(ran.stdout, "", "{args:?}");
    assert!(ran.stderr.contains(said), "{args:?}: {}", ran.stderr);
}

#[test]
fn wrong_usage_ends_with_2() {
    check(&[], &[], 2, "Usage: claviger");
    check(&["usr"], &[], 2, "a similar subcommand exists: 'user'");
    check(&["user"], &[], 2, "Usage: claviger user");
    check(&["key", "create"], &[], 2, "<USER>");
    check(&["key", "expire", "AKIA"], &[], 2, "--at <TIME>|--ttl <DURATION>|--never");
    check(&["key", "expire", "AKIA", "--at", ""], &[], 2, "a value is required");
    let two_ends = ["key", "create", "alice", "--ttl", "P1D", "--expires-at", "2030-01-31"];
    check(&two_ends, &[], 2, "cannot be used with");
    check(&["key", "delete", "AKIA", "--etag", ""], &[], 2, "a value is required");
    check(&["key", "update", "AKIA"], &[], 2, "--label <LABEL>|--slot <SLOT>|--no-slot");
    check(&["key", "create", "alice", "--secret-file", "-"], &[], 2, "--access-key-id <ID>");
    check(&["key", "list", "--at", "soon"], &[], 2, "must be a time such as");
    check(&["account", "create", "a", "--retention", "week"], &[], 2, "such as P30D or PT12H");
    check(&["user", "update", "alice"], &[], 2, "--label <LABEL>");
    check(&["user", "create", "alice", "--tag", "blue"], &[], 2, "must be KEY=VALUE");
    check(&["log", "verify", "--public-key", "00"], &[], 2, "must be 64 hexadecimal digits");
    check(&["dev", "--s3-listen", "7100"], &[], 2, "--s3-listen");
    let doctor = |endpoint| ["doctor", "envoy", "--access-key-id", "AKIA", "--endpoint", endpoint];
    let secret = ("AWS_SECRET_ACCESS_KEY", "a secret");
    check(&doctor("http://127.0.0.1:1"), &[], 2, "give --secret-file or set AWS_SECRET_ACCESS_KEY");
    check(&doctor("127.0.0.1:1"), &[secret], 2, "must begin with http:// or https://");
    check(&doctor("http://a/b"), &[secret], 2, "must name a host and no more");
    check(&["user", "list"], &[], 2, "error: no token: set CLAVIGER_TOKEN");
    check(&["user", "list"], &[("CLAVIGER_TOKEN", "short")], 2, "a token must be 16 to 512");
    check(&["user", "list", "--token", "0123456789abcdef"], &[], 2, "unexpected argument");
}

#[test]
fn a_server_that_is_away_ends_with_69() {
    let token = ("CLAVIGER_TOKEN", "0123456789abcdef");
    let args = ["user", "list", "--endpoint", "http://127.0.0.1:1"];
    check(&args, &[token], 69, "error: http://127.0.0.1:1: tcp connect error");
    let args = ["doctor", "envoy", "--access-key-id", "AKIA", "--endpoint", "http://127.0.0.1:1"];
    let secret = ("AWS_SECRET_ACCESS_KEY", "a secret");
    check(&args, &[secret], 69, "error: 127.0.0.1:1: cannot connect");
}

#[test]
fn a_token_file_that_others_may_read_is_refused() {
    let home = tempfile::tempdir().expect("a place");
    let path = home.path().join("token");
    fs::write(&path, "0123456789abcdef\n").expect("written");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("set");
    let file = path.to_str().expect("UTF-8");
    let args = ["user", "list", "--endpoint", "http://127.0.0.1:1", "--token-file", file];
    check(&args, &[], 2, "chmod 600");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("set");
    check(&args, &[], 69, "tcp connect error");
}

#[test]
fn no_server_starts_without_tokens() {
    let home = tempfile::tempdir().expect("a place");
    let kek = ("CLAVIGER_IDENTITY__KEK", "0123456789abcdef0f1e2d3c4b5a6978".repeat(2));
    let token = "0123456789abcdef";
    let admin = ("CLAVIGER_IDENTITY__ADMIN_TOKEN", token);
    let dir = home.path().join("data");
    let identity = ["identity", "--data-dir", dir.to_str().expect("UTF-8")];
    check(&identity, &[], 2, "identity.kek_file is not set, nor is CLAVIGER_IDENTITY__KEK");
    check(
        &identity,
        &[(kek.0, &kek.1)],
        2,
        "identity.admin_token_file is not set, nor is CLAVIGER_IDENTITY__ADMIN_TOKEN",
    );
    check(&identity, &[(kek.0, &kek.1), admin], 2, "identity.auth_token_file is not set");
    check(&["auth"], &[], 2, "auth.admin_token_file is not set");
    check(&["gateway"], &[], 2, "gateway.upstream.endpoint is not set");
    assert!(!dir.exists());
}

#[test]
fn tls_that_would_not_do_what_it_says_is_wrong_usage() {
    let token = ("CLAVIGER_TOKEN", "0123456789abcdef");
    let list = |more: &[&'static str]| [&["user", "list"][..], more].concat();
    let http = "the endpoint does not begin with https://";
    check(&list(&["--tls-ca-file", "ca.pem"]), &[token], 2, http);
    check(&list(&["--tls-server-name", "dns:a"]), &[token], 2, http);
    let https = ["--endpoint", "https://127.0.0.1:1"];
    let [endpoint, uri] = https;
    let missing = ["--tls-ca-file", "/nonexistent/ca.pem"];
    check(&list(&[endpoint, uri, missing[0], missing[1]]), &[token], 2, missing[1]);
    let half = list(&[endpoint, uri, "--tls-key-file", "ann.key"]);
    check(&half, &[token], 2, "--tls-certificate-file and --tls-key-file go together");
    let unnamed = list(&[endpoint, uri, "--tls-server-name", "identity"]);
    check(&unnamed, &[token], 2, "--tls-server-name: identity: must be spiffe://");
    check(
        &list(&[endpoint, "ftp://127.0.0.1"]),
        &[token],
        2,
        "must begin with https:// or http://",
    );

    let kek = ("CLAVIGER_IDENTITY__KEK", "0123456789abcdef0f1e2d3c4b5a6978".repeat(2));
    let identity = |more: &[&str], said: &str| {
        let env = [
            (kek.0, kek.1.as_str()),
            ("CLAVIGER_IDENTITY__ADMIN_TOKEN", "admin-0123456789"),
            ("CLAVIGER_IDENTITY__AUTH_TOKEN", "auth-0123456789abcdef"),
        ];
        check(&[&["identity", "--data-dir", "/nonexistent"][..], more].concat(), &env, 2, said);
    };
    let ann = "spiffe://example.org/ann";
    let unasked = "identity.operators needs identity.tls.certificate_file and identity.tls.ca_file";
    identity(&["--operator", ann], unasked);
    let tls = ["--tls-certificate-file", "a.pem", "--tls-key-file", "a.key", "--tls-ca-file", "ca"];
    let with_tls = |more: &[&'static str]| [&tls[..], more].concat();
    identity(&with_tls(&["--operator", "ann"]), "identity.operators: ann: must be spiffe://");
    let twice = with_tls(&["--operator", ann, "--auth", "dns:auth", "--gateway", ann]);
    identity(&twice, "spiffe://example.org/ann is on two lists, operators and gateways");
    identity(&tls, "a.pem");
    identity(&tls[..2], "identity.tls.certificate_file and identity.tls.key_file go together");
    identity(&tls[4..], "identity.tls.ca_file is set, and of no use without");
    let require = "--tls-require-client-certificate";
    identity(&[require], "identity.tls.require_client_certificate needs");
    identity(&[&tls[..4], &[require]].concat(), "identity.tls.require_client_certificate needs");

    let auth = |more: &[&str], said: &str| {
        let env = [
            ("CLAVIGER_AUTH__ADMIN_TOKEN", "admin-0123456789"),
            ("CLAVIGER_AUTH__GATEWAY_TOKEN", "gateway-0123456789"),
        ];
        check(&[&["auth"][..], more].concat(), &env, 2, said);
    };
    auth(&[], "auth.auth_token_file is not set");
    auth(&tls, "and https:// in auth.identity");
    auth(&tls[4..], "auth.tls.ca_file is set, and of no use without https:// in auth.identity");
    auth(&["--tls-server-name", "dns:a"], "auth.tls.server_name is set, and of no use without");

    let gateway = [
        ["gateway", "--upstream-endpoint", "http://127.0.0.1:1"],
        ["--upstream-access-key-id", "a", "--tls-certificate-file"],
        ["a.pem", "--tls-key-file", "a.key"],
    ];
    let secret = ("CLAVIGER_GATEWAY__UPSTREAM__SECRET_ACCESS_KEY", "s3cr3t");
    let said = "neither gateway.auth nor gateway.identity begins with https://";
    check(&gateway.concat(), &[secret], 2, said);
}

#[test]
fn a_misspelt_setting_is_an_error() {
    check(&["auth"], &[("CLAVIGER_AUTH__LISTNE", "x")], 2, "CLAVIGER_AUTH__LISTNE is no setting");
    let home = tempfile::tempdir().expect("a place");
    let path = home.path().join("claviger.toml");
    fs::write(&path, "[auth]\nlistne = 'x'\n").expect("written");
    check(&["auth", "--config", path.to_str().expect("UTF-8")], &[], 2, "listne");
}

#[test]
fn help_names_the_variable_of_each_flag() {
    let help = run(&["identity", "--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (0, ""));
    for variable in ["CLAVIGER_CONFIG", "CLAVIGER_IDENTITY__DATA_DIR", "CLAVIGER_IDENTITY__KEK"] {
        assert!(help.stdout.contains(variable), "{variable}");
    }
    assert!(run(&["--help"]).stdout.contains("Exit codes: 0 done"));
}

#[test]
fn version_completion_and_manual_are_printed() {
    let version = run(&["version", "-o", "json"]).json();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(run(&["--version"]).stdout, run(&["version"]).stdout);
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completion", shell]);
        assert_eq!(script.code, 0);
        assert!(script.stdout.contains("claviger"), "{shell}");
    }
    assert!(run(&["man"]).stdout.contains(".TH claviger"));
    let home = tempfile::tempdir().expect("a place");
    let dir = home.path().join("man");
    assert_eq!(run(&["man", "--dir", dir.to_str().expect("UTF-8")]).code, 0);
    assert!(dir.join("claviger-key-create.1").exists());
    assert!(dir.join("claviger-admin-token-revoke.1").exists());
}

#[test]
fn flags_go_before_variables_and_those_before_the_file() {
    let home = tempfile::tempdir().expect("a place");
    let path = home.path().join("claviger.toml");
    let config = path.to_str().expect("UTF-8");
    // Ports that are taken: the error tells which address was tried.
    let taken = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("free"));
    let [file, variable, flag] =
        taken.each_ref().map(|listener| listener.local_addr().expect("bound").to_string());
    fs::write(&path, format!("[auth]\nlisten = '{file}'\n")).expect("written");
    let token = "0123456789abcdef";
    let tokens = ["ADMIN", "AUTH", "GATEWAY"].map(|name| format!("CLAVIGER_AUTH__{name}_TOKEN"));
    let values = ["a", "b", "c"].map(|end| format!("{token}{end}"));
    let tokens = [0, 1, 2].map(|at: usize| (tokens[at].as_str(), values[at].as_str()));
    let listen = ("CLAVIGER_AUTH__LISTEN", variable.as_str());
    let by_variable = [tokens[0], tokens[1], tokens[2], listen];
    let tried = |address: &str| format!("error: cannot listen on {address} (auth.listen)");

    check(&["auth", "--config", config], &tokens, 1, &tried(&file));
    check(&["auth", "--config", config], &by_variable, 1, &tried(&variable));
    let flags = ["auth", "--config", config, "--listen", &flag];
    check(&flags, &by_variable, 1, &tried(&flag));
}
