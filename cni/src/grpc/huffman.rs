//! The code in which HTTP/2 shortens names and values: RFC 7541, section 5.2 and appendix B.

/// How many bytes have codes of each length in bits, from 0 on.
const COUNTS: [u16; 31] = [
    0, 0, 0, 0, 0, 10, 26, 32, 6, 0, 5, 3, 2, 6, 2, 3, 0, 0, 0, 3, 8, 13, 26, 29, 12, 4, 15, 19, 29, 0, 3,
];

/// The bytes in the order of their codes: the code is canonical, so their order and the counts say all of it. The code that
/// would follow, all ones, ends a string and stands in none.
#[rustfmt::skip]
const BYTES: [u8; 256] = [
    48, 49, 50, 97, 99, 101, 105, 111, 115, 116, 32, 37, 45, 46, 47, 51, 52, 53, 54, 55, 56, 57, 61, 65, 95, 98, 100, 102, 103,
    104, 108, 109, 110, 112, 114, 117, 58, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86,
    87, 89, 106, 107, 113, 118, 119, 120, 121, 122, 38, 42, 44, 59, 88, 90, 33, 34, 40, 41, 63, 39, 43, 124, 35, 62, 0, 36, 64,
    91, 93, 126, 94, 125, 60, 96, 123, 92, 195, 208, 128, 130, 131, 162, 184, 194, 224, 226, 153, 161, 167, 172, 176, 177, 179,
    209, 216, 217, 227, 229, 230, 129, 132, 133, 134, 136, 146, 154, 156, 160, 163, 164, 169, 170, 173, 178, 181, 185, 186, 187,
    189, 190, 196, 198, 228, 232, 233, 1, 135, 137, 138, 139, 140, 141, 143, 147, 149, 150, 151, 152, 155, 157, 158, 165, 166,
    168, 174, 175, 180, 182, 183, 188, 191, 197, 231, 239, 9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237, 199, 207,
    234, 235, 192, 193, 200, 201, 202, 205, 210, 213, 218, 219, 238, 240, 242, 243, 255, 203, 204, 211, 212, 214, 221, 222, 223,
    241, 244, 245, 246, 247, 248, 250, 251, 252, 253, 254, 2, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 23, 24,
    25, 26, 27, 28, 29, 30, 31, 127, 220, 249, 10, 13, 22,
];

/// Decodes a string. `None` if it isn't one: it ends with up to seven ones.
pub(super) fn decode(coded: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(coded.len() * 8 / 5);
    let mut symbol = Symbol::default();
    for byte in coded {
        for bit in (0..8).rev() {
            if let Some(byte) = symbol.add(byte >> bit & 1).ok()? {
                decoded.push(byte);
                symbol = Symbol::default();
            }
        }
    }
    symbol.is_padding().then_some(decoded)
}

/// No byte has a code that begins so.
struct NoSuchCode;

/// What was read of a code.
#[derive(Default)]
struct Symbol {
    bits: u32,
    length: usize,
    /// The first code of this length, and how many bytes have shorter ones.
    first: u32,
    shorter: u32,
}

impl Symbol {
    /// Adds a bit, and returns the byte if that ends its code.
    fn add(&mut self, bit: u8) -> Result<Option<u8>, NoSuchCode> {
        self.bits = self.bits << 1 | u32::from(bit);
        self.length += 1;
        self.first <<= 1;
        let count = u32::from(*COUNTS.get(self.length).ok_or(NoSuchCode)?);
        let offset = self.bits - self.first;
        if offset < count {
            let place = usize::try_from(self.shorter + offset).map_err(|_| NoSuchCode)?;
            return BYTES.get(place).copied().map(Some).ok_or(NoSuchCode);
        }
        self.first += count;
        self.shorter += count;
        Ok(None)
    }

    fn is_padding(&self) -> bool {
        self.length < 8 && self.bits + 1 == 1 << self.length
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::prelude::*;

    use super::*;

    /// Slow and obvious: looks for the byte among the codes, counted up from the first.
    fn encode(text: &[u8]) -> Vec<u8> {
        let mut codes = Vec::new();
        let (mut code, mut bytes) = (0_u32, BYTES.iter());
        for (length, count) in COUNTS.iter().enumerate() {
            code <<= 1;
            for byte in bytes.by_ref().take((*count).into()) {
                codes.push((*byte, code, length));
                code += 1;
            }
        }
        let mut bits = String::new();
        for byte in text {
            let (_, code, length) = codes.iter().find(|(coded, ..)| coded == byte).unwrap();
            write!(bits, "{code:0length$b}").unwrap();
        }
        while !bits.len().is_multiple_of(8) {
            bits.push('1');
        }
        let eight = |at: usize| u8::from_str_radix(&bits[at..at + 8], 2).unwrap();
        (0..bits.len()).step_by(8).map(eight).collect()
    }

    #[test]
    fn every_byte_has_a_code() {
        let mut bytes = BYTES;
        bytes.sort_unstable();
        assert!(bytes.iter().copied().eq(0..=255));
        assert_eq!(COUNTS.iter().sum::<u16>(), 256);
        // The ends of the table in RFC 7541, appendix B.
        assert_eq!(encode(b"0"), [0b0000_0111]);
        assert_eq!(encode(&[22]), [0xff, 0xff, 0xff, 0b1111_1011]);
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        // RFC 7541, C.4.1 and C.6.1.
        let read = |hex: &str| {
            let coded: Vec<u8> = (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
                .collect();
            String::from_utf8(decode(&coded).unwrap()).unwrap()
        };
        assert_eq!(read("f1e3c2e5f23a6ba0ab90f4ff"), "www.example.com");
        assert_eq!(
            read("d07abe941054d444a8200595040b8166e082a62d1bff"),
            "Mon, 21 Oct 2013 20:13:21 GMT"
        );
        assert_eq!(
            read("9d29ad171863c78f0b97c8e9ae82ae43d3"),
            "https://www.example.com"
        );
    }

    #[test]
    fn what_is_no_string_is_refused() {
        for coded in [
            &[0xff_u8][..],            // a whole byte of padding
            &[0xff, 0xff, 0xff, 0xff], // the end of a string
            &[0b0000_0000],            // padding of zeros
            &[0b0000_0110],
        ] {
            assert_eq!(decode(coded), None, "{coded:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_coded_is_read_back(text in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(decode(&encode(&text)), Some(text));
        }
    }
}
