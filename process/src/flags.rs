//! The flags that both processes have, and how a command line is read.
//!
//! Every flag of the Go version is accepted, with its name and default, so that existing manifests work unchanged. A flag
//! that has no meaning here says so in its help text.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Arg, ArgAction, Args, Parser, ValueEnum};

use crate::version::VERSION;

/// A process's command line, with the common flags in it.
pub trait CommandLine: Parser {
    /// The flags that every process has.
    fn common(&self) -> &CommonFlags;

    /// Reads the process's own command line. `--version` and `--help` print and end the process with success; a command
    /// line that can't be understood prints why.
    fn read() -> Result<Self, ExitCode> {
        match Self::try_parse() {
            Ok(command_line) if command_line.common().version.is_some_and(|wanted| wanted.0) => {
                println!("{VERSION}");
                Err(ExitCode::SUCCESS)
            }
            Ok(command_line) => Ok(command_line),
            Err(error) => {
                // Printing fails only if nobody reads.
                let _ = error.print();
                Err(if error.use_stderr() {
                    ExitCode::FAILURE
                } else {
                    ExitCode::SUCCESS
                })
            }
        }
    }
}

/// How flags that stand for yes or no are declared: `#[arg(long, go_bool())] webhook: bool`.
pub trait GoSwitch {
    /// A flag whose value can be left out, which means true, and can't be an argument of its own: `--webhook` and
    /// `--webhook=true`, not `--webhook true`.
    #[must_use]
    fn go_switch(self) -> Self;

    /// Such a flag that takes what Go takes for a boolean, and is false if it is not given: `1`, `t`, `T`, `true`, `TRUE`,
    /// `True` and their opposites.
    #[must_use]
    fn go_bool(self) -> Self;
}

impl GoSwitch for Arg {
    fn go_switch(self) -> Self {
        self.value_name("BOOL")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .action(ArgAction::Set)
            .hide_possible_values(true)
    }

    fn go_bool(self) -> Self {
        self.go_switch().default_value("false").value_parser(go_bool)
    }
}

fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

/// Whether the version was asked for: `--version`, `--version=true` or, as in Kubernetes' own programs, `--version=raw`.
#[derive(Clone, Copy, Debug)]
pub struct VersionWanted(bool);

fn version_wanted(text: &str) -> Result<VersionWanted, String> {
    if text == "raw" {
        Ok(VersionWanted(true))
    } else {
        go_bool(text).map(VersionWanted)
    }
}

/// The flags that every process has.
#[derive(Args, Clone, Debug)]
pub struct CommonFlags {
    /// Logging.
    #[command(flatten)]
    pub logging: LoggingFlags,

    /// Accepted for compatibility: a set of key=value pairs. No feature gate has a meaning here.
    #[arg(long, value_name = "KEY=BOOL,...", help_heading = "Common flags")]
    pub feature_gates: Option<String>,

    /// Print the version and exit.
    #[arg(
        long,
        go_switch(),
        value_parser = version_wanted,
        help_heading = "Common flags"
    )]
    pub version: Option<VersionWanted>,

    /// Path of a kubeconfig. Without it: the file that the environment variable KUBECONFIG names, or the service account
    /// of the pod.
    #[arg(
        long,
        value_name = "PATH",
        value_parser = OsStringValueParser::new().map(PathBuf::from),
        help_heading = "Common flags"
    )]
    pub kubeconfig: Option<PathBuf>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LoggingFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Logging flags, as Kubernetes' own programs have them.
#[derive(Args, Clone, Debug)]
pub struct LoggingFlags {
    /// How log lines look.
    #[arg(long, value_enum, default_value = "text", help_heading = "Logging flags")]
    pub logging_format: LoggingFormat,

    /// Log level: 0 says what happens, 1 to 3 also each request, 4 and more also what the libraries do.
    #[arg(
        short = 'v',
        long = "v",
        value_name = "LEVEL",
        default_value_t = 0,
        allow_negative_numbers = true,
        help_heading = "Logging flags"
    )]
    pub v: i32,

    /// Accepted for compatibility; every line is written at once.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "5s",
        help_heading = "Logging flags"
    )]
    pub log_flush_frequency: String,

    /// Accepted for compatibility; log levels by file have no meaning here.
    #[arg(long, value_name = "PATTERN=N,...", help_heading = "Logging flags")]
    pub vmodule: Option<String>,

    /// Accepted for compatibility; nothing is buffered.
    #[arg(
        long,
        value_name = "QUANTITY",
        default_value = "0",
        help_heading = "Logging flags"
    )]
    pub log_json_info_buffer_size: String,

    /// Accepted for compatibility; there is one stream.
    #[arg(long, go_bool(), help_heading = "Logging flags")]
    pub log_json_split_stream: bool,

    /// Accepted for compatibility; nothing is buffered.
    #[arg(
        long,
        value_name = "QUANTITY",
        default_value = "0",
        help_heading = "Logging flags"
    )]
    pub log_text_info_buffer_size: String,

    /// Accepted for compatibility; there is one stream.
    #[arg(long, go_bool(), help_heading = "Logging flags")]
    pub log_text_split_stream: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Parser, Debug)]
    #[command(args_override_self = true)]
    struct Cli {
        #[command(flatten)]
        common: CommonFlags,
    }

    fn parse(args: &[&str]) -> Result<CommonFlags, clap::Error> {
        Cli::try_parse_from([&["program"], args].concat()).map(|cli| cli.common)
    }

    #[test]
    fn the_level_is_written_in_every_way_that_go_programs_take() {
        for args in [
            &["-v", "2"][..],
            &["-v=2"],
            &["-v2"],
            &["--v=2"],
            &["--v", "2"],
            &["--v=1", "--v=2"],
        ] {
            assert_eq!(parse(args).unwrap().logging.v, 2, "{args:?}");
        }
        assert_eq!(parse(&["--v=-1"]).unwrap().logging.v, -1);
    }

    #[test]
    fn booleans_are_those_of_go() {
        for (args, expected) in [
            (&["--log-json-split-stream"][..], true),
            (&["--log-json-split-stream=T"], true),
            (&["--log-json-split-stream=0"], false),
            (&[], false),
        ] {
            assert_eq!(
                parse(args).unwrap().logging.log_json_split_stream,
                expected,
                "{args:?}"
            );
        }
        assert!(parse(&["--log-json-split-stream=maybe"]).is_err());
        assert!(
            parse(&["--log-json-split-stream", "false"]).is_err(),
            "a stray argument"
        );
    }

    #[test]
    fn every_flag_of_the_seed_is_taken() {
        parse(&[
            "--log-flush-frequency=10s",
            "--log-json-info-buffer-size=4Ki",
            "--log-json-split-stream=true",
            "--logging-format=json",
            "--vmodule=a=1,b=2",
            "--feature-gates=AllAlpha=true,AllBeta=false",
            "--kubeconfig=/root/.kube/config",
        ])
        .unwrap();
    }

    #[test]
    fn an_empty_kubeconfig_is_taken_as_go_takes_it() {
        assert_eq!(
            parse(&["--kubeconfig="]).unwrap().kubeconfig,
            Some(PathBuf::new())
        );
    }

    #[test]
    fn the_version_is_asked_for_in_three_ways() {
        for args in [["--version"], ["--version=true"], ["--version=raw"]] {
            assert!(parse(&args).unwrap().version.unwrap().0);
        }
        assert!(!parse(&["--version=false"]).unwrap().version.unwrap().0);
    }
}
