//! A model of the API server, as far as Secrets and ConfigMaps go: uids, versions, preconditions, owners, immutability and
//! garbage collection; and of workloads, as far as they are restarted.

use std::collections::BTreeMap;

use oidc_operator::{
    api::client::WorkloadReference,
    domain::{ErrorClass, names::next_secret_name, vocabulary::LABEL_CLIENT_UID},
    plan::{
        rehearsal::Outcome,
        snapshot::{ClientView, OutputView, OutputsView, OwnerView, Workload, WorkloadView},
        step::{OutputDraft, OutputKind, Precondition},
    },
};

/// Kind and name.
pub type Key = (String, String);

#[derive(Clone, Debug, Default)]
pub struct Cluster {
    pub objects: BTreeMap<Key, OutputView>,
    /// How often an object of this kind and name was made, and deleted, by the operator.
    pub created: BTreeMap<Key, usize>,
    pub deleted: BTreeMap<Key, usize>,
    /// Names that a policy of the cluster refuses.
    pub refused: Vec<String>,
    /// Names whose deletion is refused.
    pub undeletable: Vec<String>,
    pub workloads: BTreeMap<WorkloadReference, WorkloadModel>,
    counter: u64,
}

/// A workload, and what was done to it.
#[derive(Clone, Debug)]
pub struct WorkloadModel {
    pub view: WorkloadView,
    /// The values of restartedAt, one after the other.
    pub restarts: Vec<String>,
    /// How often somebody else changes it just before our write.
    pub contested: usize,
    /// Are writes forbidden?
    pub forbidden: bool,
}

pub fn key(kind: OutputKind, name: &str) -> Key {
    (kind.to_string(), name.to_owned())
}

impl Cluster {
    pub fn get(&self, kind: OutputKind, name: &str) -> Option<&OutputView> {
        self.objects.get(&key(kind, name))
    }

    pub fn secret(&self, name: &str) -> &OutputView {
        self.get(OutputKind::Secret, name).unwrap()
    }

    fn number(&mut self) -> String {
        self.counter += 1;
        self.counter.to_string()
    }

    /// Somebody makes an object.
    pub fn put(&mut self, kind: OutputKind, name: &str, fill: impl FnOnce(&mut OutputView)) {
        let number = self.number();
        let mut view = OutputView {
            name: name.to_owned(),
            uid: format!("{kind}-{number}"),
            resource_version: number,
            terminating: false,
            owners: Vec::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            data: BTreeMap::new(),
            type_: (kind == OutputKind::Secret).then(|| "Opaque".to_owned()),
            immutable: false,
        };
        fill(&mut view);
        self.objects.insert(key(kind, name), view);
    }

    /// Somebody edits an object, if it is there and may be edited.
    pub fn edit(&mut self, kind: OutputKind, name: &str, change: impl FnOnce(&mut OutputView)) {
        let number = self.number();
        if let Some(view) = self.objects.get_mut(&key(kind, name))
            && !view.immutable
        {
            change(view);
            view.resource_version = number;
        }
    }

    /// Somebody deletes an object.
    pub fn remove(&mut self, kind: OutputKind, name: &str) {
        self.objects.remove(&key(kind, name));
    }

    /// What `controller::gather::outputs` reads: a LIST on the label, and a GET of each name that the list did not show.
    pub fn gather(&self, client: &ClientView) -> OutputsView {
        let listed = |kind: OutputKind| -> Vec<OutputView> {
            self.objects
                .iter()
                .filter(|((of, _), _)| *of == kind.to_string())
                .filter(|(_, view)| view.labels.get(LABEL_CLIENT_UID) == Some(&client.uid))
                .map(|(_, view)| view.clone())
                .collect()
        };
        let has = |list: &[OutputView], name: &str| list.iter().any(|view| view.name == name);
        let mut secrets = listed(OutputKind::Secret);
        let secret_name = client.secret_name();
        if !has(&secrets, &secret_name) {
            for name in [secret_name.clone(), next_secret_name(&secret_name)] {
                if !has(&secrets, &name) {
                    secrets.extend(self.get(OutputKind::Secret, &name).cloned());
                }
            }
        }
        let mut config_maps = listed(OutputKind::ConfigMap);
        let map_name = client.config_map_name();
        if !has(&config_maps, &map_name) {
            config_maps.extend(self.get(OutputKind::ConfigMap, &map_name).cloned());
        }
        OutputsView { secrets, config_maps }
    }

    /// POST.
    pub fn create(&mut self, client: &ClientView, draft: &OutputDraft) -> Outcome {
        if self.refused.contains(&draft.name) {
            return Outcome::OutputRefused("a policy says no".to_owned());
        }
        if self.get(draft.kind, &draft.name).is_some() {
            return Outcome::OutputChanged;
        }
        *self.created.entry(key(draft.kind, &draft.name)).or_default() += 1;
        self.put(draft.kind, &draft.name, |view| {
            view.owners = draft.owned.then(|| owner(client)).into_iter().collect();
            view.labels = draft.labels.clone();
            view.annotations = draft.annotations.clone();
            view.data = draft.data.clone();
            view.immutable = draft.immutable;
            view.type_ = (draft.kind == OutputKind::Secret).then(|| draft.type_.as_str().to_owned());
        });
        self.answer(draft)
    }

