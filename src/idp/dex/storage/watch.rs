//! The watch of all OAuth2Clients of a Dex, in the terms of drivers.

use futures::{Stream, StreamExt as _};
use kube::{core::DynamicObject, runtime::watcher::Event};
use tokio::time::Instant;

use super::{
    errors::{Place, classify_watch},
    names,
    object::observe,
};
use crate::{
    idp::{Watched, WatchedRow},
    kubernetes::watch::Failure,
};

/// Turns what the API server shows into what the operator follows. Objects under whose name Dex looks for no client are
/// nobody's.
pub(super) fn follow(
    events: impl Stream<Item = Result<Event<DynamicObject>, Failure>> + Send + 'static,
    place: Place,
) -> impl Stream<Item = Watched> + Send + 'static {
    let mut list = List::default();
    events.filter_map(move |event| {
        let watched = match event {
            Ok(event) => list.take(event),
            Err(failure) => Some(Watched::Failed(classify_watch(&failure, &place))),
        };
        std::future::ready(watched)
    })
}

/// A list that is being read.
#[derive(Default)]
struct List {
    began: Option<Instant>,
    rows: Vec<WatchedRow>,
}

impl List {
    fn take(&mut self, event: Event<DynamicObject>) -> Option<Watched> {
        match event {
            // It comes before the request is sent.
            Event::Init => {
                *self = Self {
                    began: Some(Instant::now()),
                    rows: Vec::new(),
                };
                None
            }
            Event::InitApply(object) => {
                self.rows.extend(row(&object, true));
                None
            }
            Event::InitDone => {
                let list = std::mem::take(self);
                Some(Watched::Listed {
                    began: list.began.unwrap_or_else(Instant::now).into_std(),
                    rows: list.rows,
                })
            }
            Event::Apply(object) => row(&object, true).map(Watched::Changed),
            Event::Delete(object) => row(&object, false).map(Watched::Changed),
        }
    }
}

fn row(object: &DynamicObject, there: bool) -> Option<WatchedRow> {
    let client_id = names::client_id(object.metadata.name.as_deref()?)?;
    let client = observe(object);
    Some(WatchedRow {
        client_id,
        revision: client.revision(),
        client: there.then_some(client),
    })
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use kube::core::ObjectMeta;
    use serde_json::json;

    use super::{super::object::resource, *};
    use crate::domain::IdpErrorKind;

    fn object(name: &str, id: &str, version: &str) -> DynamicObject {
        let mut object = DynamicObject::new(name, &resource()).data(json!({"id": id}));
        object.metadata = ObjectMeta {
            resource_version: Some(version.to_owned()),
            ..object.metadata
        };
        object
    }

    async fn told(events: Vec<Result<Event<DynamicObject>, Failure>>) -> Vec<Watched> {
        let place = Place {
            namespace: "identity".to_owned(),
            timeout: std::time::Duration::from_secs(1),
        };
        follow(stream::iter(events), place).collect().await
    }

    #[tokio::test]
    async fn a_row_is_known_by_the_id_under_which_dex_looks_for_it() {
        let name = names::object_name("web").unwrap();
        let told = told(vec![
            Ok(Event::Init),
            Ok(Event::InitApply(object(&name, "web", "7"))),
            Ok(Event::InitApply(object("by-hand", "other", "8"))),
            Ok(Event::InitDone),
            Ok(Event::Apply(object(&name, "renamed", "9"))),
            Ok(Event::Apply(object("by-hand", "other", "10"))),
            Ok(Event::Delete(object(&name, "renamed", "11"))),
            Err(Failure::Ended),
        ])
        .await;
        let [
            Watched::Listed { rows, .. },
            Watched::Changed(renamed),
            Watched::Changed(gone),
            Watched::Failed(error),
        ] = told.as_slice()
        else {
            panic!("{told:?}")
        };
        assert_eq!(
            rows.iter().map(|row| row.client_id.as_str()).collect::<Vec<_>>(),
            ["web"]
        );
        assert_eq!((renamed.client_id.as_str(), renamed.revision), ("web", Some(9)));
        assert_eq!(renamed.client.as_ref().unwrap().client_id, "renamed");
        assert_eq!(
            (gone.client_id.as_str(), gone.revision, &gone.client),
            ("web", Some(11), &None)
        );
        assert_eq!(error.kind, IdpErrorKind::Protocol);
    }
}
