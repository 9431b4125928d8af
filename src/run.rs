//! `oidc-operator run`: from arguments to the running loop, and its orderly end.

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::RunArgs,
    controller::run::{LoopConfig, run as run_loop},
    kubernetes,
    telemetry::{health::Health, logs, metrics::Metrics, server},
};

/// Runs the operator until SIGTERM or SIGINT; what is under way then ends within 10 s.
///
/// # Errors
/// When the operator cannot start, with what to do about it.
pub fn run(args: &RunArgs) -> Result<()> {
    logs::init(args.log_format, &args.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    let result = runtime.block_on(start(args));
    // A task that does not listen to the signal is not waited for.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

async fn start(args: &RunArgs) -> Result<()> {
    let stop = CancellationToken::new();
    tokio::spawn(listen_for_the_end(stop.clone())?);
    let (metrics, health) = (Metrics::new(), Health::new());
    let serving = tokio::spawn(server::serve(
        args.health_addr,
        health.clone(),
        metrics.clone(),
        stop.clone().cancelled_owned(),
    ));
    let kube = kubernetes::client::connect().await?;
    let config = LoopConfig {
        owner_id: args.owner_id.clone(),
        deletion_timeout: args.deletion_timeout,
        concurrency: usize::from(args.concurrency),
        namespace: args.namespace.clone(),
        rollout_restart: args.enable_rollout_restart,
    };
    let running = run_loop(kube, config, metrics, health, stop.clone());
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => ended?,
        served = serving => {
            served.context("the health server died")??;
            // It ends by itself only with the signal.
            running.await?;
        }
    }
    tracing::info!("stopped");
    Ok(())
}

fn listen_for_the_end(stop: CancellationToken) -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM"),
            _ = interrupt.recv() => tracing::info!("SIGINT"),
        }
        stop.cancel();
    })
}
