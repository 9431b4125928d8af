//! The names that this operator writes into Kubernetes objects: finalizers, labels and annotations.
//!
//! They are part of the API: a user's GitOps tool, backup or policy may refer to them.

/// API group of both kinds, and the prefix of every name below.
pub const GROUP: &str = "oidc-operator.io";

/// The field manager of every write to Kubernetes.
pub const FIELD_MANAGER: &str = "oidc-operator";

/// Finalizer on an OIDCClient: something may exist at the identity provider.
pub const CLIENT_FINALIZER: &str = "oidc-operator.io/client";

/// Finalizer on an OIDCProvider: clients still need it for their deletion.
pub const PROVIDER_FINALIZER: &str = "oidc-operator.io/provider";

/// Label on every output: the uid of the OIDCClient it belongs to. Our Secrets are found by a live LIST on it.
pub const LABEL_CLIENT_UID: &str = "oidc-operator.io/client-uid";

/// Label on every output: `oidc-operator`.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Value of [`LABEL_MANAGED_BY`].
pub const MANAGED_BY: &str = "oidc-operator";

/// Label that a Secret must carry before the operator reads it; the value is its purpose.
pub const LABEL_CREDENTIAL: &str = "oidc-operator.io/credential";

/// Purpose: credentials of a provider's admin API.
pub const CREDENTIAL_PROVIDER: &str = "provider";

/// Purpose: the client secret of an OIDCClient (`credentials.existingSecretRef`).
pub const CREDENTIAL_CLIENT: &str = "client";

/// Purpose: the platform's part of Dex's configuration (`spec.dex.config.base`).
pub const CREDENTIAL_DEX_CONFIG: &str = "dex-config";

/// Annotation on the target of Dex's configuration, on the Secret with the client secrets, and on the record of a registered client:
/// the OIDCProvider that they were made for, `<owner id>/<namespace>/<name>`.
pub const ANNOTATION_PROVIDER: &str = "oidc-operator.io/provider";

/// Annotation on the target of Dex's configuration: the uid of the workload all of whose Pods were seen to take their environment
/// from the Secret with the client secrets.
pub const ANNOTATION_GUARDED: &str = "oidc-operator.io/environment-guarded";

/// Annotation on the target of Dex's configuration, and on the Secret with the client secrets: a random value, another one with
/// each configuration or secret that is written.
pub const ANNOTATION_REVISION: &str = "oidc-operator.io/revision";

/// Annotation on the Secret with the client secrets: a random value that goes into [`ANNOTATION_DEX_CONFIG_DIGEST`], so that
/// nobody who reads the workload, but not the Secret, learns anything of the secrets.
pub const ANNOTATION_DEX_CONFIG_SALT: &str = "oidc-operator.io/dex-config-salt";

/// Annotation on the Pod template that runs Dex: sha256 of the configuration, the client secrets and the salt.
pub const ANNOTATION_DEX_CONFIG_DIGEST: &str = "oidc-operator.io/dex-config-sha256";

/// Label on a ConfigMap or Secret with CA certificates that is to be followed at once (a ConfigMap without it: on resync).
pub const LABEL_CERTIFICATE_AUTHORITY: &str = "oidc-operator.io/certificate-authority";

/// Value of [`LABEL_CERTIFICATE_AUTHORITY`].
pub const CERTIFICATE_AUTHORITY: &str = "true";

/// Annotation on outputs: the ownership mark (see [`crate::domain::Mark`]). It stays on what is retained.
pub const ANNOTATION_MARK: &str = "oidc-operator.io/mark";

/// Annotation on the output Secret: sha256 of the client secret that the operator wrote.
pub const ANNOTATION_SECRET_DIGEST: &str = "oidc-operator.io/client-secret-sha256";

/// Annotation on the output Secret: the key that holds the client secret, where it is not [`KEY_CLIENT_SECRET`].
pub const ANNOTATION_SECRET_KEY: &str = "oidc-operator.io/client-secret-key";

