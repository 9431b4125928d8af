//! Logins while a client is made: what they notice is one restart of Dex.

use std::{
    io::Write as _,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use oidc_operator::api::OIDCClient;
use oidc_operator_e2e::{
    case,
    dex::{
        Storage,
        supervised::{PLATFORM_CLIENT, PLATFORM_REDIRECT_URI, PLATFORM_SECRET},
    },
    login::{ClientAuth, Login},
};
use serde_json::json;
use tokio::task::JoinSet;

use crate::site::{Site, ready};

/// A new login begins so often.
const PERIOD: Duration = Duration::from_millis(100);

/// A login: when it began, how long it took, and whether it worked.
struct Attempt {
    began: Instant,
    took: Duration,
    worked: bool,
}

#[tokio::test]
async fn logins_miss_one_restart_at_most() {
    case::run(async {
        let site = Site::start("logins", Storage::Sqlite).await?;
        let (scene, _kubelet) = site.scene().await?;
        let auth = ClientAuth::SecretBasic(PLATFORM_SECRET.to_owned());
        let login = Login::new(site.dex.issuer(), site.dex.ca_pem(), PLATFORM_CLIENT, auth, PLATFORM_REDIRECT_URI);
        login.run().await.context("before")?;

        let (before, attempts) = (site.dex.starts().len(), Arc::new(Mutex::new(Vec::new())));
        let stream = async {
            let mut logins = JoinSet::new();
            let mut clock = tokio::time::interval(PERIOD);
            loop {
                clock.tick().await;
                let (login, attempts) = (login.clone(), Arc::clone(&attempts));
                logins.spawn(async move {
                    let began = Instant::now();
                    let worked = login.run().await.is_ok();
                    let took = began.elapsed();
                    attempts.lock().unwrap().push(Attempt { began, took, worked });
                });
            }
        };
        let made = async {
            scene.client("web", json!({})).await?;
        ready::<OIDCClient>(&scene, "web").await?;
            // Until it is seen that they work again.
            tokio::time::sleep(Duration::from_secs(2)).await;
            anyhow::Ok(())
        };
        tokio::select! {
            made = made => made?,
            never = stream => never,
        }
        let starts = site.dex.starts();
        ensure!(starts.len() == before + 1, "{} restarts", starts.len() - before);
        let start = starts.last().context("no start")?;
        let ended = start.ended.context("nothing had run before")?;
        let restart = start.served.context("it does not serve")?.duration_since(ended);

        let mut attempts = std::mem::take(&mut *attempts.lock().unwrap());
        attempts.sort_by_key(|attempt| attempt.began);
        let longest = longest_window(&attempts);
        let slowest = attempts.iter().filter(|attempt| attempt.worked).map(|attempt| attempt.took).max();
        let slowest = slowest.context("no login worked")?;
        writeln!(
            std::io::stderr(),
            "{} logins, one each {} ms, while a client was made: longest time in which none that began worked {:.2} s; the restart took {:.2} s, the slowest login {:.2} s",
            attempts.len(),
            PERIOD.as_millis(),
            longest.as_secs_f32(),
            restart.as_secs_f32(),
            slowest.as_secs_f32()
        )?;
        // A login that begins just before the restart needs Dex until its end.
        ensure!(longest <= restart + slowest + PERIOD, "{longest:?} is longer than one restart");
        site.was_never_open()
    })
    .await;
}

/// From the beginning of the first login that failed to that of the next one that worked, at the longest.
fn longest_window(attempts: &[Attempt]) -> Duration {
    let mut longest = Duration::ZERO;
    let mut since = None;
    for attempt in attempts {
        match (attempt.worked, since) {
            (false, None) => since = Some(attempt.began),
            (true, Some(first)) => {
                longest = longest.max(attempt.began.duration_since(first));
                since = None;
            }
            _ => {}
        }
    }
    longest
}
