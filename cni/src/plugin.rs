//! One run of the plugin: what comes in by environment and standard input, what goes out.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::process::ExitCode;

use crate::environment::{self, Verb};
use crate::error::{Code, Error};
use crate::log::Log;
use crate::{json, spec, verbs, version};

/// The process as its runtime sees it.
pub struct Process<'a> {
    /// The command line without the program.
    pub arguments: &'a mut dyn Iterator<Item = OsString>,
    /// Looks up an environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// The network configuration comes from here.
    pub stdin: &'a mut dyn Read,
    /// The result or the error goes here, in one write.
    pub stdout: &'a mut dyn Write,
    /// What is for people goes here.
    pub stderr: &'a mut dyn Write,
}

/// Runs the plugin. A verb that fails prints its error on standard output and exits with 1, as the specification has it.
#[must_use = "it is what the process exits with"]
pub fn run(process: Process<'_>) -> ExitCode {
    let Process {
        arguments,
        variable,
        stdin,
        stdout,
        stderr,
    } = process;
    let mut log = Log::to_stderr();
    let (output, code) = match environment::verb(variable) {
        Ok(None) => return introduce(arguments, stdout, stderr),
        Ok(Some(verb)) => match carry_out(&verb, stdin, &mut log) {
            Ok(output) => (output, ExitCode::SUCCESS),
            Err(error) => (failed(&verb, &error, &mut log), ExitCode::FAILURE),
        },
        Err(error) => (error_json(&error), ExitCode::FAILURE),
    };
    if let Err(error) = stdout.write_all(&output).and_then(|()| stdout.flush()) {
        log.error(format_args!("can't write to standard output: {error}"));
        return ExitCode::FAILURE;
    }
    code
}

fn carry_out(verb: &Verb, stdin: &mut dyn Read, log: &mut Log) -> Result<Vec<u8>, Error> {
    // Most fit; growing from nothing would be a read for each 32 bytes.
    let mut configuration = Vec::with_capacity(2048);
    if *verb != Verb::Version {
        stdin
            .read_to_end(&mut configuration)
            .map_err(|error| Error::new(Code::Io, format!("error reading from stdin: {error}")))?;
    }
    verbs::run(verb, &configuration, log)
}

fn failed(verb: &Verb, error: &Error, log: &mut Log) -> Vec<u8> {
    let code = error.code as u16;
    match verb {
        Verb::Add(attachment) | Verb::Check(attachment) | Verb::Del(attachment) => log.error(format_args!(
            "CMD {} Error: ContainerID: {} IfName: {} code {code}: {error}",
            verb.name(),
            attachment.container_id,
            attachment.interface
        )),
        Verb::Gc | Verb::Status | Verb::Version => {
            log.error(format_args!("CMD {} Error: code {code}: {error}", verb.name()));
        }
    }
    error_json(error)
}

fn error_json(error: &Error) -> Vec<u8> {
    // An error is two texts and a number: there is nothing in it that JSON can't say.
    json::to_indented(error).unwrap_or_default()
}

/// A person started the plugin.
fn introduce(
    arguments: &mut dyn Iterator<Item = OsString>,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> ExitCode {
    let about = format!(
        "nv-ipam CNI plugin {}\nCNI protocol versions supported: {}\n",
        version::VERSION,
        spec::supported()
    );
    let asked = arguments.next();
    let written = match asked.as_ref().and_then(|argument| argument.to_str()) {
        Some("--version" | "-V") => stdout.write_all(about.as_bytes()),
        Some("--help" | "-h") => stdout.write_all(format!("{about}{HELP}").as_bytes()),
        _ => stderr.write_all(about.as_bytes()),
    };
    if written.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

const HELP: &str = "
A container runtime calls this plugin, by way of a network's main plugin, as \"ipam\": {\"type\": \"nv-ipam\"}.
The call comes by environment (CNI_COMMAND and so on, see https://www.cni.dev/docs/spec/) and the network's
configuration on standard input. Is the daemon there? Ask as a runtime does:

  echo '{\"cniVersion\": \"1.1.0\", \"name\": \"mynet\", \"ipam\": {\"type\": \"nv-ipam\"}}' |
    CNI_COMMAND=STATUS CNI_PATH=/opt/cni/bin nv-ipam
";
