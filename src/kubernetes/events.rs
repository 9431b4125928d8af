//! Events: off the critical path, bounded, and never a reason to fail a pass.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::client::{KubeError, within};
use crate::{api::Reason, domain::vocabulary::FIELD_MANAGER, telemetry::metrics::Metrics};

/// Events that wait to be sent. What comes when it is full is dropped and counted: the same news stands in conditions.
const QUEUE: usize = 1024;

/// Longest note that Kubernetes takes (`events.k8s.io/v1`, field `note`), in bytes.
const MAX_NOTE: usize = 1024;

/// How long what still waits may take once the operator stops.
const DRAIN: Duration = Duration::from_secs(1);

/// Takes Events and sends them later.
#[derive(Clone)]
pub struct Events {
    queue: mpsc::Sender<(ObjectReference, Event)>,
    metrics: Metrics,
}

impl Events {
    /// The queue, and the work that empties it until `stop`, and a second longer.
    pub fn start(
        kube: Client,
        instance: String,
        metrics: Metrics,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let reporter = Reporter {
            controller: FIELD_MANAGER.to_owned(),
            instance: Some(instance),
        };
        let recorder = Recorder::new(kube, reporter);
        let work = send(recorder, waiting, metrics.clone(), stop);
        (Self { queue, metrics }, work)
    }

    /// Sends an Event soon. The same type, reason and object within six minutes become one Event with a count.
    pub fn publish(&self, regarding: ObjectReference, warning: bool, reason: Reason, action: &str, message: &str) {
        let event = Event {
            type_: if warning { EventType::Warning } else { EventType::Normal },
            reason: reason.as_str().to_owned(),
            note: Some(cut(message)),
            action: action.to_owned(),
            secondary: None,
        };
        if self.queue.try_send((regarding, event)).is_err() {
            self.metrics.event("dropped");
        }
    }
}

/// At most [`MAX_NOTE`] bytes, whole characters.
fn cut(message: &str) -> String {
    if message.len() <= MAX_NOTE {
        return message.to_owned();
    }
    let end = (0..=MAX_NOTE - '…'.len_utf8())
        .rev()
        .find(|index| message.is_char_boundary(*index));
    format!("{}…", &message[..end.unwrap_or(0)])
}

async fn send(
    recorder: Recorder,
    mut waiting: mpsc::Receiver<(ObjectReference, Event)>,
    metrics: Metrics,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            biased;
            next = waiting.recv() => match next {
                Some((regarding, event)) => publish(&recorder, &metrics, &regarding, &event).await,
                None => return,
            },
            () = stop.cancelled() => break,
        }
    }
    // What passes under way still have to say.
    let rest = async {
        while let Some((regarding, event)) = waiting.recv().await {
            publish(&recorder, &metrics, &regarding, &event).await;
        }
    };
    let _ = tokio::time::timeout(DRAIN, rest).await;
}

async fn publish(recorder: &Recorder, metrics: &Metrics, regarding: &ObjectReference, event: &Event) {
    match within(metrics, "publish events", recorder.publish(event, regarding)).await {
        Ok(()) => metrics.event("published"),
        // A namespace that is ending takes none; a series whose first Event expired is gone.
        Err(error @ (KubeError::Forbidden { .. } | KubeError::NotFound)) => {
            metrics.event("refused");
            tracing::debug!(reason = event.reason, %error, "Event refused");
        }
        Err(error) => {
            metrics.event("failed");
            tracing::warn!(reason = event.reason, %error, "Event not published");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_fit() {
        assert_eq!(cut("short"), "short");
        let cut = cut(&"é".repeat(1000));
        assert!(cut.len() <= MAX_NOTE && cut.ends_with('…'), "{}", cut.len());
    }

    #[tokio::test]
    async fn a_full_queue_drops_and_counts() {
        let metrics = Metrics::new();
        let (queue, _waiting) = mpsc::channel(1);
        let events = Events {
            queue,
            metrics: metrics.clone(),
        };
        for _ in 0..3 {
            events.publish(ObjectReference::default(), false, Reason::Created, "Reconcile", "x");
        }
        assert!(
            metrics
                .text()
                .contains(r#"oidc_operator_events_total{result="dropped"} 2"#)
        );
    }
}
