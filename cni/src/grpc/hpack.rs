//! Header fields as HTTP/2 writes them: RFC 7541.
//!
//! What is sent is plain: a plugin makes one request, so there is nothing to refer back to. What is received may be coded,
//! but refers to nothing that came before either, as the plugin asks for in its settings.

use super::huffman;

/// What is wanted of a block of header fields.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    /// HTTP's `:status`.
    pub(super) http_status: Option<Vec<u8>>,
    /// gRPC's `grpc-status`.
    pub(super) grpc_status: Option<Vec<u8>>,
    /// gRPC's `grpc-message`.
    pub(super) grpc_message: Option<Vec<u8>>,
}

/// Names of appendix A, the static table.
pub(super) const AUTHORITY: u8 = 1;
pub(super) const PATH: u8 = 4;
pub(super) const CONTENT_TYPE: u8 = 31;

/// Whole fields of appendix A.
pub(super) const METHOD_POST: u8 = 3;
pub(super) const SCHEME_HTTP: u8 = 6;

/// The statuses of appendix A, from place 8 on.
const STATUSES: [&[u8]; 7] = [b"200", b"204", b"206", b"304", b"400", b"404", b"500"];
const FIRST_STATUS: usize = 8;

/// How many places appendix A has. Those beyond it are what came before.
const STATIC: usize = 61;

/// Appends a field of appendix A.
pub(super) fn put_indexed(block: &mut Vec<u8>, place: u8) {
    put_integer(block, 0x80, 7, place.into());
}

/// Appends a field whose name stands in appendix A.
pub(super) fn put_named(block: &mut Vec<u8>, name: u8, value: &str) {
    put_integer(block, 0, 4, name.into());
    put_string(block, value);
}

/// Appends a field.
pub(super) fn put(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    put_string(block, name);
    put_string(block, value);
}

fn put_string(block: &mut Vec<u8>, text: &str) {
    put_integer(block, 0, 7, text.len());
    block.extend_from_slice(text.as_bytes());
}

/// RFC 7541, section 5.1. `first` has the bits that stand before the integer in its first byte.
fn put_integer(block: &mut Vec<u8>, first: u8, bits: u8, integer: usize) {
    let most = (1_u8 << bits) - 1;
    if integer < most.into() {
        block.push(first | low(integer));
        return;
    }
    block.push(first | most);
    let mut rest = integer - usize::from(most);
    while rest >= 0x80 {
        block.push(low(rest & 0x7f) | 0x80);
        rest >>= 7;
    }
    block.push(low(rest));
}

fn low(integer: usize) -> u8 {
    u8::try_from(integer).unwrap_or(u8::MAX)
}

/// Reads a whole block. `None` if it isn't one.
pub(super) fn read(block: &[u8]) -> Option<Fields> {
    let mut rest = Rest(block);
    let mut fields = Fields::default();
    while let Some(&first) = rest.0.first() {
        if first & 0x80 != 0 {
            let place = rest.integer(7)?;
            if place == 0 || place > STATIC {
                return None;
            }
            if let Some(status) = place.checked_sub(FIRST_STATUS).and_then(|i| STATUSES.get(i)) {
                fields.http_status = Some(status.to_vec());
            }
        } else if first & 0xe0 == 0x20 {
            // The size of a table that has none here.
            rest.integer(5)?;
        } else {
            let place = rest.integer(if first & 0x40 == 0 { 4 } else { 6 })?;
            let name = match place {
                0 => Some(rest.string()?.plain()?),
                place if place > STATIC => return None,
                place if (FIRST_STATUS..FIRST_STATUS + STATUSES.len()).contains(&place) => {
                    Some(b":status".to_vec())
                }
                _ => None,
            };
            let value = rest.string()?;
            let wanted = match name.as_deref() {
                Some(b":status") => &mut fields.http_status,
                Some(b"grpc-status") => &mut fields.grpc_status,
                Some(b"grpc-message") => &mut fields.grpc_message,
                _ => continue,
            };
            *wanted = Some(value.plain()?);
        }
    }
    Some(fields)
}

