//! The names that a runtime gives: each type can only hold one that the CNI specification allows.

use std::fmt;

use crate::error::{Code, Error};

/// CNI_CONTAINERID: an ASCII letter or digit, then letters, digits, `_`, `.` and `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerId(String);

/// The name of a CNI network; the same characters as a container ID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkName(String);

/// CNI_IFNAME: what Linux takes as the name of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceName(String);

/// IFNAMSIZ without the terminating zero.
const INTERFACE_NAME_MAX: usize = 15;

fn is_cni_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

impl ContainerId {
    /// Takes a container ID; an empty one counts as a missing variable, which is checked elsewhere.
    pub fn parse(id: &str) -> Result<Self, Error> {
        if !is_cni_name(id) {
            return Err(
                Error::new(Code::InvalidEnvironment, "invalid characters in containerID").with_details(id),
            );
        }
        Ok(Self(id.to_owned()))
    }
}

impl NetworkName {
    /// Takes the `name` of a network configuration; an empty one is a missing one.
    pub fn parse(name: &str) -> Result<Self, Error> {
        if name.is_empty() {
            return Err(Error::new(Code::InvalidNetworkConfig, "missing network name"));
        }
        if !is_cni_name(name) {
            return Err(Error::new(
                Code::InvalidNetworkConfig,
                "invalid characters found in network name",
            )
            .with_details(name));
        }
        Ok(Self(name.to_owned()))
    }
}

impl InterfaceName {
    /// Takes an interface name: 1 to 15 bytes, not `.` or `..`, without `/`, `:` and white space.
    pub fn parse(name: &str) -> Result<Self, Error> {
        let refused = |msg| Error::new(Code::InvalidEnvironment, msg);
        if name.is_empty() {
            return Err(refused("interface name is empty"));
        }
        if name.len() > INTERFACE_NAME_MAX {
            return Err(refused("interface name is too long").with_details(format!(
                "interface name should be less than {} characters",
                INTERFACE_NAME_MAX + 1
            )));
        }
        if name == "." || name == ".." {
            return Err(refused("interface name is . or .."));
        }
        if name.contains(|c: char| matches!(c, '/' | ':') || c.is_whitespace()) {
            return Err(refused("interface name contains / or : or whitespace characters"));
        }
        Ok(Self(name.to_owned()))
    }
}

macro_rules! as_text {
    ($($name:ident)*) => {$(
        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
as_text!(ContainerId NetworkName InterfaceName);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn container_ids_and_network_names_have_the_characters_of_the_specification() {
        for name in ["a", "0", "my.net_1-x", "A-", &"f".repeat(4096)] {
            assert_eq!(ContainerId::parse(name).unwrap().as_str(), name);
            assert_eq!(NetworkName::parse(name).unwrap().as_str(), name);
        }
        for name in [
            "-a",
            ".a",
            "_a",
            "a b",
            "a/b",
            "a\n",
            "é",
            "aé",
            "a\0",
            "../../etc",
        ] {
            assert_eq!(
                ContainerId::parse(name).unwrap_err().code,
                Code::InvalidEnvironment,
                "{name:?}"
            );
            assert_eq!(
                NetworkName::parse(name).unwrap_err().code,
                Code::InvalidNetworkConfig,
                "{name:?}"
            );
        }
        assert_eq!(NetworkName::parse("").unwrap_err().msg, "missing network name");
    }

    #[test]
    fn interface_names_are_those_of_linux() {
        for name in ["net1", "eth0", "123456789012345", "a.b", "é"] {
            assert!(InterfaceName::parse(name).is_ok(), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            "1234567890123456",
            "a/b",
            "a:b",
            "a b",
            "a\tb",
            "a\u{a0}b",
        ] {
            assert_eq!(
                InterfaceName::parse(name).unwrap_err().code,
                Code::InvalidEnvironment,
                "{name}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_name_that_passes_is_safe_in_a_path_and_in_a_log_line(name in "\\PC{0,20}") {
            if ContainerId::parse(&name).is_ok() {
                prop_assert!(name.is_ascii() && !name.contains(['/', ' ', '\n']) && !name.starts_with('.'));
            }
            if InterfaceName::parse(&name).is_ok() {
                prop_assert!(name.len() < 16 && !name.contains(['/', ':']));
            }
        }
    }
}
