//! CNI_ARGS: `KEY=VALUE;KEY=VALUE`, by the rules of the CNI library.

use crate::quoted::Quoted;

/// The keys that this plugin knows; those not given are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CniArgs {
    /// `IP`: one static address, with or without prefix length.
    pub ip: String,
    /// `K8S_POD_NAME`.
    pub pod_name: String,
    /// `K8S_POD_NAMESPACE`.
    pub pod_namespace: String,
    /// `K8S_POD_UID`, which not every runtime passes.
    pub pod_uid: String,
}

/// Why a CNI_ARGS can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CniArgsError {
    /// Not of the form `KEY=VALUE`.
    #[error("ARGS: invalid pair {}", Quoted(.0))]
    Pair(String),
    /// IgnoreUnknown is neither `1`, `true`, `0` nor `false`.
    #[error("ARGS: error parsing value of pair {}: it must be 1, true, 0 or false", Quoted(.0))]
    NotBoolean(String),
    /// Keys that this plugin doesn't know, without `IgnoreUnknown=1`.
    #[error("ARGS: unknown args [{}]", quoted(.0))]
    Unknown(Vec<String>),
}

/// As Go prints a list of texts.
fn quoted(pairs: &[String]) -> String {
    let quoted: Vec<_> = pairs.iter().map(|pair| Quoted(pair).to_string()).collect();
    quoted.join(" ")
}

impl CniArgs {
    /// Reads all of `args`, or says what is wrong with it.
    pub fn parse(args: &str) -> Result<Self, CniArgsError> {
        let mut known = Self::default();
        if args.is_empty() {
            return Ok(known);
        }
        let mut ignore_unknown = false;
        let mut unknown = Vec::new();
        for pair in args.split(';') {
            let Some((key, value)) = pair.split_once('=').filter(|(_, value)| !value.contains('=')) else {
                return Err(CniArgsError::Pair(pair.to_owned()));
            };
            if key == "IgnoreUnknown" {
                ignore_unknown = match value.to_ascii_lowercase().as_str() {
                    "1" | "true" => true,
                    "0" | "false" => false,
                    _ => return Err(CniArgsError::NotBoolean(pair.to_owned())),
                };
            } else if let Some(field) = known.field(key) {
                value.clone_into(field);
            } else {
                unknown.push(pair.to_owned());
            }
        }
        if unknown.is_empty() || ignore_unknown {
            Ok(known)
        } else {
            Err(CniArgsError::Unknown(unknown))
        }
    }

    /// Reads what can be read: a DEL must not fail over what it doesn't need.
    #[must_use]
    pub fn parse_leniently(args: &str) -> Self {
        let mut known = Self::default();
        for (key, value) in args.split(';').filter_map(|pair| pair.split_once('=')) {
            if let Some(field) = known.field(key) {
                value.clone_into(field);
            }
        }
        known
    }

    fn field(&mut self, key: &str) -> Option<&mut String> {
        Some(match key {
            "IP" => &mut self.ip,
            "K8S_POD_NAME" => &mut self.pod_name,
            "K8S_POD_NAMESPACE" => &mut self.pod_namespace,
            "K8S_POD_UID" => &mut self.pod_uid,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_kubelet_s_args_are_read() {
        let args =
            "IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=p;K8S_POD_INFRA_CONTAINER_ID=c;K8S_POD_UID=u";
        let expected = CniArgs {
            ip: String::new(),
            pod_name: "p".into(),
            pod_namespace: "ns".into(),
            pod_uid: "u".into(),
        };
        assert_eq!(CniArgs::parse(args).unwrap(), expected);
        assert_eq!(CniArgs::parse_leniently(args), expected);
    }

    #[test]
    fn unknown_keys_need_ignore_unknown_wherever_it_stands() {
        assert_eq!(
            CniArgs::parse("A=1;B=2"),
            Err(CniArgsError::Unknown(vec!["A=1".into(), "B=2".into()]))
        );
        assert_eq!(
            CniArgs::parse("A=1;IgnoreUnknown=0;B=2").unwrap_err().to_string(),
            "ARGS: unknown args [\"A=1\" \"B=2\"]"
        );
        assert_eq!(
            CniArgs::parse("A=\u{1b}[0m").unwrap_err().to_string(),
            r#"ARGS: unknown args ["A=\x1b[0m"]"#
        );
        for yes in ["1", "true", "TRUE"] {
            assert!(CniArgs::parse(&format!("A=1;IgnoreUnknown={yes}")).is_ok());
        }
        assert!(matches!(
            CniArgs::parse("IgnoreUnknown=yes"),
            Err(CniArgsError::NotBoolean(_))
        ));
    }

    #[test]
    fn what_is_not_a_pair_is_refused() {
        for args in ["A", "K8S_POD_NAME=a;", "K8S_POD_NAME=a=b", ";", "K8S_POD_NAME"] {
            assert!(
                matches!(CniArgs::parse(args), Err(CniArgsError::Pair(_))),
                "{args}"
            );
        }
        assert_eq!(CniArgs::parse("").unwrap(), CniArgs::default());
        assert_eq!(
            CniArgs::parse("A\u{1}").unwrap_err().to_string(),
            r#"ARGS: invalid pair "A\x01""#
        );
    }

    proptest! {
        #[test]
        fn reading_leniently_agrees_where_the_strict_rules_are_kept(args in "((IP|K8S_POD_NAME|A|IgnoreUnknown|)(=|)(1|x|);?){0,4}") {
            if let Ok(strict) = CniArgs::parse(&args) {
                prop_assert_eq!(CniArgs::parse_leniently(&args), strict);
            }
        }
    }
}
