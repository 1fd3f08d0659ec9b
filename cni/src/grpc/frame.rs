//! Frames of HTTP/2: RFC 9113, sections 4 and 6.

/// What a client says before its first frame.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes that everybody takes in a frame, and more than which nobody sends who wasn't told to.
pub(super) const LENGTH_MAX: usize = 16_384;

/// Bytes that everybody takes of a message, and of all on a connection, without having said anything.
pub(super) const WINDOW: i64 = 65_535;

/// The types of frames.
pub(super) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PUSH_PROMISE: u8 = 5;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}

/// What a frame's flags say, by type.
pub(super) mod flag {
    /// SETTINGS and PING: this acknowledges one.
    pub(crate) const ACK: u8 = 0x1;
    /// DATA and HEADERS: nothing follows on the stream.
    pub(crate) const END_STREAM: u8 = 0x1;
    /// HEADERS and CONTINUATION: no CONTINUATION follows.
    pub(crate) const END_HEADERS: u8 = 0x4;
    /// DATA and HEADERS: there is padding.
    pub(crate) const PADDED: u8 = 0x8;
    /// HEADERS: there is a priority.
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// Settings of section 6.5.2.
pub(super) mod setting {
    pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
    pub(crate) const ENABLE_PUSH: u16 = 2;
    pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
}

/// The error code of a stream that the peer did nothing for: section 7.
pub(super) const REFUSED_STREAM: u32 = 7;

/// The error code of a stream that nobody wants any more.
pub(super) const CANCEL: u32 = 8;

/// A frame that came whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: &'a [u8],
}

/// What precedes the payload.
const HEADER: usize = 9;

/// The peer sends frames that are too long, or what comes is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl<'a> Frame<'a> {
    /// Takes the first of `bytes`, and says what is left. `None`: it hasn't come whole yet.
    pub(super) fn split(bytes: &'a [u8]) -> Result<Option<(Self, &'a [u8])>, TooLong> {
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let [a, b, c, kind, flags, stream @ ..] = *header;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        if length > LENGTH_MAX {
            return Err(TooLong);
        }
        Ok(rest.split_at_checked(length).map(|(payload, rest)| {
            let frame = Self {
                kind,
                flags,
                stream: without_reserved(stream),
                payload,
            };
            (frame, rest)
        }))
    }

    /// Whether a flag is set.
    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The payload of a DATA or HEADERS without padding and priority. `None`: there isn't as much.
    pub(super) fn content(&self) -> Option<&'a [u8]> {
        let mut content = self.payload;
        if self.has(flag::PADDED) {
            let (&padding, rest) = content.split_first()?;
            content = rest.get(..rest.len().checked_sub(padding.into())?)?;
        }
        if self.kind == kind::HEADERS && self.has(flag::PRIORITY) {
            content = content.get(5..)?;
        }
        Some(content)
    }

    /// The error code that a RST_STREAM is.
    pub(super) fn error_code(&self) -> Option<u32> {
        self.payload.try_into().ok().map(u32::from_be_bytes)
    }

    /// By how much a WINDOW_UPDATE widens a window.
    pub(super) fn increment(&self) -> Option<u32> {
        self.payload.try_into().ok().map(without_reserved)
    }

    /// The last stream that the sender of a GOAWAY looked at, and its error code; it may say more in words.
    pub(super) fn last_stream(&self) -> Option<(u32, u32)> {
        let (last, rest) = self.payload.split_first_chunk()?;
        let code = rest.first_chunk()?;
        Some((without_reserved(*last), u32::from_be_bytes(*code)))
    }

    /// What a SETTINGS says. `None`: it isn't one.
    pub(super) fn settings(&self) -> Option<impl Iterator<Item = (u16, u32)> + 'a> {
        let (settings, rest) = self.payload.as_chunks::<6>();
        rest.is_empty().then(|| {
            settings
                .iter()
                .map(|[a, b, value @ ..]| (u16::from_be_bytes([*a, *b]), u32::from_be_bytes(*value)))
        })
    }
}

/// A number whose first bit is reserved.
fn without_reserved(number: [u8; 4]) -> u32 {
    u32::from_be_bytes(number) & (u32::MAX >> 1)
}

/// Appends a frame, whose payload is at most [`LENGTH_MAX`] long.
pub(super) fn put(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    debug_assert!(payload.len() <= LENGTH_MAX);
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    bytes.extend_from_slice(&length[1..]);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}

/// Appends a SETTINGS.
pub(super) fn put_settings(bytes: &mut Vec<u8>, settings: &[(u16, u32)]) {
    let mut payload = Vec::with_capacity(settings.len() * 6);
    for (name, value) in settings {
        payload.extend_from_slice(&name.to_be_bytes());
        payload.extend_from_slice(&value.to_be_bytes());
    }
    put(bytes, kind::SETTINGS, 0, 0, &payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_back_once_it_is_whole() {
        let mut bytes = Vec::new();
        put(&mut bytes, kind::DATA, flag::END_STREAM, 1, b"text");
        assert_eq!(bytes, b"\x00\x00\x04\x00\x01\x00\x00\x00\x01text");
        bytes.push(7);
        let (frame, rest) = Frame::split(&bytes).unwrap().unwrap();
        assert_eq!((frame.payload, frame.stream, rest), (&b"text"[..], 1, &[7][..]));
        for cut in 0..bytes.len() - 1 {
            assert_eq!(Frame::split(&bytes[..cut]), Ok(None));
        }
        assert_eq!(Frame::split(b"HTTP/1.1 400 Bad Request\r\n"), Err(TooLong));
    }

    #[test]
    fn padding_and_priority_are_no_content() {
        let frame = |kind, flags, payload| Frame {
            kind,
            flags,
            stream: 1,
            payload,
        };
        let both = flag::PADDED | flag::PRIORITY;
        assert_eq!(
            frame(kind::DATA, flag::PADDED, b"\x02ab\0\0").content(),
            Some(&b"ab"[..])
        );
        assert_eq!(
            frame(kind::HEADERS, both, b"\x01PRIORab\0").content(),
            Some(&b"ab"[..])
        );
        assert_eq!(
            frame(kind::DATA, flag::PRIORITY, b"ab").content(),
            Some(&b"ab"[..])
        );
        assert_eq!(frame(kind::DATA, flag::PADDED, b"\x03ab").content(), None);
        assert_eq!(frame(kind::DATA, flag::PADDED, b"").content(), None);
        assert_eq!(frame(kind::HEADERS, flag::PRIORITY, b"abcd").content(), None);
    }

    #[test]
    fn settings_are_read_back() {
        let mut bytes = Vec::new();
        let settings = [
            (setting::HEADER_TABLE_SIZE, 0),
            (setting::INITIAL_WINDOW_SIZE, 1 << 20),
        ];
        put_settings(&mut bytes, &settings);
        let (frame, _) = Frame::split(&bytes).unwrap().unwrap();
        assert!(frame.settings().unwrap().eq(settings));
        let cut = Frame {
            payload: &frame.payload[1..],
            ..frame
        };
        assert!(cut.settings().is_none());
    }
}
