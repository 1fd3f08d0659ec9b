use proptest::prelude::*;
use rpc::code::Code;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A call whose request went out.
fn asked() -> Exchange {
    let mut exchange = Exchange::new("/service/Method", SECOND, b"question");
    exchange.take_outgoing();
    exchange
}

/// What a server sends, frame by frame.
#[derive(Clone, Default)]
struct Server(Vec<u8>);

impl Server {
    fn new() -> Self {
        Self::default().frame(kind::SETTINGS, 0, 0, &[])
    }

    fn frame(mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Self {
        frame::put(&mut self.0, kind, flags, stream, payload);
        self
    }

    fn head(self) -> Self {
        self.frame(
            kind::HEADERS,
            flag::END_HEADERS,
            STREAM,
            b"\x88\x5f\x10application/grpc",
        )
    }

    fn message(self, message: &[u8]) -> Self {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        self.frame(kind::DATA, 0, STREAM, &[&[0], &length[..], message].concat())
    }

    fn status(self, status: &str, message: &str) -> Self {
        self.frame(
            kind::HEADERS,
            flag::END_HEADERS | flag::END_STREAM,
            STREAM,
            &status_block(status, message),
        )
    }

    /// What becomes of a call that gets this for an answer.
    fn answers(&self) -> Result<Option<Answer>, ProtocolError> {
        let mut exchange = asked();
        exchange.receive(&self.0)?;
        Ok(exchange.take_answer())
    }

    fn error(&self) -> ProtocolError {
        self.answers().unwrap_err()
    }
}

fn status_block(status: &str, message: &str) -> Vec<u8> {
    let mut block = Vec::new();
    hpack::put(&mut block, "grpc-status", status);
    hpack::put(&mut block, "grpc-message", message);
    block
}

/// The frames of `bytes`, as type, flags, stream and payload.
fn frames(mut bytes: &[u8]) -> Vec<(u8, u8, u32, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((frame, rest)) = Frame::split(bytes).unwrap() {
        frames.push((frame.kind, frame.flags, frame.stream, frame.payload.to_vec()));
        bytes = rest;
    }
    assert!(bytes.is_empty());
    frames
}

fn refused(code: Code, message: &str) -> Answer {
    let message = message.to_owned();
    Err(Status { code, message })
}

#[test]
fn everything_of_a_small_request_goes_out_at_once() {
    let mut exchange = Exchange::new("/service/Method", SECOND, b"question");
    let sent = exchange.take_outgoing();
    let sent = frames(sent.strip_prefix(frame::PREFACE).unwrap());
    let kinds: Vec<_> = sent
        .iter()
        .map(|(kind, flags, stream, _)| (*kind, *flags, *stream))
        .collect();
    let expected = [
        (kind::SETTINGS, 0, 0),
        (kind::HEADERS, flag::END_HEADERS, 1),
        (kind::DATA, flag::END_STREAM, 1),
    ];
    assert_eq!(kinds, expected);
    assert_eq!(sent[2].3, b"\0\0\0\0\x08question");
    assert!(exchange.take_outgoing().is_empty());
}

#[test]
fn a_message_is_the_answer() {
    let server = Server::new().head().message(b"answer").status("0", "");
    assert_eq!(server.answers(), Ok(Some(Ok(b"answer".to_vec()))));
    let empty = Server::new().head().message(b"").status("0", "");
    assert_eq!(empty.answers(), Ok(Some(Ok(Vec::new()))));
    assert_eq!(
        Server::new().head().message(b"answer").answers(),
        Ok(None),
        "it isn't complete"
    );
}

#[test]
fn a_refusal_is_an_answer_with_or_without_a_head() {
    let refusal = Ok(Some(refused(Code::NotFound, "no pool")));
    assert_eq!(Server::new().head().status("5", "no pool").answers(), refusal);
    let mut block = b"\x88".to_vec();
    block.extend(status_block("5", "no pool"));
    let last = flag::END_HEADERS | flag::END_STREAM;
    assert_eq!(
        Server::new().frame(kind::HEADERS, last, 1, &block).answers(),
        refusal
    );
}

#[test]
fn header_fields_may_come_in_parts_and_with_padding() {
    let block = status_block("5", "no pool");
    let (first, rest) = block.split_at(7);
    let (second, third) = rest.split_at(4);
    let padded = [&[2, 0, 0, 0, 0, 0], first, &[0, 0]].concat();
    let server = Server::new()
        .head()
        .frame(
            kind::HEADERS,
            flag::END_STREAM | flag::PADDED | flag::PRIORITY,
            1,
            &padded,
        )
        .frame(kind::CONTINUATION, 0, 1, second)
        .frame(kind::CONTINUATION, flag::END_HEADERS, 1, third);
    assert_eq!(server.answers(), Ok(Some(refused(Code::NotFound, "no pool"))));
}

#[test]
fn what_is_said_in_between_is_passed_over() {
    let server = Server::new()
        .frame(kind::HEADERS, flag::END_HEADERS, 1, b"\x08\x03103")
        .frame(0xbe, 0xff, 77, b"of an extension")
        .frame(2, 0, 1, b"PRIOR")
        .frame(kind::SETTINGS, flag::ACK, 0, &[])
        .frame(kind::GOAWAY, 0, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0])
        .head()
        .message(b"answer")
        .status("0", "");
    assert_eq!(server.answers(), Ok(Some(Ok(b"answer".to_vec()))));
}

