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
    let ring = Keyring::new(from_bytes(&raw()).unwrap()).with(from_bytes(HEX.as_bytes()).unwrap());
    let printed = format!("{ring:?}");
    assert!(printed.contains("redacted"), "{printed}");
    assert!(!printed.contains("0001") && !printed.contains("0, 1"), "{printed}");
    // What names the key is not the key, nor a part of it.
    assert!(!HEX.contains(&ring.primary().id().to_string()));
}

#[test]
fn a_blob_opens_for_its_purpose_with_any_key_of_the_ring() {
    let (old, new) = (from_bytes(&raw()).unwrap(), KeyEncryptionKey::generate().unwrap());
    let (old_id, before) = (old.id(), Keyring::new(old));
    let sealed = before.seal("dev/state", b"token").unwrap();
    assert!(matches!(before.open("other", &sealed), Err(Error::Opening)));

    let rotated = Keyring::new(new).with(from_bytes(&raw()).unwrap());
    assert_eq!(rotated.open("dev/state", &sealed).unwrap().expose(), b"token");
    assert_ne!(rotated.seal("dev/state", b"token").unwrap()[1..9], old_id.0);

    let without = Keyring::new(KeyEncryptionKey::generate().unwrap());
    let error = without.open("dev/state", &sealed).unwrap_err();
    assert!(matches!(error, Error::NoSuchKek { needed } if needed == old_id));
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