/// What is yet to be read of a block.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    /// An integer that begins in the last `bits` of the next byte. None is larger than a block can be long.
    fn integer(&mut self, bits: u8) -> Option<usize> {
        let most = (1_u8 << bits) - 1;
        let mut integer = usize::from(self.byte()? & most);
        if integer < usize::from(most) {
            return Some(integer);
        }
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            integer += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(integer);
            }
        }
        None
    }

    fn string(&mut self) -> Option<Text<'a>> {
        let is_coded = *self.0.first()? & 0x80 != 0;
        let length = self.integer(7)?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(Text { is_coded, bytes })
    }
}

/// A string as it was sent. Most need not be read.
struct Text<'a> {
    is_coded: bool,
    bytes: &'a [u8],
}

impl Text<'_> {
    fn plain(&self) -> Option<Vec<u8>> {
        if self.is_coded {
            huffman::decode(self.bytes)
        } else {
            Some(self.bytes.to_vec())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The HTTP status, gRPC's and its message in a block.
    fn read_text(block: &[u8]) -> Option<[Option<String>; 3]> {
        let fields = read(block)?;
        let text = |bytes: Option<Vec<u8>>| bytes.map(|bytes| String::from_utf8(bytes).unwrap());
        Some([fields.http_status, fields.grpc_status, fields.grpc_message].map(text))
    }

    fn text(text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn the_examples_of_the_rfc_are_written_and_read() {
        // RFC 7541, C.1: integers.
        for (integer, bytes) in [(10, &[10][..]), (1337, &[31, 154, 10])] {
            let mut block = Vec::new();
            put_integer(&mut block, 0, 5, integer);
            assert_eq!(block, bytes);
            assert_eq!(Rest(bytes).integer(5), Some(integer));
        }
        // C.2.1 to C.2.4: every form of a field.
        let mut block = Vec::new();
        put_named(&mut block, PATH, "/sample/path");
        assert_eq!(block, b"\x04\x0c/sample/path");
        assert_eq!(read_text(&block), Some([None, None, None]));
        assert_eq!(
            read_text(b"\x40\x0acustom-key\x0dcustom-header"),
            Some([None, None, None])
        );
        assert_eq!(read_text(b"\x10\x08password\x06secret"), Some([None, None, None]));
        let mut block = Vec::new();
        put_indexed(&mut block, 2);
        assert_eq!(block, [0x82]);
        // C.6.1: an answer, coded. It adds its fields to a table of the reader, which nothing refers to.
        let block = b"\x48\x82\x64\x02\x58\x85\xae\xc3\x77\x1a\x4b";
        assert_eq!(read_text(block), Some([Some(text("302")), None, None]));
    }

    #[test]
    fn what_grpc_says_is_found() {
        assert_eq!(
            read_text(b"\x88\x5f\x10application/grpc"),
            Some([Some(text("200")), None, None])
        );
        let mut block = b"\x20".to_vec();
        put(&mut block, "grpc-status", "5");
        put(&mut block, "grpc-message", "no pool");
        assert_eq!(
            read_text(&block),
            Some([None, Some(text("5")), Some(text("no pool"))])
        );
        assert_eq!(read_text(b"\x08\x03503"), Some([Some(text("503")), None, None]));
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for block in [
            &b"\x80"[..],                    // place 0
            b"\xbe",                         // a place beyond the static table
            b"\x7f\x00",                     // a name from there
            b"\x00\x05ab",                   // a string that is cut off
            b"\x00\x81\xff\x00",             // a name that is no string
            b"\x00\x7f\xff\xff\xff\xff\x7f", // a length beyond all reason
            b"\x04",
        ] {
            assert_eq!(read(block), None, "{block:?}");
        }
    }

    proptest! {
        #[test]
        fn an_integer_is_read_back(integer in 0_usize..1 << 21, bits in 4_u8..8) {
            let mut block = Vec::new();
            put_integer(&mut block, 0, bits, integer);
            let mut rest = Rest(&block);
            prop_assert_eq!(rest.integer(bits), Some(integer));
            prop_assert!(rest.0.is_empty());
        }

        #[test]
        fn anything_is_read_or_refused(block in prop::collection::vec(any::<u8>(), 0..40)) {
            read(&block);
        }
    }
}
