//! Versions of the CNI specification.

use std::fmt;

use crate::error::{Code, Error};
use crate::quoted::Quoted;

/// A version of the CNI specification that this plugin speaks, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SpecVersion {
    /// 0.1.0, also when a configuration names none.
    V0_1_0,
    /// 0.2.0.
    V0_2_0,
    /// 0.3.0.
    V0_3_0,
    /// 0.3.1.
    V0_3_1,
    /// 0.4.0, which brought CHECK.
    V0_4_0,
    /// 1.0.0.
    V1_0_0,
    /// 1.1.0, which brought GC and STATUS.
    V1_1_0,
}

impl SpecVersion {
    /// Every version, oldest first.
    pub const ALL: [Self; 7] = [
        Self::V0_1_0,
        Self::V0_2_0,
        Self::V0_3_0,
        Self::V0_3_1,
        Self::V0_4_0,
        Self::V1_0_0,
        Self::V1_1_0,
    ];

    /// The version as configurations spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V0_1_0 => "0.1.0",
            Self::V0_2_0 => "0.2.0",
            Self::V0_3_0 => "0.3.0",
            Self::V0_3_1 => "0.3.1",
            Self::V0_4_0 => "0.4.0",
            Self::V1_0_0 => "1.0.0",
            Self::V1_1_0 => "1.1.0",
        }
    }

    /// The `cniVersion` of a configuration; an empty one means 0.1.0.
    pub fn parse(version: &str) -> Result<Self, Error> {
        if version.is_empty() {
            return Ok(Self::V0_1_0);
        }
        Self::ALL
            .into_iter()
            .find(|known| known.as_str() == version)
            .ok_or_else(|| {
                Error::new(Code::IncompatibleVersion, "incompatible CNI versions").with_details(format!(
                    "config is {}, plugin supports {}; set cniVersion to one of these",
                    Quoted(version),
                    supported()
                ))
            })
    }

    /// Refuses `verb` in configurations older than `since`, the version that brought it.
    pub fn require(self, since: Self, verb: &str) -> Result<(), Error> {
        if self < since {
            return Err(Error::new(
                Code::IncompatibleVersion,
                format!("config version does not allow {verb}"),
            ));
        }
        Ok(())
    }
}

impl fmt::Display for SpecVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// All versions, for people: `0.1.0, 0.2.0, ...`.
#[must_use]
pub fn supported() -> String {
    SpecVersion::ALL.map(SpecVersion::as_str).join(", ")
}

/// What VERSION prints, with its newline.
#[must_use]
pub fn version_json() -> String {
    let quoted = SpecVersion::ALL.map(|version| format!("\"{version}\"")).join(",");
    format!(
        "{{\"cniVersion\":\"{}\",\"supportedVersions\":[{quoted}]}}\n",
        SpecVersion::V1_1_0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_is_read_as_it_is_spelled() {
        for version in SpecVersion::ALL {
            assert_eq!(SpecVersion::parse(version.as_str()).unwrap(), version);
        }
        assert_eq!(SpecVersion::parse("").unwrap(), SpecVersion::V0_1_0);
    }

    #[test]
    fn other_versions_are_incompatible() {
        for version in ["1.2.0", "1.0", "v1.0.0", "latest", " 1.0.0"] {
            let error = SpecVersion::parse(version).unwrap_err();
            assert_eq!(
                (error.code, error.msg.as_str()),
                (Code::IncompatibleVersion, "incompatible CNI versions")
            );
        }
    }

    #[test]
    fn verbs_are_refused_before_their_version() {
        assert!(SpecVersion::V0_4_0.require(SpecVersion::V0_4_0, "CHECK").is_ok());
        let error = SpecVersion::V1_0_0
            .require(SpecVersion::V1_1_0, "GC")
            .unwrap_err();
        assert_eq!(error.msg, "config version does not allow GC");
    }

    #[test]
    fn version_prints_what_the_cni_library_prints() {
        assert_eq!(
            version_json(),
            "{\"cniVersion\":\"1.1.0\",\"supportedVersions\":[\"0.1.0\",\"0.2.0\",\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]}\n"
        );
    }
}
