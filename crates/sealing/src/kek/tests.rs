use std::fs;

use super::*;

const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn raw() -> Vec<u8> {
    (0..32).collect()
}

#[cfg(unix)]
fn chmod(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn from_bytes(bytes: &[u8]) -> Result<KeyEncryptionKey, Error> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kek");
    fs::write(&path, bytes).unwrap();
    #[cfg(unix)]
    chmod(&path, 0o600);
    KeyEncryptionKey::from_file(&path)
}

#[test]
fn a_file_may_hold_raw_bytes_hexadecimal_or_base64() {
    let expected = from_bytes(&raw()).unwrap();
    for text in [HEX, BASE64, &HEX.to_uppercase()] {
        for end in ["", "\n", "\r\n"] {
            let key = from_bytes(format!("{text}{end}").as_bytes()).unwrap();
            assert_eq!(key.key.expose(), expected.key.expose(), "{text:?} {end:?}");
        }
    }
}

#[test]
fn what_is_no_key_is_refused_and_not_repeated() {
    for text in ["", "\n", "secret", &HEX[2..], &format!("{HEX}00"), &HEX.repeat(3), &BASE64[4..]] {
        let error = from_bytes(text.as_bytes()).unwrap_err();
        assert!(matches!(error, Error::KeyFormat { .. }), "{text:?}: {error}");
        assert!(text.len() < 6 || !error.to_string().contains(text.trim()));
    }
    assert!(matches!(from_bytes(&[7; 33]), Err(Error::KeyFormat { .. })));
    let missing = KeyEncryptionKey::from_file(Path::new("/nowhere/kek"));
    assert!(matches!(missing, Err(Error::Io { .. })));
    assert!(matches!(KeyEncryptionKey::from_env("NO_SUCH_KEK"), Err(Error::KeyFormat { .. })));
}

#[test]
fn what_nobody_drew_at_random_is_refused_and_not_repeated() {
    let few: String = "01ff02fe03fd04fc".repeat(4);
    let pass_phrase = "correct horse battery staple 987";
    let half = "5f1d7c90a2b34e688d3f0b9c6a7e2154";
    for text in ["00".repeat(32), "AB".repeat(32), few, STANDARD.encode([7; 32])] {
        for error in [from_bytes(text.as_bytes()), KeyEncryptionKey::from_text("env", &text)] {
            let error = error.unwrap_err();
            assert!(matches!(error, Error::WeakKey { .. }), "{text:?}: {error}");
            assert!(!error.to_string().contains(&text[..8]), "{error}");
        }
    }
    for bytes in [&[0; 32], pass_phrase.as_bytes(), half.as_bytes()] {
        let error = from_bytes(bytes).unwrap_err();
        assert!(matches!(error, Error::WeakKey { .. }), "{error}");
        let text = str::from_utf8(&bytes[..4]).unwrap();
        assert!(!error.to_string().contains(text), "{error}");
    }
}

#[test]
fn a_key_is_read_alike_from_text_content_and_file() {
    let expected = from_bytes(&raw()).unwrap().id();
    assert_eq!(KeyEncryptionKey::from_text("here", HEX).unwrap().id(), expected);
    assert_eq!(KeyEncryptionKey::from_text("here", &format!("{BASE64}\n")).unwrap().id(), expected);
    assert_eq!(KeyEncryptionKey::from_content("here", &raw()).unwrap().id(), expected);
    assert_eq!(KeyEncryptionKey::from_content("here", HEX.as_bytes()).unwrap().id(), expected);
    let error = KeyEncryptionKey::from_text("variable KEK", &HEX[2..]).unwrap_err();
    assert!(error.to_string().starts_with("variable KEK holds no key: "), "{error}");
}

#[test]
fn a_ring_tells_its_keys_and_has_each_once() {
    let [one, two] = [(); 2].map(|()| KeyEncryptionKey::generate().unwrap());
    let (one_id, two_id) = (one.id(), two.id());
    let again = KeyEncryptionKey::from_text("again", &one.expose_hex()).unwrap();
    let ring = Keyring::new(one).with(two).unwrap();
    assert_eq!(ring.ids().collect::<Vec<_>>(), [one_id, two_id]);
    assert_eq!(one_id.to_string().len(), 16);

    let hex = again.expose_hex();
    let error = ring.with(again).unwrap_err();
    assert!(matches!(error, Error::DuplicateKek(id) if id == one_id), "{error}");
    assert!(error.to_string().contains(&one_id.to_string()), "{error}");
    assert!(!error.to_string().contains(&hex[..8]), "{error}");
}

#[cfg(unix)]
#[test]
fn a_file_that_others_may_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kek");
    fs::write(&path, HEX).unwrap();
    for mode in [0o640, 0o604, 0o660, 0o644, 0o602] {
        chmod(&path, mode);
        let error = KeyEncryptionKey::from_file(&path).unwrap_err();
        assert!(matches!(error, Error::Exposed { mode: found, .. } if found == mode), "{error}");
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
    chmod(&path, 0o400);
    assert!(KeyEncryptionKey::from_file(&path).is_ok());
}

#[test]
fn a_written_key_is_read_back() {
    let key = KeyEncryptionKey::generate().unwrap();
    let read = from_bytes(key.expose_hex().as_bytes()).unwrap();
    assert_eq!(read.id(), key.id());
    assert_ne!(key.id(), KeyEncryptionKey::generate().unwrap().id());
}

#[test]
fn nothing_secret_is_printed() {
    let other = KeyEncryptionKey::generate().unwrap();
    let (other_hex, ring) = (other.expose_hex(), Keyring::new(from_bytes(&raw()).unwrap()));
    let ring = ring.with(other).unwrap();
    let printed = format!("{ring:?}");
    assert!(printed.contains("redacted"), "{printed}");
    assert!(!printed.contains("0001") && !printed.contains("0, 1"), "{printed}");
    assert!(!printed.contains(&other_hex[..8]));
    // What names the key is not the key, nor a part of it.
    assert!(!HEX.contains(&ring.primary().id().to_string()));
}

#[test]
fn a_blob_opens_for_its_purpose_with_any_key_of_the_ring() {
    let (old, new) = (from_bytes(&raw()).unwrap(), KeyEncryptionKey::generate().unwrap());
    let (old_id, before) = (old.id(), Keyring::new(old));
    let sealed = before.seal("dev/state", b"token").unwrap();
    assert!(matches!(before.open("other", &sealed), Err(Error::Opening)));

    let rotated = Keyring::new(new).with(from_bytes(&raw()).unwrap()).unwrap();
    assert_eq!(rotated.open("dev/state", &sealed).unwrap().expose(), b"token");
    assert_ne!(rotated.seal("dev/state", b"token").unwrap()[1..9], old_id.0);

    let without = Keyring::new(KeyEncryptionKey::generate().unwrap());
    let error = without.open("dev/state", &sealed).unwrap_err();
    assert!(matches!(error, Error::NoSuchKek { needed, .. } if needed == old_id));
    assert!(error.to_string().contains(&old_id.to_string()), "{error}");
}

#[test]
fn a_changed_blob_is_refused() {
    let ring = Keyring::new(from_bytes(&raw()).unwrap());
    let sealed = ring.seal("dev/state", b"token").unwrap();
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(ring.open("dev/state", &changed).is_err(), "byte {at}");
        assert!(ring.open("dev/state", &sealed[..at]).is_err(), "first {at} bytes");
    }
}