#[test]
fn settings_and_pings_are_acknowledged_and_room_is_given_back() {
    let mut exchange = asked();
    let server =
        Server::new()
            .frame(kind::PING, 0, 0, b"are you?")
            .frame(kind::PING, flag::ACK, 0, b"or not?!");
    exchange.receive(&server.head().message(b"half").0).unwrap();
    let sent = frames(&exchange.take_outgoing());
    let nine = 9_u32.to_be_bytes().to_vec();
    let expected = [
        (kind::SETTINGS, flag::ACK, 0, Vec::new()),
        (kind::PING, flag::ACK, 0, b"are you?".to_vec()),
        (kind::WINDOW_UPDATE, 0, 0, nine.clone()),
        (kind::WINDOW_UPDATE, 0, 1, nine),
    ];
    assert_eq!(sent, expected);
}

#[test]
fn what_is_no_answer_is_an_error_that_says_why() {
    let not_http2 = |error: ProtocolError| matches!(error, ProtocolError::NotHttp2(_));
    let not_grpc = |error: ProtocolError| matches!(error, ProtocolError::NotGrpc(_));
    assert!(not_http2(
        Server(b"HTTP/1.1 400 Bad Request\r\n".to_vec()).error()
    ));
    assert!(not_http2(Server::default().head().error()), "no settings");
    assert!(not_http2(Server::new().message(b"answer").error()), "no head");
    assert!(not_http2(
        Server::new()
            .frame(kind::PUSH_PROMISE, 4, 1, b"\0\0\0\x02")
            .error()
    ));
    assert!(not_http2(
        Server::new()
            .frame(kind::HEADERS, flag::END_HEADERS, 3, b"\x88")
            .error()
    ));
    assert!(not_http2(
        Server::new()
            .frame(kind::HEADERS, flag::END_HEADERS, 1, b"\xff")
            .error()
    ));
    assert!(not_http2(
        Server::new()
            .frame(kind::HEADERS, 0, 1, b"\x88")
            .frame(kind::PING, 0, 0, b"12345678")
            .error()
    ));
    assert!(not_http2(
        Server::new().frame(kind::CONTINUATION, 0, 1, b"\x88").error()
    ));
    assert!(not_http2(
        Server::new().frame(kind::SETTINGS, 0, 0, b"12345").error()
    ));
    assert!(not_grpc(
        Server::new()
            .frame(kind::HEADERS, flag::END_HEADERS, 1, b"\x08\x03503")
            .error()
    ));
    assert!(not_grpc(Server::new().head().status("zero", "").error()));
    assert!(
        not_grpc(Server::new().head().status("0", "").error()),
        "no message"
    );
    assert!(not_grpc(
        Server::new()
            .head()
            .message(b"1")
            .message(b"2")
            .status("0", "")
            .error()
    ));
    assert!(not_grpc(
        Server::new()
            .head()
            .frame(kind::DATA, 0, 1, b"\x01\0\0\0\0")
            .status("0", "")
            .error()
    ));
    assert!(not_grpc(
        Server::new()
            .head()
            .frame(kind::DATA, flag::END_STREAM, 1, b"")
            .error()
    ));
    let reset = |code: u32| {
        Server::new()
            .frame(kind::RST_STREAM, 0, 1, &code.to_be_bytes())
            .error()
    };
    assert_eq!(reset(2), ProtocolError::Reset(2));
    assert!(reset(8).is_cancelled() && !reset(2).is_cancelled());
    assert_eq!(
        Server::new()
            .frame(kind::GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 11])
            .error(),
        ProtocolError::GoAway(11)
    );
}