/// Annotation on the output Secret: the values that the operator made up beside the client secret, `<key>:<sha256>` each.
pub const ANNOTATION_GENERATED: &str = "oidc-operator.io/generated-sha256";

/// Annotation on outputs: sha256 of all of their data. It changes when, and only when, an application has something new to
/// read: for tools that restart workloads.
pub const ANNOTATION_OUTPUT_HASH: &str = "oidc-operator.io/output-sha256";

/// Annotation on outputs: sha256 of every other key that the operator wrote.
pub const ANNOTATION_DATA_DIGEST: &str = "oidc-operator.io/data-sha256";

/// Annotation on the output Secret: where its client secret came from (`Generated` or `Existing`).
pub const ANNOTATION_SECRET_SOURCE: &str = "oidc-operator.io/secret-source";

/// Annotation on `-next` and, once it was taken over, on the output Secret: the id of a rotation attempt.
pub const ANNOTATION_ATTEMPT: &str = "oidc-operator.io/rotation-attempt";

/// Annotation on the output Secret: when its client secret was made (RFC 3339).
pub const ANNOTATION_ROTATED_AT: &str = "oidc-operator.io/rotated-at";

/// Annotation on the output Secret, and on `-next`: the value of [`ANNOTATION_ROTATE`] that its client secret answers.
pub const ANNOTATION_ROTATE_REQUEST: &str = "oidc-operator.io/rotate-request";

/// Annotation on the output Secret: until when the client secret before this one is, or was, valid beside it (RFC 3339). Only
/// where that was seen.
pub const ANNOTATION_PREVIOUS_UNTIL: &str = "oidc-operator.io/previous-secret-valid-until";

/// Annotation on the output Secret: the public key before the current one, while the provider takes it too (RFC 7517).
pub const ANNOTATION_PREVIOUS_KEY: &str = "oidc-operator.io/previous-key";

/// Label on the records of registered clients, in the operator's own namespace.
pub const LABEL_REGISTRATION: &str = "oidc-operator.io/registration";

/// Annotation on such a record: its OIDCClient, as `namespace/name`.
pub const ANNOTATION_CLIENT: &str = "oidc-operator.io/client";

/// Annotation on an OIDCClient: a new value asks for a new client secret, at once.
pub const ANNOTATION_ROTATE: &str = "oidc-operator.io/rotate";

/// Annotation on outputs: the labels and annotations that came from the spec, so that they go when the spec drops them.
pub const ANNOTATION_APPLIED_METADATA: &str = "oidc-operator.io/applied-metadata";

/// Annotation on the output Secret: a random value that goes into what is noted on workloads ([`RESTART_PREFIX`]), so that nobody
/// who reads a workload, but not the Secret, learns anything of what the Secret holds.
pub const ANNOTATION_RESTART_SALT: &str = "oidc-operator.io/restart-salt";

/// Annotation on a workload: the OIDCClients that may restart it, by name, separated by commas.
pub const ANNOTATION_RESTART_ON: &str = "oidc-operator.io/restart-on";

/// Prefix of the annotation on a workload, one for each OIDCClient, that tells which outputs it was last started with.
pub const RESTART_PREFIX: &str = "restart.oidc-operator.io/";

/// Annotation on the Pod template of a workload: a new value starts all of its Pods anew, as `kubectl rollout restart` does.
pub const ANNOTATION_RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// Annotation on a custom resource: a new value asks for a pass that looks at everything anew, at once.
pub const ANNOTATION_RECONCILE_REQUESTED: &str = "oidc-operator.io/reconcile-requested";

/// Annotation on a custom resource that is being deleted: let it go, leave what is at the identity provider.
pub const ANNOTATION_ORPHAN: &str = "oidc-operator.io/orphan";

/// Prefix of the keys of generated values in the staged Secret of a rotation, so that none of them is that of the secret.
pub const GENERATED_PREFIX: &str = "generated.";

/// Suffix of the staged Secret of a rotation.
pub const NEXT_SUFFIX: &str = "-next";

/// Key of the client secret in the output Secret's `default` format.
pub const KEY_CLIENT_SECRET: &str = "client-secret";
