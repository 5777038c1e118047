//! Lists, page by page. A token holds where the next page starts; it is opaque to clients, bound
//! to its list, and no secret: whoever holds one may ask for that page anyway.

use sha2::{Digest, Sha256};

use crate::error::Error;

/// Longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 1024;
const PAGE_SIZE_DEFAULT: usize = 100;
const PAGE_SIZE_MAX: usize = 1000;
const CHECK_BYTES: usize = 8;

/// The size of a page for what a client asked: 0 means 100.
///
/// # Errors
/// If it is negative or over 1000.
pub(crate) fn size(asked: i32) -> Result<usize, Error> {
    match usize::try_from(asked) {
        Ok(0) => Ok(PAGE_SIZE_DEFAULT),
        Ok(size) if size <= PAGE_SIZE_MAX => Ok(size),
        Ok(_) | Err(_) => Err(Error::invalid("page_size", "must be 0 to 1000")),
    }
}

/// The token for the page of `list` after `cursor`. `list` names the list and its filters.
pub(crate) fn token(list: &str, cursor: &str) -> String {
    let mut bytes = check(list, cursor).to_vec();
    bytes.extend_from_slice(cursor.as_bytes());
    hex::encode(bytes)
}

/// The cursor in a token for `list`; none in an empty token, which asks for the first page.
///
/// # Errors
/// If the token was not made for this list.
pub(crate) fn cursor(list: &str, token: &str) -> Result<Option<String>, Error> {
    if token.is_empty() {
        return Ok(None);
    }
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Error::InvalidPageToken);
    }
    let bytes = hex::decode(token).map_err(|_| Error::InvalidPageToken)?;
    let (found, cursor) = bytes.split_at_checked(CHECK_BYTES).ok_or(Error::InvalidPageToken)?;
    let cursor = std::str::from_utf8(cursor).map_err(|_| Error::InvalidPageToken)?;
    if found != check(list, cursor) {
        return Err(Error::InvalidPageToken);
    }
    Ok(Some(cursor.to_owned()))
}

fn check(list: &str, cursor: &str) -> [u8; CHECK_BYTES] {
    let mut hash = Sha256::new();
    hash.update(list.len().to_be_bytes());
    hash.update(list);
    hash.update(cursor);
    let digest: [u8; 32] = hash.finalize().into();
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&digest[..CHECK_BYTES]);
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back_to_its_cursor() {
        let token = token("users/a", "alice");
        assert_eq!(cursor("users/a", &token).expect("valid").as_deref(), Some("alice"));
        assert_eq!(cursor("users/a", "").expect("first page"), None);
    }

    #[test]
    fn a_token_that_was_not_made_for_the_list_is_refused() {
        let other = token("users/b", "alice");
        let garbage = ["zz", "00", "é", &"0".repeat(2000), "0000000000000000616c696365", &other];
        for bad in garbage {
            assert!(matches!(cursor("users/a", bad), Err(Error::InvalidPageToken)), "{bad}");
        }
    }

    #[test]
    fn a_page_holds_1_to_1000() {
        assert_eq!(size(0).expect("default"), 100);
        assert_eq!(size(1000).expect("most"), 1000);
        assert!(size(-1).is_err() && size(1001).is_err() && size(i32::MAX).is_err());
    }
}
