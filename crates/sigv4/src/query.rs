//! The query of a request target as name and value pairs, still encoded.

use crate::bytes::find;
use crate::marked::split;
use crate::percent;

/// One `name=value` of a query, as it was sent; `name` alone has an empty value.
#[derive(Clone, Copy)]
pub(crate) struct Parameter<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
}

/// Room for every name that authentication knows, and a byte.
pub(crate) const NAME_BYTES_MAX: usize = 24;

impl<'a> Parameter<'a> {
    /// The name decoded, as whoever reads the query later decodes it too. An escaped name that is longer
    /// than any that authentication knows is cut.
    pub(crate) fn decoded_name<'b>(&self, buffer: &'b mut [u8; NAME_BYTES_MAX]) -> &'b [u8]
    where
        'a: 'b,
    {
        if find(self.name, 0, b'%') == self.name.len() {
            return self.name;
        }
        let mut len = 0;
        for (slot, byte) in buffer.iter_mut().zip(percent::decoded(self.name)) {
            *slot = byte;
            len += 1;
        }
        &buffer[..len]
    }
}

/// Where a parameter stands in its query, which is no longer than 16 bits can say: a quarter of the size
/// of a [`Parameter`], for those who keep many on the stack.
#[derive(Clone, Copy, Default)]
pub(crate) struct Place {
    start: u16,
    name_len: u16,
    len: u16,
}

impl Place {
    pub(crate) fn of(self, query: &[u8]) -> Parameter<'_> {
        let piece = &query[usize::from(self.start)..][..usize::from(self.len)];
        let (name, value) = piece.split_at(usize::from(self.name_len));
        Parameter { name, value: value.get(1..).unwrap_or_default() }
    }
}

/// Splits a query at `&` and each piece at its first `=`; empty pieces are nothing.
pub(crate) fn places(query: &[u8]) -> impl Iterator<Item = Place> {
    let mut next = 0;
    split(query, b'&').filter_map(move |piece| {
        let start = next;
        next += piece.len() + 1;
        let name_len = find(piece, 0, b'=');
        let place =
            Place { start: start as u16, name_len: name_len as u16, len: piece.len() as u16 };
        (!piece.is_empty()).then_some(place)
    })
}

/// The parameters of a query in the order received.
pub(crate) fn parameters(query: &[u8]) -> impl Iterator<Item = Parameter<'_>> {
    places(query).map(|place| place.of(query))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_split_at_ampersands_and_first_equals_signs() {
        let pairs: Vec<_> = parameters(b"a=b=c&&d&=e&").map(|p| (p.name, p.value)).collect();
        let expected: [(&[u8], &[u8]); 3] = [(b"a", b"b=c"), (b"d", b""), (b"", b"e")];
        assert_eq!(pairs, expected);
        assert_eq!(parameters(b"").count(), 0);
    }

    #[test]
    fn a_name_is_recognised_however_it_is_escaped_but_not_in_another_case() {
        let is = |raw: &[u8]| {
            let mut buffer = [0; NAME_BYTES_MAX];
            Parameter { name: raw, value: b"" }.decoded_name(&mut buffer) == b"X-Amz-Date"
        };
        assert!(is(b"X-Amz-Date"));
        assert!(is(b"X-Amz%2dD%61te"));
        assert!(!is(b"x-amz-date"));
        assert!(!is(b"X-Amz-Date%00"));
    }
}