    /// A merge patch with uid and resourceVersion in it.
    pub fn update(&mut self, client: &ClientView, draft: &OutputDraft, precondition: &Precondition) -> Outcome {
        if self.refused.contains(&draft.name) {
            return Outcome::OutputRefused("a policy says no".to_owned());
        }
        let number = self.number();
        let Some(view) = self.objects.get_mut(&key(draft.kind, &draft.name)) else {
            return Outcome::OutputChanged;
        };
        let version = precondition.resource_version.as_ref();
        if view.uid != precondition.uid || version.is_some_and(|version| *version != view.resource_version) {
            return Outcome::OutputChanged;
        }
        if view.immutable && view.data != draft.data {
            return Outcome::OutputRefused("data: field is immutable when `immutable` is set".to_owned());
        }
        for (found, wanted) in [
            (&mut view.labels, &draft.labels),
            (&mut view.annotations, &draft.annotations),
        ] {
            found.retain(|key, _| !draft.dropped.contains(key) || wanted.contains_key(key));
            found.extend(wanted.clone());
        }
        view.owners.retain(|owner| owner.uid != client.uid);
        view.owners.extend(draft.owned.then(|| owner(client)));
        view.data = draft.data.clone();
        view.resource_version = number;
        self.answer(draft)
    }

    fn answer(&self, draft: &OutputDraft) -> Outcome {
        Outcome::Output(Box::new(self.get(draft.kind, &draft.name).unwrap().clone()))
    }

    /// DELETE with preconditions.
    pub fn delete(&mut self, kind: OutputKind, name: &str, precondition: &Precondition) -> Outcome {
        let Some(view) = self.get(kind, name) else {
            return Outcome::OutputGone;
        };
        let version = precondition.resource_version.as_ref();
        if view.uid != precondition.uid || version.is_some_and(|version| *version != view.resource_version) {
            return Outcome::OutputChanged;
        }
        if self.undeletable.iter().any(|refused| refused == name) {
            return Outcome::OutputRefused("a policy says no".to_owned());
        }
        *self.deleted.entry(key(kind, name)).or_default() += 1;
        self.objects.remove(&key(kind, name));
        Outcome::OutputGone
    }

    /// Somebody makes a workload, with these annotations.
    pub fn workload(&mut self, reference: &WorkloadReference, annotations: &[(&str, &str)]) -> &mut WorkloadModel {
        let number = self.number();
        let view = WorkloadView::Found(Workload {
            uid: format!("{reference}-{number}"),
            resource_version: number,
            annotations: annotations
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        });
        let model = WorkloadModel {
            view,
            restarts: Vec::new(),
            contested: 0,
            forbidden: false,
        };
        self.workloads.insert(reference.clone(), model);
        self.workloads.get_mut(reference).unwrap()
    }

    /// GET of a workload.
    pub fn see(&self, reference: &WorkloadReference) -> WorkloadView {
        let model = self.workloads.get(reference);
        model.map_or(WorkloadView::Missing, |model| model.view.clone())
    }

    /// A merge patch on a workload with uid and resourceVersion in it.
    pub fn restart(
        &mut self,
        reference: &WorkloadReference,
        precondition: &Precondition,
        (key, fingerprint): (&str, &str),
        restarted_at: Option<&String>,
    ) -> Outcome {
        let number = self.number();
        let Some(model) = self.workloads.get_mut(reference) else {
            return Outcome::Workload(WorkloadView::Missing);
        };
        let WorkloadView::Found(workload) = &mut model.view else {
            return Outcome::Workload(model.view.clone());
        };
        if model.contested > 0 {
            model.contested -= 1;
            workload.resource_version = number;
            return Outcome::WorkloadChanged;
        }
        if model.forbidden {
            return Outcome::Workload(WorkloadView::Failed {
                message: "Kubernetes forbids it: no".to_owned(),
                class: ErrorClass::Auth,
            });
        }
        let version = precondition.resource_version.as_ref();
        if workload.uid != precondition.uid || version != Some(&workload.resource_version) {
            return Outcome::WorkloadChanged;
        }
        workload.annotations.insert(key.to_owned(), fingerprint.to_owned());
        workload.resource_version = number;
        model.restarts.extend(restarted_at.cloned());
        Outcome::Workload(model.view.clone())
    }

    /// What has owners, and none of them lives, goes.
    pub fn collect_garbage(&mut self, living: Option<&str>) {
        self.objects.retain(|_, view| {
            view.owners.is_empty() || view.owners.iter().any(|owner| Some(owner.uid.as_str()) == living)
        });
    }
}

pub fn owner(client: &ClientView) -> OwnerView {
    OwnerView {
        is_client: true,
        name: client.name.name.clone(),
        uid: client.uid.clone(),
    }
}
