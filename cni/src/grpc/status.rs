//! How a gRPC call ended, as its last header fields say.

use rpc::code::Code;

/// Why a call failed, said by the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What kind of failure it is.
    pub code: Code,
    /// What happened.
    pub message: String,
}

/// Reads `grpc-status` and `grpc-message`. `None` without a status, or with one that is no number.
pub(super) fn read(status: Option<&[u8]>, message: Option<&[u8]>) -> Option<Result<(), Status>> {
    let number: i32 = std::str::from_utf8(status?).ok()?.parse().ok()?;
    if number == 0 {
        return Some(Ok(()));
    }
    Some(Err(Status {
        code: Code::from_number(number),
        message: unescape(message.unwrap_or_default()),
    }))
}

/// `grpc-message` has `%` and two digits in place of what HTTP has no room for. What isn't an escape stays as it is.
fn unescape(mut text: &[u8]) -> String {
    let mut plain = Vec::with_capacity(text.len());
    while let Some((&byte, rest)) = text.split_first() {
        text = rest;
        let escaped = rest
            .split_first_chunk::<2>()
            .filter(|(digits, _)| byte == b'%' && digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|(digits, rest)| {
                let digits = std::str::from_utf8(digits).ok()?;
                Some((u8::from_str_radix(digits, 16).ok()?, rest))
            });
        match escaped {
            Some((escaped, after)) => {
                plain.push(escaped);
                text = after;
            }
            None => plain.push(byte),
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read() {
        assert_eq!(read(Some(b"0"), None), Some(Ok(())));
        let refused = |code, message: &str| {
            let message = message.to_owned();
            Some(Err(Status { code, message }))
        };
        assert_eq!(
            read(Some(b"5"), Some(b"no pool")),
            refused(Code::NotFound, "no pool")
        );
        assert_eq!(read(Some(b"14"), None), refused(Code::Unavailable, ""));
        assert_eq!(read(Some(b"99"), None), refused(Code::Unknown, ""));
        assert_eq!(read(None, Some(b"text")), None);
        assert_eq!(read(Some(b"five"), None), None);
    }

    #[test]
    fn a_message_is_unescaped() {
        for (escaped, plain) in [
            ("100%25", "100%"),
            ("a%0Ab", "a\nb"),
            ("%E2%82%ac 5", "\u{20ac} 5"),
            ("50% of it", "50% of it"),
            ("%", "%"),
            ("%2", "%2"),
            ("%+1", "%+1"),
            ("%ff", "\u{fffd}"),
        ] {
            assert_eq!(unescape(escaped.as_bytes()), plain);
        }
    }
}
