//! The command line of ipam-controller: the flags of the Go version, with their names and defaults.

use clap::Parser;
use process::flags::{CommandLine, CommonFlags, GoSwitch};

/// Deals each node a range of each pool of nv-ipam.
#[derive(Clone, Debug, Parser)]
#[command(name = "ipam-controller", args_override_self = true)]
pub struct Flags {
    /// Logging, and what every process has.
    #[command(flatten)]
    pub common: CommonFlags,

    /// Address of /metrics. 0 turns it off.
    #[arg(
        long,
        value_name = "HOST:PORT",
        default_value = ":8080",
        help_heading = "Controller flags"
    )]
    pub metrics_bind_address: String,

    /// Address of the probes, /healthz and /readyz. 0 turns them off.
    #[arg(
        long,
        value_name = "HOST:PORT",
        default_value = ":8081",
        help_heading = "Controller flags"
    )]
    pub health_probe_bind_address: String,

    /// Serve the validating webhook, which refuses pools with an invalid spec and warns of what is perhaps not meant. Its
    /// certificate is read from k8s-webhook-server/serving-certs/tls.crt and tls.key in the folder that the environment
    /// variable TMPDIR names, or in /tmp; it is not ready before they are there, and takes new ones as they come.
    #[arg(long, go_bool(), help_heading = "Controller flags")]
    pub webhook: bool,

    /// Address of the webhook. 0 turns it off.
    #[arg(
        long,
        value_name = "HOST:PORT",
        default_value = ":9443",
        help_heading = "Controller flags"
    )]
    pub webhook_bind_address: String,

    /// Take part in leader election, so that only one controller deals ranges. Without it, see to it that there is only one.
    #[arg(long, go_bool(), help_heading = "Controller flags")]
    pub leader_elect: bool,

    /// Namespace of the Lease of the leader election, dd1643cf.nvidia.com.
    #[arg(
        long,
        value_name = "NAMESPACE",
        default_value = "kube-system",
        value_parser = namespace,
        help_heading = "Controller flags"
    )]
    pub leader_elect_namespace: String,

    /// Namespace of the pools.
    #[arg(
        long,
        value_name = "NAMESPACE",
        default_value = "kube-system",
        value_parser = namespace,
        help_heading = "Controller flags"
    )]
    pub ippools_namespace: String,
}

/// The name of a namespace. Anything else, and nothing at all above all, would be asked for in vain for ever.
fn namespace(text: &str) -> Result<String, String> {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_label = (1..=63).contains(&text.len())
        && text.bytes().all(inside)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if is_label {
        Ok(text.to_owned())
    } else {
        Err("expected the name of a namespace".to_owned())
    }
}

impl CommandLine for Flags {
    fn common(&self) -> &CommonFlags {
        &self.common
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(args: &[&str]) -> Result<Flags, clap::Error> {
        Flags::try_parse_from([&["ipam-controller"], args].concat())
    }

    #[test]
    fn defaults_are_those_of_the_go_version() {
        let flags = parse(&[]).unwrap();
        assert_eq!(flags.metrics_bind_address, ":8080");
        assert_eq!(flags.health_probe_bind_address, ":8081");
        assert_eq!((flags.webhook, flags.leader_elect), (false, false));
        assert_eq!(
            (flags.leader_elect_namespace, flags.ippools_namespace),
            ("kube-system".to_owned(), "kube-system".to_owned())
        );
    }

    #[test]
    fn switches_are_written_as_the_go_versions_manifests_write_them() {
        for args in [
            ["--webhook", "--leader-elect"],
            ["--webhook=true", "--leader-elect=true"],
        ] {
            let flags = parse(&args).unwrap();
            assert!(flags.webhook && flags.leader_elect, "{args:?}");
        }
        assert!(
            !parse(&["--leader-elect=true", "--leader-elect=false"])
                .unwrap()
                .leader_elect
        );
        assert!(parse(&["--leader-elect=maybe"]).is_err());
    }

    #[test]
    fn a_namespace_is_the_name_of_one() {
        assert_eq!(
            parse(&["--ippools-namespace=nv-ipam-2"])
                .unwrap()
                .ippools_namespace,
            "nv-ipam-2"
        );
        for flag in ["--ippools-namespace", "--leader-elect-namespace"] {
            for wrong in [
                "",
                "a/b",
                "A",
                "a.b",
                "-a",
                "a-",
                "$(POD_NAMESPACE)",
                &"a".repeat(64),
            ] {
                let error = parse(&[&format!("{flag}={wrong}")]).unwrap_err().to_string();
                assert!(
                    error.contains(flag) && error.contains("the name of a namespace"),
                    "{error}"
                );
            }
        }
    }

    #[test]
    fn stray_arguments_are_refused() {
        assert!(parse(&["--webhook", "false"]).is_err());
        assert!(parse(&["run"]).is_err());
    }

    #[test]
    fn the_command_is_well_formed() {
        Flags::command().debug_assert();
    }
}