#[test]
fn nothing_without_end_is_taken() {
    let mut server = Server::new().head();
    for _ in 0..=MESSAGE_MAX / frame::LENGTH_MAX {
        server = server.frame(kind::DATA, 0, 1, &[0; frame::LENGTH_MAX]);
    }
    assert_eq!(server.error(), ProtocolError::TooLong);
    let mut server = Server::new().frame(kind::HEADERS, 0, 1, b"");
    for _ in 0..=BLOCK_MAX / frame::LENGTH_MAX {
        server = server.frame(kind::CONTINUATION, 0, 1, &[0; frame::LENGTH_MAX]);
    }
    assert_eq!(server.error(), ProtocolError::TooLong);
}

#[test]
fn a_timeout_is_written_as_its_header_wants_it() {
    for (timeout, text) in [
        (Duration::from_nanos(1), "0u"),
        (Duration::from_micros(99_999_999), "99999999u"),
        (Duration::from_secs(100), "100000m"),
        (Duration::from_secs(99_999), "99999000m"),
        (Duration::from_secs(100_000), "100000S"),
        (Duration::MAX, "99999999S"),
    ] {
        assert_eq!(grpc_timeout(timeout), text);
    }
}

/// What a server gives room for.
#[derive(Clone, Copy, Debug)]
enum Room {
    Connection(u32),
    Stream(u32),
    Initial(u32),
}

fn room() -> impl Strategy<Value = Room> {
    prop_oneof![
        (1_u32..60_000).prop_map(Room::Connection),
        (1_u32..60_000).prop_map(Room::Stream),
        (0_u32..120_000).prop_map(Room::Initial),
    ]
}

proptest! {
    /// However the bytes of an answer are cut, they say the same.
    #[test]
    fn an_answer_may_come_in_pieces(
        message in prop::collection::vec(any::<u8>(), 0..300),
        cuts in prop::collection::vec(1_usize..40, 1..40),
    ) {
        let bytes = Server::new().head().message(&message).status("0", "").0;
        let mut exchange = asked();
        let (mut rest, mut cuts) = (bytes.as_slice(), cuts.iter().cycle());
        while !rest.is_empty() {
            prop_assert_eq!(exchange.take_answer(), None);
            let (piece, after) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            exchange.receive(piece).unwrap();
            rest = after;
        }
        prop_assert_eq!(exchange.take_answer(), Some(Ok(message)));
    }

    /// A large request goes out as the server has room for it: never more, and in the end all of it.
    #[test]
    fn no_more_is_sent_than_there_is_room_for(
        length in 0_usize..300_000,
        rooms in prop::collection::vec(room(), 0..30),
    ) {
        let message: Vec<u8> = (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let mut exchange = Exchange::new("/service/Method", SECOND, &message);
        let (mut connection, mut stream, mut initial) = (65_535_i64, 65_535_i64, 65_535_i64);
        let (mut got, mut ended) = (Vec::new(), false);
        let last = [Room::Initial(1 << 30), Room::Connection(1 << 30)];
        let mut rooms = rooms.into_iter().chain(last);
        let mut outgoing = exchange.take_outgoing().split_off(frame::PREFACE.len());
        loop {
            for (kind, flags, _, payload) in frames(&outgoing) {
                if kind == kind::DATA {
                    prop_assert!(!ended);
                    ended = flags & flag::END_STREAM != 0;
                    connection -= i64::try_from(payload.len()).unwrap();
                    stream -= i64::try_from(payload.len()).unwrap();
                    prop_assert!(connection >= 0 && stream >= 0);
                    got.extend(payload);
                }
            }
            let Some(room) = rooms.next() else { break };
            let mut server = Server::default();
            if got.is_empty() || !exchange.opened {
                server = Server::new();
            }
            match room {
                Room::Connection(more) => {
                    connection += i64::from(more);
                    server = server.frame(kind::WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
                }
                Room::Stream(more) => {
                    stream += i64::from(more);
                    server = server.frame(kind::WINDOW_UPDATE, 0, 1, &more.to_be_bytes());
                }
                Room::Initial(size) => {
                    stream += i64::from(size) - initial;
                    initial = size.into();
                    frame::put_settings(&mut server.0, &[(setting::INITIAL_WINDOW_SIZE, size)]);
                }
            }
            exchange.receive(&server.0).unwrap();
            outgoing = exchange.take_outgoing();
        }
        prop_assert!(ended);
        prop_assert_eq!(&got[5..], &message);
    }

    /// Nothing that comes is more than an error.
    #[test]
    fn anything_is_read_or_refused(
        head in any::<bool>(),
        frames in prop::collection::vec((0_u8..11, any::<u8>(), 0_u32..3, prop::collection::vec(any::<u8>(), 0..20)), 0..8),
        tail in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut server = if head { Server::new().head() } else { Server::new() };
        for (kind, flags, stream, payload) in frames {
            server = server.frame(kind, flags, stream, &payload);
        }
        server.0.extend(tail);
        let _ = server.answers();
    }
}
