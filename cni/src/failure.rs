//! A call to ipam-node that failed: did the daemon say so, or is it unknown what became of the request?

use std::fmt;
use std::time::Duration;

use tonic::{Code as GrpcCode, Status};

use crate::error::Code;
use crate::target::Target;

/// What is known about a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request never left: nobody listens, or the deadline passed before there was a connection.
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

    /// `target` was connected, and the call ended with `status` within `timeout`.
    ///
    /// A status that the client made up itself has a source; Unknown is what gRPC calls a reply without a status. No
    /// daemon answers it. Cancelled and DeadlineExceeded mean that the daemon saw the deadline pass.
    #[must_use]
    pub fn of_status(status: &Status, target: &Target, timeout: Duration) -> Self {
        let made_up = std::error::Error::source(status).is_some();
        let answered = |kind| Self {
            kind,
            code: status.code(),
            message: status.message().to_owned(),
        };
        match status.code() {
            GrpcCode::Cancelled | GrpcCode::DeadlineExceeded => Self::deadline(target, timeout),
            code if made_up || code == GrpcCode::Unknown => Self {
                kind: Kind::Lost,
                code: GrpcCode::Unavailable,
                message: format!(
                    "the connection to ipam-node on {target} broke before it answered ({status})"
                ),
            },
            GrpcCode::Unavailable => answered(Kind::Unavailable),
            _ => answered(Kind::Refused),
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
            rpc::code::name(self.code),
            self.message
        )
    }
}

impl std::error::Error for Failure {}

const WHAT_TO_DO: &str = "check that the nv-ipam node pod runs on this node, and its log";

#[cfg(test)]
mod tests {
    use super::*;

    fn of_status(status: &Status) -> Failure {
        let target = Target::parse("unix:///s").unwrap();
        Failure::of_status(status, &target, Duration::from_secs(5))
    }

    #[test]
    fn what_the_daemon_says_is_passed_on_as_go_prints_it() {
        let failure = of_status(&Status::not_found("no pool"));
        assert_eq!(
            (failure.kind, failure.cni_code()),
            (Kind::Refused, Code::Internal)
        );
        assert_eq!(failure.to_string(), "rpc error: code = NotFound desc = no pool");
    }

    #[test]
    fn unavailable_is_worth_another_try() {
        let failure = of_status(&Status::unavailable("no table yet"));
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
        // Also with the codes that mean something else when the daemon sends them.
        let made_up = [Status::unavailable(""), Status::internal("")].map(|mut status| {
            status.set_source(std::sync::Arc::new(std::io::Error::other("reset")));
            status
        });
        let no_trailer = Status::unknown("protocol error");
        for status in made_up.into_iter().chain([no_trailer]) {
            let failure = of_status(&status);
            assert_eq!(
                (failure.kind, failure.cni_code()),
                (Kind::Lost, Code::Internal),
                "{failure}"
            );
        }
    }

    #[test]
    fn a_deadline_seen_by_either_side_is_one() {
        for status in [
            Status::deadline_exceeded(""),
            Status::cancelled("Timeout expired"),
        ] {
            let failure = of_status(&status);
            assert_eq!(
                (failure.kind, failure.cni_code()),
                (Kind::Deadline, Code::Internal)
            );
            let text = failure.to_string();
            assert!(text.starts_with("rpc error: code = DeadlineExceeded desc = no answer from ipam-node on unix:///s within 5s"), "{text}");
        }
    }
}
