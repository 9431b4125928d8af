//! The harness: whom the browser trusts, what a failed page leaves, what an application cannot start without.

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use oidc_operator_e2e::{
    applications::{Application, Example, Place, Program},
    case,
    dex::{Dex, DexOptions},
};

use crate::dex::theatre;

#[tokio::test]
async fn the_browser_trusts_the_authorities_that_it_was_given_and_no_others() {
    case::run(async {
        let theatre = theatre().await?;
        let page = theatre.browser.page("trust").await?;
        let document = |dex: &Dex| format!("{}/.well-known/openid-configuration", dex.issuer());
        page.go(&document(&theatre.stage.dex)).await?;
        page.says("authorization_endpoint").await?;

        let stranger = Dex::start(DexOptions::default()).await?;
        let refused = page.go(&document(&stranger)).await.unwrap_err();
        ensure!(
            refused.to_string().contains("ERR_CERT_AUTHORITY_INVALID"),
            "{refused:#}"
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_page_that_is_not_as_it_should_be_is_kept_as_a_picture_and_as_html() {
    case::run(async {
        let theatre = theatre().await?;
        let page = theatre.browser.page("kept").await?;
        page.go("data:text/html,<p id=there>Something else</p>").await?;
        let steps = async { page.click("p").await.and_then(|()| bail!("not this")) };
        let failed: Result<()> = page.recorded("step", steps).await;
        let text = format!("{:#}", failed.unwrap_err());
        ensure!(text.ends_with("not this"), "{text}");
        let path = text
            .split("kept as ")
            .nth(1)
            .and_then(|rest| rest.split(": ").next())
            .with_context(|| text.clone())?;
        ensure!(fs::read(path)?.starts_with(b"\x89PNG\r\n"), "{path} is no picture");
        let html = fs::read_to_string(path.replace(".png", ".html"))?;
        ensure!(
            html.contains("Something else") && html.contains("data:text/html"),
            "{html}"
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_is_covered_cannot_be_clicked() {
    case::run(async {
        let theatre = theatre().await?;
        let page = theatre.browser.page("covered").await?;
        let cover = "position:fixed;top:0;left:0;width:100%;height:100%";
        page.go(&format!(
            "data:text/html,<button>Press</button><div style=\"{cover}\"></div>"
        ))
        .await?;
        let refused = page.click("button").await.unwrap_err();
        ensure!(refused.to_string().contains("button cannot be seen"), "{refused:#}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_application_does_not_start_before_its_outputs_are_there() {
    case::run(async {
        let theatre = theatre().await?;
        let scene = theatre.stage.empty_scene("early").await?;
        let place = Place::new("early", &theatre.ca)?;
        let example = Example::of(Program::Flask, &place, &scene.app, ("dex", &scene.identity), "")?;
        scene.apply(example.deployment).await?;
        let started = Application::start(Program::Flask, &scene.kube, &scene.app, place).await;
        let refused = format!("{:#}", started.unwrap_err());
        ensure!(refused.contains("there is no ConfigMap flask-oidc"), "{refused}");
        Ok(())
    })
    .await;
}
