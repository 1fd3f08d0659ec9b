//! What a verb answers when it fails: the error object of the CNI specification.

use std::fmt;

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

/// The error codes of the CNI specification that this plugin uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The network configuration asks for a version that the verb or the plugin doesn't have.
    IncompatibleVersion = 1,
    /// An environment variable is missing or holds something that can't be.
    InvalidEnvironment = 4,
    /// Standard input can't be read.
    Io = 5,
    /// Standard input isn't the JSON of a network configuration.
    Decoding = 6,
    /// The network configuration breaks a rule of the specification.
    InvalidNetworkConfig = 7,
    /// CNI_NETNS is the network namespace that the plugin runs in.
    InvalidNetns = 8,
    /// Nothing happened, and the same call may succeed later.
    TryAgainLater = 11,
    /// STATUS: an ADD can't be served now.
    NotAvailable = 50,
    /// Everything else, as in the Go implementation.
    Internal = 999,
}

impl Code {
    /// Every code, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::IncompatibleVersion,
        Self::InvalidEnvironment,
        Self::Io,
        Self::Decoding,
        Self::InvalidNetworkConfig,
        Self::InvalidNetns,
        Self::TryAgainLater,
        Self::NotAvailable,
        Self::Internal,
    ];
}

// Whoever adds a code stops here, and adds it to `ALL` as well.
const _: fn(Code) = |code| match code {
    Code::IncompatibleVersion
    | Code::InvalidEnvironment
    | Code::Io
    | Code::Decoding
    | Code::InvalidNetworkConfig
    | Code::InvalidNetns
    | Code::TryAgainLater
    | Code::NotAvailable
    | Code::Internal => {}
};

/// A failed verb. Its JSON goes to standard output; the process then exits with 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Which of the specification's errors it is.
    pub code: Code,
    /// What failed, on what, and what to do; one line.
    pub msg: String,
    /// More about it, where the specification's own checks have more to say; else empty.
    pub details: String,
}

impl Error {
    /// An error without details.
    pub fn new(code: Code, msg: impl Into<String>) -> Self {
        Self {
            code,
            msg: msg.into(),
            details: String::new(),
        }
    }

    /// The same error with `details`.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<String>) -> Self {
        self.details = details.into();
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.msg)
    }
}

impl std::error::Error for Error {}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Error", 3)?;
        object.serialize_field("code", &(self.code as u16))?;
        object.serialize_field("msg", &self.msg)?;
        if self.details.is_empty() {
            object.skip_field("details")?;
        } else {
            object.serialize_field("details", &self.details)?;
        }
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::to_indented;

    #[test]
    fn the_json_is_that_of_the_cni_library() {
        let error = Error::new(Code::Internal, "a \"quoted\" text");
        assert_eq!(
            String::from_utf8(to_indented(&error).unwrap()).unwrap(),
            "{\n    \"code\": 999,\n    \"msg\": \"a \\\"quoted\\\" text\"\n}"
        );
        let error = Error::new(Code::IncompatibleVersion, "m").with_details("d");
        assert_eq!(
            String::from_utf8(to_indented(&error).unwrap()).unwrap(),
            "{\n    \"code\": 1,\n    \"msg\": \"m\",\n    \"details\": \"d\"\n}"
        );
    }
}
