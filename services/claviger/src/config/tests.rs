use std::path::PathBuf;

use super::tls::{AuthTls, GatewayTls, IdentityTls, RestTls, S3Tls};
use super::*;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/claviger.example.toml");

/// Settings as flags give them.
fn given<S: Settings>(flags: &[&str]) -> S {
    let command = S::augment_args(clap::Command::new("test"));
    let matches = command.get_matches_from([&["test"], flags].concat());
    S::from_arg_matches(&matches).expect("they are right")
}

/// Loads settings of identity as a file and flags give them, and looks at one of them.
#[track_caller]
fn check(file: &str, flags: &[&str], data_dir: Option<&str>) {
    let home = tempfile::tempdir().expect("a place");
    let path = home.path().join("claviger.toml");
    std::fs::write(&path, file).expect("written");
    let set: Identity = layered(Some(&path), &given(flags)).expect("right");
    assert_eq!(set.data_dir, data_dir.map(PathBuf::from));
}

#[track_caller]
fn check_refused(file: &str, said: &str) {
    let home = tempfile::tempdir().expect("a place");
    let path = home.path().join("claviger.toml");
    std::fs::write(&path, file).expect("written");
    let error = layered(Some(&path), &given::<Identity>(&[])).expect_err("wrong").to_string();
    assert!(error.contains(said), "{error}");
}

#[test]
fn flags_go_before_the_file_and_that_before_nothing() {
    check("", &[], None);
    check("[identity]\ndata_dir = '/file'", &[], Some("/file"));
    check("[identity]\ndata_dir = '/file'", &["--data-dir", "/flag"], Some("/flag"));
    check("[identity]\nlisten = '[::]:1'", &["--data-dir", "/flag"], Some("/flag"));
}

#[test]
fn a_nested_setting_hides_only_itself() {
    let home = tempfile::tempdir().expect("a place");
    let path = home.path().join("claviger.toml");
    let file = "[gateway.upstream]\nendpoint = 'http://file'\nregion = 'file'";
    std::fs::write(&path, file).expect("written");
    let given = given(&["--upstream-region", "flag"]);
    let set: Gateway = layered(Some(&path), &given).expect("right");
    assert_eq!(set.upstream.endpoint.as_deref(), Some("http://file"));
    assert_eq!(set.upstream.region.as_deref(), Some("flag"));
}

#[test]
fn domains_are_repeated_separated_by_commas_or_listed_in_the_file() {
    let home = tempfile::tempdir().expect("a place");
    let path = home.path().join("claviger.toml");
    let file = "[gateway]\ndomains = ['file']\nreserved_buckets = []";
    std::fs::write(&path, file).expect("written");
    let set: Gateway = layered(Some(&path), &given(&[])).expect("right");
    assert_eq!(set.domains, Some(vec!["file".to_owned()]));
    assert_eq!(set.reserved_buckets, Some(vec![]));
    let given = given(&["--domain", "a,b", "--domain", "c", "--reserved-bucket", "admin"]);
    let set: Gateway = layered(Some(&path), &given).expect("right");
    assert_eq!(set.domains, Some(["a", "b", "c"].map(str::to_owned).to_vec()));
    assert_eq!(set.reserved_buckets, Some(vec!["admin".to_owned()]));
}

#[test]
fn further_upstreams_stand_in_the_file_and_their_secrets_in_variables() {
    let home = tempfile::tempdir().expect("a place");
    let path = home.path().join("claviger.toml");
    let file =
        "[[gateway.upstreams]]\nname = 'a-b'\nbuckets = ['x-*']\n[[gateway.upstreams]]\nname = 'c'";
    std::fs::write(&path, file).expect("written");
    let set: Gateway = layered(Some(&path), &given(&["--region", "eu"])).expect("right");
    let names: Vec<_> = set.upstreams.iter().filter_map(|of| of.name.as_deref()).collect();
    assert_eq!(names, ["a-b", "c"]);
    let variable = NamedUpstream::secret_of("a-b");
    assert_eq!(variable, "CLAVIGER_GATEWAY__UPSTREAMS__A_B__SECRET_ACCESS_KEY");
    let refused = |name: &str| refuse_unknown::<Gateway>(std::iter::once(name.to_owned()));
    assert!(refused(&variable).is_ok());
    assert!(refused("CLAVIGER_GATEWAY__UPSTREAMS__A_B__ENDPOINT").is_err());
    check_refused("[[gateway.upstreams]]\nsecret_access_key = 's3cr3t'", "secret_access_key");
}

#[test]
fn who_may_ask_stands_in_the_file_and_passwords_in_variables() {
    let home = tempfile::tempdir().expect("a place");
    let path = home.path().join("claviger.toml");
    let file =
        "[gateway.keystone]\nmax_age_seconds = 3600\n[[gateway.keystone.services]]\nname = 'r.gw'";
    std::fs::write(&path, file).expect("written");
    let given = given(&["--keystone-role", "member,reader"]);
    let set: Gateway = layered(Some(&path), &given).expect("right");
    assert_eq!(set.keystone.services[0].name.as_deref(), Some("r.gw"));
    assert_eq!(set.keystone.max_age_seconds, Some(3600));
    assert_eq!(set.keystone.roles, Some(["member", "reader"].map(str::to_owned).to_vec()));
    let variables = KeystoneService::secrets_of("r.gw");
    assert_eq!(variables[0], "CLAVIGER_GATEWAY__KEYSTONE__SERVICES__R_GW__PASSWORD");
    let refused = |name: &str| refuse_unknown::<Gateway>(std::iter::once(name.to_owned()));
    assert!(variables.iter().all(|variable| refused(variable).is_ok()));
    assert!(refused("CLAVIGER_GATEWAY__KEYSTONE__SERVICES__R_GW__DOMAIN").is_err());
    check_refused("[[gateway.keystone.services]]\npassword = 's3cr3t'", "password");
}

