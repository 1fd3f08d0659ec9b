//! The call as the environment describes it: which verb, for which container.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::error::{Code, Error};
use crate::names::{ContainerId, InterfaceName};

/// What the runtime asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Reserve addresses.
    Add(Attachment),
    /// Is the reservation still there?
    Check(Attachment),
    /// Release what the container's interface holds.
    Del(Attachment),
    /// Release what isn't in a list of what is alive.
    Gc,
    /// Can an ADD be served now?
    Status,
    /// Which versions of the specification do you speak?
    Version,
}

impl Verb {
    /// The verb as CNI_COMMAND spells it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Add(_) => "ADD",
            Self::Check(_) => "CHECK",
            Self::Del(_) => "DEL",
            Self::Gc => "GC",
            Self::Status => "STATUS",
            Self::Version => "VERSION",
        }
    }
}

/// One interface of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// CNI_CONTAINERID.
    pub container_id: ContainerId,
    /// CNI_IFNAME.
    pub interface: InterfaceName,
    /// CNI_NETNS; empty in a DEL whose namespace is gone already.
    pub netns: PathBuf,
    /// CNI_ARGS, as it is.
    pub args: String,
    /// CNI_NETNS_OVERRIDE: the namespace may be the plugin's own.
    pub own_netns_allowed: bool,
}

/// Reads the verb and what it needs through `variable`, which looks up one variable. None if there is no CNI_COMMAND:
/// a person started the plugin, not a runtime.
///
/// An empty variable is a missing one. All missing ones are reported together.
pub fn verb(variable: impl Fn(&str) -> Option<OsString>) -> Result<Option<Verb>, Error> {
    let variables = Variables {
        lookup: variable,
        missing: Vec::new(),
    };
    let command = text("CNI_COMMAND", variables.value("CNI_COMMAND"))?;
    Ok(Some(match command.as_str() {
        "" => return Ok(None),
        "ADD" => Verb::Add(attachment(variables, Netns::Required)?),
        "CHECK" => Verb::Check(attachment(variables, Netns::Required)?),
        // The namespace may be gone by then.
        "DEL" => Verb::Del(attachment(variables, Netns::Optional)?),
        // These two are about the plugin, not about a container.
        "GC" => plugin_verb(Verb::Gc, variables)?,
        "STATUS" => plugin_verb(Verb::Status, variables)?,
        "VERSION" => Verb::Version,
        unknown => {
            return Err(Error::new(
                Code::InvalidEnvironment,
                format!("unknown CNI_COMMAND: {unknown}"),
            ));
        }
    }))
}

#[derive(Clone, Copy)]
enum Netns {
    Required,
    Optional,
}

fn plugin_verb(
    verb: Verb,
    mut variables: Variables<impl Fn(&str) -> Option<OsString>>,
) -> Result<Verb, Error> {
    variables.required("CNI_PATH");
    variables.refuse_missing()?;
    Ok(verb)
}

fn attachment(
    mut variables: Variables<impl Fn(&str) -> Option<OsString>>,
    need: Netns,
) -> Result<Attachment, Error> {
    let container_id = variables.required("CNI_CONTAINERID");
    let netns = match need {
        Netns::Required => variables.required("CNI_NETNS"),
        Netns::Optional => variables.value("CNI_NETNS"),
    };
    let interface = variables.required("CNI_IFNAME");
    variables.required("CNI_PATH");
    variables.refuse_missing()?;
    let netns_override = variables.value("CNI_NETNS_OVERRIDE");
    Ok(Attachment {
        container_id: ContainerId::parse(&text("CNI_CONTAINERID", container_id)?)?,
        interface: InterfaceName::parse(&text("CNI_IFNAME", interface)?)?,
        netns: netns.into(),
        // Broken text in there must not fail a DEL, which doesn't need it.
        args: variables.value("CNI_ARGS").to_string_lossy().into_owned(),
        own_netns_allowed: netns_override == "1" || netns_override.eq_ignore_ascii_case("true"),
    })
}

struct Variables<F> {
    lookup: F,
    missing: Vec<&'static str>,
}

impl<F: Fn(&str) -> Option<OsString>> Variables<F> {
    /// Empty if it is missing.
    fn value(&self, name: &str) -> OsString {
        (self.lookup)(name).unwrap_or_default()
    }

    /// The same, and remembers that.
    fn required(&mut self, name: &'static str) -> OsString {
        let value = self.value(name);
        if value.is_empty() {
            self.missing.push(name);
        }
        value
    }

    fn refuse_missing(&self) -> Result<(), Error> {
        if self.missing.is_empty() {
            return Ok(());
        }
        Err(Error::new(
            Code::InvalidEnvironment,
            format!("required env variables [{}] missing", self.missing.join(",")),
        ))
    }
}

