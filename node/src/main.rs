//! The program `ipam-node`.

use std::process::ExitCode;

use node::config::Config;
use node::daemon;
use node::flags::Cli;

fn main() -> ExitCode {
    process::run(|cli: Cli, shutdown| async move { daemon::run(Config::parse(cli)?, shutdown).await })
}
