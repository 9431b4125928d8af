//! `oidc-operator`: see `oidc-operator help`.

use std::process::ExitCode;

use clap::Parser as _;
use oidc_operator::cli::{Cli, Command};

fn main() -> ExitCode {
    // One TLS implementation for the whole process, before the first client is built.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return fail(&anyhow::anyhow!("another TLS implementation is installed already"));
    }
    let result = match Cli::parse().command {
        Command::Run(args) => oidc_operator::run::run(&args),
        Command::Crds(args) => oidc_operator::crds::write(&args),
        Command::Comparison(args) => oidc_operator::comparison::write(&args),
        Command::Verify(args) => match oidc_operator::verify::run(&args) {
            // The report has said what failed.
            Ok(false) => return ExitCode::FAILURE,
            verified => verified.map(drop),
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the one place where an error reaches the person at the command line"
)]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("oidc-operator: {error:#}");
    ExitCode::FAILURE
}