fn text(name: &str, value: OsString) -> Result<String, Error> {
    value.into_string().map_err(|_| {
        Error::new(
            Code::InvalidEnvironment,
            format!("env variable {name} isn't valid UTF-8"),
        )
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    const FULL: [(&str, &str); 6] = [
        ("CNI_COMMAND", "ADD"),
        ("CNI_CONTAINERID", "c1"),
        ("CNI_NETNS", "/run/netns/a"),
        ("CNI_IFNAME", "net1"),
        ("CNI_PATH", "/opt/cni/bin"),
        ("CNI_ARGS", "IgnoreUnknown=1"),
    ];

    /// The full environment of an ADD with `changes`.
    fn read(changes: &[(&str, &str)]) -> Result<Option<Verb>, Error> {
        verb(|name| {
            let change = changes.iter().find(|(changed, _)| *changed == name);
            change
                .or_else(|| FULL.iter().find(|(full, _)| *full == name))
                .map(|(_, value)| value.into())
        })
    }

    #[test]
    fn an_add_has_everything() {
        let Some(Verb::Add(attachment)) = read(&[]).unwrap() else {
            panic!("not an ADD")
        };
        assert_eq!(attachment.container_id.as_str(), "c1");
        assert_eq!(attachment.interface.as_str(), "net1");
        assert_eq!(attachment.netns, PathBuf::from("/run/netns/a"));
        assert_eq!(attachment.args, "IgnoreUnknown=1");
        assert!(!attachment.own_netns_allowed);
    }

    #[test]
    fn without_a_command_it_is_a_person() {
        assert_eq!(read(&[("CNI_COMMAND", "")]), Ok(None));
        assert_eq!(verb(|_| None), Ok(None));
    }

    #[test]
    fn missing_variables_are_reported_together() {
        let refused =
            |command: &str| verb(|name| (name == "CNI_COMMAND").then(|| command.into())).unwrap_err();
        for (command, missing) in [
            ("ADD", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH"),
            ("CHECK", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH"),
            ("DEL", "CNI_CONTAINERID,CNI_IFNAME,CNI_PATH"),
            ("GC", "CNI_PATH"),
            ("STATUS", "CNI_PATH"),
        ] {
            let error = refused(command);
            assert_eq!(error.code, Code::InvalidEnvironment);
            assert_eq!(error.msg, format!("required env variables [{missing}] missing"));
        }
        assert_eq!(refused("add").msg, "unknown CNI_COMMAND: add");
    }

    #[test]
    fn verbs_about_the_plugin_need_no_container() {
        let only_path = |command: &str| {
            let command = command.to_owned();
            verb(move |name| match name {
                "CNI_COMMAND" => Some(command.clone().into()),
                "CNI_PATH" => Some("/opt/cni/bin".into()),
                _ => None,
            })
        };
        assert_eq!(only_path("GC"), Ok(Some(Verb::Gc)));
        assert_eq!(only_path("STATUS"), Ok(Some(Verb::Status)));
        assert_eq!(
            verb(|name| (name == "CNI_COMMAND").then(|| "VERSION".into())),
            Ok(Some(Verb::Version))
        );
    }

    #[test]
    fn a_del_needs_no_namespace() {
        let Ok(Some(Verb::Del(attachment))) = read(&[("CNI_COMMAND", "DEL"), ("CNI_NETNS", "")]) else {
            panic!("not a DEL")
        };
        assert_eq!(attachment.netns, PathBuf::new());
    }

    #[test]
    fn the_override_is_one_or_true_in_any_case() {
        for (value, allowed) in [
            ("1", true),
            ("true", true),
            ("TRUE", true),
            ("0", false),
            ("yes", false),
        ] {
            let Ok(Some(Verb::Add(attachment))) = read(&[("CNI_NETNS_OVERRIDE", value)]) else {
                panic!("not an ADD")
            };
            assert_eq!(attachment.own_netns_allowed, allowed, "{value}");
        }
    }

    #[test]
    fn hostile_variables_are_refused_as_such() {
        assert_eq!(
            read(&[("CNI_CONTAINERID", "../x")]).unwrap_err().code,
            Code::InvalidEnvironment
        );
        assert_eq!(
            read(&[("CNI_IFNAME", "a/b")]).unwrap_err().code,
            Code::InvalidEnvironment
        );
        let broken = |broken: &str| {
            let broken = broken.to_owned();
            verb(move |name| {
                if name == broken {
                    return Some(OsString::from_vec(vec![b'a', 0xff]));
                }
                FULL.iter()
                    .find(|(full, _)| *full == name)
                    .map(|(_, value)| value.into())
            })
        };
        for name in ["CNI_COMMAND", "CNI_CONTAINERID", "CNI_IFNAME"] {
            assert_eq!(
                broken(name).unwrap_err().msg,
                format!("env variable {name} isn't valid UTF-8")
            );
        }
        for name in ["CNI_PATH", "CNI_ARGS", "CNI_NETNS"] {
            assert!(broken(name).is_ok());
        }
    }
}
