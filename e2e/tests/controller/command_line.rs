//! Command lines that can't work: what ipam-controller prints, and its exit code.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::bed::Bed;
use e2e::command::{self, Ran};
use e2e::harness::Test;
use e2e::ours;

use super::extra::folder;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::api(
            "controller::command_line::what_cannot_work_ends_at_once_and_says_why",
            faults,
        ),
        Test::api(
            "controller::command_line::version_and_help_are_no_faults",
            version,
        ),
    ]
}

/// Runs the controller on this machine.
async fn run(bed: &Bed, flags: &[&str]) -> Result<Ran> {
    let program = folder(bed).join(ours::FOLDER).join("ipam-controller");
    let program = program.to_string_lossy().into_owned();
    let mut command = command::command(&[&[program.as_str()], flags].concat());
    command.env_clear();
    let limit = std::time::Duration::from_secs(30);
    tokio::time::timeout(limit, command::run(command, b"")).await?
}

async fn faults(bed: Arc<Bed>) -> Result<()> {
    let broken = bed.logs().join("broken.kubeconfig");
    std::fs::write(&broken, "{not yaml")?;
    let broken = format!("--kubeconfig={}", broken.display());
    let off = ["--metrics-bind-address=0", "--health-probe-bind-address=0"];
    let cases: [(&[&str], &[&str]); 9] = [
        (
            &["--leader-elect=maybe"],
            &["--leader-elect", "maybe", "true or false"],
        ),
        (&["--no-such-flag"], &["--no-such-flag"]),
        (&["--v=much"], &["--v", "much"]),
        (&["stray"], &["stray"]),
        (
            &["--ippools-namespace="],
            &["--ippools-namespace", "the name of a namespace"],
        ),
        (
            &["--metrics-bind-address=nowhere"],
            &["\"nowhere\"", "--metrics-bind-address"],
        ),
        (
            &["--kubeconfig=/no/such/file"],
            &["/no/such/file", "--kubeconfig", "No such file"],
        ),
        (&[&broken], &["broken.kubeconfig", "--kubeconfig"]),
        // In no pod, with nothing said.
        (&[], &["--kubeconfig", "KUBECONFIG", "service account"]),
    ];
    for (flags, expected) in cases {
        let ran = run(&bed, &[&off[..], flags].concat()).await?;
        ensure!(ran.code == Some(1), "{ran:?}");
        let said = format!("{}{}", ran.stdout, ran.stderr);
        for text in expected {
            ensure!(
                said.contains(text),
                "no {text:?} in what `{}` says:\n{said}",
                ran.argv
            );
        }
        ensure!(!said.contains("panicked") && said.lines().count() <= 10, "{said}");
    }
    Ok(())
}

async fn version(bed: Arc<Bed>) -> Result<()> {
    let shown = run(&bed, &["--version"]).await?.success()?;
    ensure!(shown.contains("commit:") && shown.lines().count() == 1, "{shown}");
    let shown = run(&bed, &["--help"]).await?.success()?;
    for flag in [
        "--metrics-bind-address",
        "--health-probe-bind-address",
        "--webhook",
        "--leader-elect",
        "--leader-elect-namespace",
        "--ippools-namespace",
        "--kubeconfig",
        "--logging-format",
        "--feature-gates",
        "--version",
    ] {
        ensure!(shown.contains(flag), "{flag} is not in:\n{shown}");
    }
    Ok(())
}
