//! A call to ipam-node that failed: did the daemon say so, or is it unknown what became of the request?

use std::fmt;
use std::time::Duration;

use rpc::code::Code as GrpcCode;

use crate::error::Code;
use crate::grpc::{CallError, Status};
use crate::target::Target;

/// What is known about a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request was not looked at: nobody listens, the deadline passed before there was a connection, or the daemon ended
    /// the connection first.
    NotReached,
    /// The daemon answered that it can't serve now, and did nothing.
    Unavailable,
    /// The connection broke, or what came back was no answer. The request may have been carried out.
    Lost,
    /// The deadline passed on either side. The request may have been carried out.
    Deadline,
    /// The daemon answered with an error.
    Refused,
}

/// A failed call, in the form in which gRPC errors are known to users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What is known.
    pub kind: Kind,
    /// The gRPC status code.
    pub code: GrpcCode,
    /// The daemon's message, or what happened and what to look at.
    pub message: String,
}

impl Failure {
    /// There is no connection to `target`, because of `reason`.
    #[must_use]
    pub fn not_reached(target: &Target, reason: &dyn fmt::Display) -> Self {
        Self {
            kind: Kind::NotReached,
            code: GrpcCode::Unavailable,
            message: format!("ipam-node isn't answering on {target} ({reason}); {WHAT_TO_DO}"),
        }
    }

    /// There was no answer from `target` within `timeout`.
    #[must_use]
    pub fn deadline(target: &Target, timeout: Duration) -> Self {
        Self {
            kind: Kind::Deadline,
            code: GrpcCode::DeadlineExceeded,
            message: format!(
                "no answer from ipam-node on {target} within {}s; {WHAT_TO_DO}",
                timeout.as_secs()
            ),
        }
    }

    /// `target` was connected, and the call failed within `timeout`.
    ///
    /// Cancelled and DeadlineExceeded mean that the daemon saw the deadline pass.
    #[must_use]
    pub fn of_call(error: CallError, target: &Target, timeout: Duration) -> Self {
        match error {
            CallError::Deadline => Self::deadline(target, timeout),
            CallError::Broken(error) => Self::lost(target, &error),
            CallError::Protocol(error) if error.is_unprocessed() => Self::not_reached(target, &error),
            CallError::Protocol(error) => Self::lost(target, &error),
            CallError::Refused(Status { code, message }) => match code {
                GrpcCode::Cancelled | GrpcCode::DeadlineExceeded => Self::deadline(target, timeout),
                GrpcCode::Unavailable => Self {
                    kind: Kind::Unavailable,
                    code,
                    message,
                },
                _ => Self {
                    kind: Kind::Refused,
                    code,
                    message,
                },
            },
        }
    }

    /// `target` was connected, and nothing that is an answer came, because of `reason`.
    #[must_use]
    pub fn lost(target: &Target, reason: &dyn fmt::Display) -> Self {
        Self {
            kind: Kind::Lost,
            code: GrpcCode::Unavailable,
            message: format!("the connection to ipam-node on {target} broke before it answered ({reason})"),
        }
    }

    /// Whether the daemon answered that it doesn't have the method: one of the Go implementation, or an older one.
    #[must_use]
    pub fn is_unknown_method(&self) -> bool {
        self.kind == Kind::Refused && self.code == GrpcCode::Unimplemented
    }

    /// The CNI error code of an ADD, DEL, CHECK or GC that failed so.
    #[must_use]
    pub fn cni_code(&self) -> Code {
        match self.kind {
            Kind::NotReached | Kind::Unavailable => Code::TryAgainLater,
            Kind::Lost | Kind::Deadline | Kind::Refused => Code::Internal,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "rpc error: code = {} desc = {}",
            self.code.name(),
            self.message
        )
    }
}

impl std::error::Error for Failure {}

const WHAT_TO_DO: &str = "check that the nv-ipam node pod runs on this node, and its log";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::ProtocolError;

    fn of_call(error: CallError) -> Failure {
        let target = Target::parse("unix:///s").unwrap();
        Failure::of_call(error, &target, Duration::from_secs(5))
    }

    fn refused(code: GrpcCode, message: &str) -> CallError {
        let message = message.to_owned();
        CallError::Refused(Status { code, message })
    }

    #[test]
    fn what_the_daemon_says_is_passed_on_as_go_prints_it() {
        let failure = of_call(refused(GrpcCode::NotFound, "no pool"));
        assert_eq!(
            (failure.kind, failure.cni_code()),
            (Kind::Refused, Code::Internal)
        );
        assert_eq!(failure.to_string(), "rpc error: code = NotFound desc = no pool");
    }

    #[test]
    fn unavailable_is_worth_another_try() {
        let failure = of_call(refused(GrpcCode::Unavailable, "no table yet"));
        assert_eq!(
            (failure.kind, failure.cni_code()),
            (Kind::Unavailable, Code::TryAgainLater)
        );
        assert_eq!(
            failure.to_string(),
            "rpc error: code = Unavailable desc = no table yet"
        );
    }

    #[test]
    fn a_status_that_nobody_sent_is_a_lost_answer() {
        for error in [
            CallError::Broken(std::io::Error::other("reset")),
            CallError::Protocol(ProtocolError::Reset(2)),
        ] {
            let failure = of_call(error);
            assert_eq!(
                (failure.kind, failure.cni_code()),
                (Kind::Lost, Code::Internal),
                "{failure}"
            );
            assert!(failure.message.contains("broke before it answered"), "{failure}");
        }
    }

    #[test]
    fn a_request_that_was_certainly_not_looked_at_is_worth_another_try() {
        for error in [ProtocolError::GoAway(0), ProtocolError::Reset(7)] {
            let failure = of_call(CallError::Protocol(error));
            assert_eq!(
                (failure.kind, failure.cni_code()),
                (Kind::NotReached, Code::TryAgainLater),
                "{failure}"
            );
        }
    }

    #[test]
    fn a_deadline_seen_by_either_side_is_one() {
        for error in [
            CallError::Deadline,
            refused(GrpcCode::DeadlineExceeded, ""),
            refused(GrpcCode::Cancelled, "Timeout expired"),
        ] {
            let failure = of_call(error);
            assert_eq!(
                (failure.kind, failure.cni_code()),
                (Kind::Deadline, Code::Internal)
            );
            let text = failure.to_string();
            assert!(text.starts_with("rpc error: code = DeadlineExceeded desc = no answer from ipam-node on unix:///s within 5s"), "{text}");
        }
    }
}
