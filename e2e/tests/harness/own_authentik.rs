//! `make e2e-authentik`, against the stand-in in place of a user's server.

use std::process::Stdio;

use anyhow::Result;
use oidc_operator_e2e::{
    authentik::{AuthentikOptions, Managed},
    case,
    workdir::WorkDir,
};
use tokio::process::Command;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_own-authentik"));
    for name in ["AUTHENTIK_URL", "AUTHENTIK_TOKEN", "AUTHENTIK_CA"] {
        command.env_remove(name);
    }
    command.kill_on_drop(true).stdin(Stdio::null());
    command
}

#[tokio::test]
async fn a_server_of_the_users_own_is_tried_and_left_as_it_was() {
    case::run(async {
        let managed = Managed::start(AuthentikOptions::default())?;
        let folder = WorkDir::new("own-authentik")?;
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, managed.ca.pem())?;
        let output = program()
            .env("AUTHENTIK_URL", managed.server.url())
            .env("AUTHENTIK_TOKEN", &managed.token)
            .env("AUTHENTIK_CA", &ca)
            .output()
            .await?;
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("All of it held"), "{said}");
        assert!(!said.contains(&managed.token), "it shows the token");
        assert_eq!(managed.server.client_ids(), [""; 0], "{said}");
        assert_eq!(managed.server.slugs(), [""; 0], "{said}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_own_authentik_that_is_not_named_is_asked_for() -> Result<()> {
    let output = program().output().await?;
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("AUTHENTIK_URL") && said.contains("AUTHENTIK_TOKEN"),
        "{said}"
    );
    Ok(())
}
