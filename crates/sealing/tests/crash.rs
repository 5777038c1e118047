//! A process killed while it makes and shreds data keys: what it acknowledged holds.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use sealing::{KeyEncryptionKey, Keyring, Keystore};

const DIR: &str = "SEALING_CRASH_DIR";
const ROUNDS: usize = 5;
const ACKNOWLEDGED_PER_ROUND: usize = 300;

async fn open(dir: &Path) -> Keystore {
    let kek = KeyEncryptionKey::from_file(&dir.join("kek")).unwrap();
    Keystore::open(dir.join("keystore"), Keyring::new(kek)).await.unwrap()
}

#[tokio::test]
async fn a_killed_process_loses_no_data_key_and_leaves_none_that_was_shredded() {
    let dir = tempfile::tempdir().unwrap();
    let kek = KeyEncryptionKey::generate().unwrap();
    fs::write(dir.path().join("kek"), &*kek.expose_hex()).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::Permissions::from_mode(0o600);
        fs::set_permissions(dir.path().join("kek"), mode).unwrap();
    }
    let (mut created, mut shredding, mut shredded) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for round in 0..ROUNDS {
        for line in change_until_killed(dir.path(), round) {
            match line.split_once(' ').unwrap() {
                ("created", id) => created.insert(id.to_owned()),
                ("shredding", id) => shredding.insert(id.to_owned()),
                ("shredded", id) => shredded.insert(id.to_owned()),
                _ => continue,
            };
        }
        let keystore = open(dir.path()).await;
        assert_eq!(keystore.damaged(), 0);
        let ids: BTreeSet<String> = keystore.ids().map(String::from).collect();
        assert!(created.difference(&shredding).all(|id| ids.contains(id)), "round {round}");
        assert!(ids.is_disjoint(&shredded), "round {round}");
        assert!(created.iter().all(|id| keystore.get(id).is_some() == ids.contains(id)));
        assert!(shredded.len() > 10 && ids.len() > 10);
    }
}

/// Starts this test's other half, and kills it under way. Gives the lines that it wrote.
fn change_until_killed(dir: &Path, round: usize) -> Vec<String> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "changes_until_killed", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .env("ROUND", round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let (mut lines, mut line) = (Vec::new(), String::new());
    while output.read_line(&mut line).unwrap() > 0 {
        if line.contains(' ') && line.ends_with('\n') {
            lines.push(line.trim_end().to_owned());
        }
        if lines.len() == ACKNOWLEDGED_PER_ROUND {
            child.kill().unwrap();
        }
        line.clear();
    }
    child.wait().unwrap();
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the half that is killed; run by the test above"]
async fn changes_until_killed() {
    let dir = env::var_os(DIR).unwrap();
    let round = env::var("ROUND").unwrap();
    let keystore = Arc::new(open(Path::new(&dir)).await);
    let say = |what: &str, id: &str| {
        let line = format!("{what} {id}\n");
        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
    };
    let workers = (0..16).map(|worker| {
        let (keystore, round) = (Arc::clone(&keystore), round.clone());
        tokio::spawn(async move {
            for n in 0.. {
                let id = format!("R{round}W{worker}N{n}");
                keystore.create(&id).await.unwrap();
                say("created", &id);
                if n % 3 == 0 {
                    say("shredding", &id);
                    keystore.shred(&id).await.unwrap();
                    say("shredded", &id);
                }
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
}
