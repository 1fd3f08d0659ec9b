//! The program `ipam-node`.

use std::process::ExitCode;

use node::config::Config;
use node::daemon;
use node::flags::Cli;
use process::flags::CommandLine;

fn main() -> ExitCode {
    let mut cli = match Cli::read() {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    match cli.command.take() {
        Some(command) => {
            // To standard error, beside what is printed.
            process::logging::init(&cli.common().logging);
            command.run(&cli.store_file, &cli.bind_address)
        }
        None => process::run_with(cli, |cli, shutdown| async move {
            daemon::run(Config::parse(cli)?, shutdown).await
        }),
    }
}