#[test]
fn a_certificate_can_be_required_by_a_flag_with_or_without_a_value() {
    let check = |flags: &[&str], expected| {
        let set: Identity = given(flags);
        assert_eq!(set.tls.require_client_certificate, expected);
    };
    check(&[], None);
    check(&["--tls-require-client-certificate"], Some(true));
    check(&["--tls-require-client-certificate=false"], Some(false));
}

#[test]
fn keys_that_are_not_known_are_refused_also_in_other_tables() {
    check_refused("[identity]\ndata_dri = '/x'", "data_dri");
    check_refused("[auth]\nlisten_on = '/x'", "listen_on");
    check_refused("[gateway.upstream]\nbucket = 'x'", "bucket");
    check_refused("[identify]\n", "identify");
    check_refused("[identity]\nlisten = 7110", "listen");
}

#[test]
fn a_secret_in_the_file_is_refused() {
    check_refused("[identity]\nadmin_token = '0123456789abcdef'", "admin_token");
    check_refused("[gateway.upstream]\nsecret_access_key = 's3cr3t'", "secret_access_key");
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let missing = Path::new("/nonexistent/claviger.toml");
    assert!(layered(Some(missing), &given::<Identity>(&[])).is_err());
}

#[test]
fn a_misspelt_variable_is_refused() {
    let refused = |name: &str| refuse_unknown::<Identity>(std::iter::once(name.to_owned()));
    for fine in [
        "CLAVIGER_IDENTITY__DATA_DIR",
        "CLAVIGER_IDENTITY__ADMIN_TOKEN",
        "CLAVIGER_IDENTITY__ADMIN_TOKEN_FILE",
        "CLAVIGER_AUTH__NONSENSE",
        // As Kubernetes sets them in every pod beside a service of that name.
        "CLAVIGER_IDENTITY_PORT",
        "CLAVIGER_IDENTITY_SERVICE_HOST",
    ] {
        assert!(refused(fine).is_ok(), "{fine}");
    }
    let failure = refused("CLAVIGER_IDENTITY__DATA_DRI").expect_err("misspelt");
    assert!(failure.message.contains("CLAVIGER_IDENTITY__DATA_DRI"));
}

/// The keys that a table of the example shows, set or commented out.
fn shown(example: &str, table: &str) -> Vec<String> {
    let mut within = false;
    let mut keys = vec![];
    for line in example.lines() {
        // A list of tables is commented out, each with its header.
        if let Some(header) = line.trim_start_matches('#').strip_prefix('[') {
            within = header.trim_end_matches(']') == table;
        } else if let Some((key, _)) = line.trim_start_matches('#').split_once(" = ")
            && within
            && !key.contains(' ')
        {
            keys.push(key.to_owned());
        }
    }
    keys.sort();
    keys
}

/// The keys of a table that there are, in the order of the alphabet.
fn keys(table: &impl Serialize) -> Vec<String> {
    let value = serde_json::to_value(table).expect("it is a table");
    let fields = value.as_object().expect("it is a table").iter();
    fields.filter(|(_, value)| !value.is_object()).map(|(key, _)| key.clone()).collect()
}

#[test]
fn the_example_is_right_and_shows_every_key() {
    let example = std::fs::read_to_string(EXAMPLE).expect("it is there");
    let uncommented: String = example
        .lines()
        .map(|line| match line.strip_prefix('#') {
            // A setting is commented out without a space, a comment is written with one.
            Some(setting) if !setting.starts_with(' ') => format!("{setting}\n"),
            Some(_) | None => format!("{line}\n"),
        })
        .collect();
    for text in [&example, &uncommented] {
        Figment::from(Toml::string(text)).extract::<File>().expect("it is right");
    }
    assert_eq!(shown(&example, "identity"), keys(&Identity::default()));
    assert_eq!(shown(&example, "auth"), keys(&Auth::default()));
    assert_eq!(shown(&example, "gateway"), keys(&Gateway::default()));
    assert_eq!(shown(&example, "identity.tls"), keys(&IdentityTls::default()));
    assert_eq!(shown(&example, "auth.tls"), keys(&AuthTls::default()));
    assert_eq!(shown(&example, "gateway.tls"), keys(&GatewayTls::default()));
    assert_eq!(shown(&example, "gateway.s3_tls"), keys(&S3Tls::default()));
    assert_eq!(shown(&example, "gateway.rest_tls"), keys(&RestTls::default()));
    assert_eq!(shown(&example, "gateway.upstream"), keys(&Upstream::default()));
    assert_eq!(shown(&example, "[gateway.upstreams"), keys(&NamedUpstream::default()));
    assert_eq!(shown(&example, "[gateway.cors"), keys(&CorsRule::default()));
    assert_eq!(shown(&example, "gateway.limits"), keys(&Limits::default()));
    assert_eq!(shown(&example, "gateway.keystone"), keys(&Keystone::default()));
    assert_eq!(shown(&example, "[gateway.keystone.services"), keys(&KeystoneService::default()));
}

#[test]
fn guides_show_settings_that_there_are() {
    for (guide, count) in [("gateway.md", 5), ("keystone.md", 1)] {
        let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(guide);
        let guide = std::fs::read_to_string(guide).expect("it is there");
        let blocks = guide.split("```toml\n").skip(1).map(|rest| rest.split("```").next());
        let blocks: Vec<&str> = blocks.flatten().collect();
        assert!(blocks.len() >= count);
        for block in blocks {
            Figment::from(Toml::string(block)).extract::<File>().expect(block);
        }
    }
}
