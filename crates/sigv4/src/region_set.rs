//! `X-Amz-Region-Set`: the regions that a signature of Version 4A is good for.

use crate::bytes::trim;
use crate::denial::Denial;
use crate::marked::split;
use crate::mechanism::{Headers, Parameters};
use crate::percent;

/// A region set may have 512 bytes: all regions of AWS by name.
pub(crate) const BYTES_MAX: usize = 512;

/// The regions of a presigned URL of Version 4A: as a parameter or as a signed header, or both the same.
pub(crate) fn of_query<'b>(
    headers: &Headers<'b>,
    parameters: &Parameters<'_>,
    buffer: &'b mut [u8],
) -> Result<Option<&'b [u8]>, Denial> {
    let parameter = parameters.region_set.map(|value| percent::decode(value, buffer));
    match (headers.region_set, parameter) {
        (Some(header), Some(parameter)) if header != parameter => Err(Denial::invalid_request(
            "The header and the query parameter x-amz-region-set are not the same.",
        )),
        (header, parameter) => Ok(header.or(parameter)),
    }
}

/// Whether a region is in `set`: names with commas between, in which `*` stands for any text.
pub(crate) fn covers(set: &[u8], region: &[u8]) -> bool {
    split(set, b',').map(trim).any(|pattern| matches(pattern, region))
}

/// Whether `pattern`, in which `*` stands for any text, is `text`. Goes back to the last `*` only, which is
/// enough, and bounds the work by the product of the lengths.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut text_at) = (0, 0);
    let mut star = None;
    while text_at < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, text_at));
                at += 1;
            }
            Some(byte) if *byte == text[text_at] => {
                at += 1;
                text_at += 1;
            }
            Some(_) | None => {
                let Some((star_at, from)) = star else { return false };
                at = star_at + 1;
                text_at = from + 1;
                star = Some((star_at, from + 1));
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_regions_has_names_and_wildcards() {
        let check = |set: &str, expected: bool| {
            assert_eq!(covers(set.as_bytes(), b"us-east-1"), expected, "{set}");
        };
        for set in
            ["us-east-1", "eu-west-3, us-east-1", "*", "us-*", "*-1", "u*-*t-*1", "**", "x,*"]
        {
            check(set, true);
        }
        for set in
            ["", ",", "us-east-2", "us-east-1x", "us-east", "US-EAST-1", "*-2", "us-*-1-*", "?"]
        {
            check(set, false);
        }
    }
}
