//! Why: one enum for the reasons of conditions, the names of Events and the labels of metrics.

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// A reason.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[$doc])* $name,)+
        }

        impl Reason {
            /// All of them: docs/conditions.md names each.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Reads a reason back; one that this version does not know is [`Reason::Pending`].
            pub fn parse(text: &str) -> Self {
                match text {
                    $(stringify!($name) => Self::$name,)+
                    _ => Self::Pending,
                }
            }

            /// As it stands in conditions, Events and metrics.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }
        }
    };
}

reasons! {
    /// Nothing was looked at yet.
    Pending,
    /// All is well.
    Ready,
    /// The provider was found, serves this namespace and is ready.
    Resolved,
    /// The provider can do all that the spec asks for.
    Accepted,
    /// Accepted, but the provider would allow more than the spec says (`status.enforcement`).
    NotEnforced,
    /// The client stands at the provider as the spec wants it.
    Provisioned,
    /// The client is made by hand at the provider: the operator neither makes nor changes it.
    MadeByHand,
    /// Somebody switched the client off at the provider.
    ClientDisabled,
    /// Secret and ConfigMap stand as the spec wants them.
    Published,
    /// The provider accepts the written credentials.
    Verified,
    /// There is nothing to verify: a public client has no secret.
    NotApplicable,
    /// Being deleted.
    Terminating,

    // Outputs of a client.
    /// The client secret was rotated (Event).
    Rotated,
    /// `credentials.rotation` cannot be read: its time zone is not known.
    InvalidSchedule,
    /// A template under `spec.outputs` cannot be used, or one of its keys is a format's.
    TemplateInvalid,
    /// One of `spec.outputs.formats` is for applications with a client secret, and the client has a private key.
    UnsupportedByFormat,

    // Provider of a client.
    /// There is no such OIDCProvider.
    ProviderNotFound,
    /// The provider does not serve this namespace.
    NamespaceNotAllowed,
    /// The provider is not ready.
    ProviderNotReady,
    /// The provider is being deleted.
    ProviderTerminating,

    // Acceptance.
    /// The provider cannot do what a field asks for.
    UnsupportedByProvider,
    /// `enforcement: Strict`, and the provider would allow more than the spec says.
    EnforcementMissing,
    /// A redirect URI, or a web origin, is not allowed here (wildcard, plain http to another host).
    RedirectURINotAllowed,
    /// A client of this ID exists at the provider and is not ours.
    ClientIDTaken,
    /// Another OIDCClient has this client ID at the provider; it is not given away while that one may need it.
    ClientIDConflict,
    /// The stored object cannot be read by this version of the operator.
    InvalidObject,
    /// The provider refuses what the spec asks for.
    RefusedByProvider,

    // Outputs.
    /// A Secret or ConfigMap of that name exists and is not ours.
    OutputNotOwned,
    /// An output of a former object of the same name is still being deleted.
    WaitingForGarbageCollection,
    /// Kubernetes refuses the output.
    OutputRefused,
    /// The output would be larger than Kubernetes allows.
    OutputTooLarge,
    /// The spec asks for the system's CA certificates, and the operator's system has none.
    NoSystemRoots,

    // Certificates of a provider.
    /// None of them expires soon.
    CertificatesValid,
    /// One of them expires soon.
    CertificateExpiring,
    /// One of them has expired.
    CertificateExpired,

    // Credentials.
    /// The provider refuses the written credentials.
    CredentialsRefused,
    /// The proof could not be carried out.
    ProofUnavailable,
    /// Another client secret: a new one is made (the one in the output Secret was edited or deleted, the client became
    /// confidential, or is not given its user's any more), or that of the user's own Secret was taken over.
    SecretReplaced,

    // Clients that the server names.
    /// The server registered the client otherwise than it was asked to.
    AlteredByProvider,
    /// The server lets no client be changed, and this one differs from the spec.
    CreateOnly,
    /// What a registered client is managed with is gone, or refused: it works on, and nobody can change or delete it.
    ManagementTokenLost,
    /// A registration got no answer: the server may have a client that nobody knows the secret of.
    PossibleOrphan,

    // Workloads.
    /// All workloads under `rolloutRestart` were started with the outputs as they are, or restarted since.
    WorkloadsCurrent,
    /// The operator runs without `--enable-rollout-restart`.
    RestartsDisabled,
    /// A workload under `rolloutRestart` does not exist.
    WorkloadNotFound,
    /// A workload under `rolloutRestart` does not carry the annotation `oidc-operator.io/restart-on` with this OIDCClient's name.
    ConsentMissing,
    /// A workload under `rolloutRestart` could not be read or changed.
    RestartFailed,

    // Reaching a provider.
    /// Connection refused, DNS, reset.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// TLS failed: CA, name, expiry, or a refused client certificate.
    TLSFailed,
    /// The credentials were refused.
    Unauthorized,
    /// The credentials have too few rights.
    Forbidden,
    /// The provider has no such realm.
    RealmNotFound,
    /// Too many requests.
    Throttled,
    /// The server answers something else than expected.
    UnexpectedAnswer,
    /// The server failed.
    ServerError,
    /// The server cannot do that.
    Unsupported,
    /// What the provider is managed by in Kubernetes (configuration, Secret, workload) is not as it must be.
    InvalidConfiguration,

    // Providers that read what is written at their start only.
    /// The provider is being rolled out: what was written takes effect once that has ended.
    RollingOut,
    /// The provider accepts an empty secret for the client.
    EmptySecretAccepted,

    // Discovery.
    /// The discovery document is there, names the issuer and has usable keys.
    DiscoveryValid,
    /// Each client has a discovery document of its own, which is checked with its credentials.
    PerClient,
    /// No document is read: the endpoints are given by hand.
    EndpointsGiven,
    /// The document names another issuer.
    IssuerMismatch,
    /// The document is not one.
    InvalidDocument,
    /// There is no usable signature key.
    NoUsableKey,
    /// An endpoint is plain http.
    InsecureEndpoint,

    // Admin API.
    /// The admin API answers, and the credentials are good.
    AdminAPIReady,
    /// There is no admin API: clients are made by hand.
    NoAdminAPI,
    /// All transport is protected.
    TransportSecure,
    /// Part of the transport is not protected, as `insecureTransport` allows.
    InsecureTransport,
    /// A Secret that the spec refers to is missing.
    SecretNotFound,
    /// A Secret that the spec refers to lacks the label `oidc-operator.io/credential`.
    SecretNotLabelled,
    /// A ConfigMap that the spec refers to is missing.
    ConfigMapNotFound,
    /// A key is missing.
    KeyNotFound,
    /// A key holds no usable client secret.
    InvalidSecret,
    /// A key holds no usable certificate or private key.
    InvalidCertificate,
    /// The provider waits for clients to be deleted.
    ClientsRemain,

    // Events only.
    /// The client was created at the provider.
    Created,
    /// The client was changed at the provider.
    Updated,
    /// The client was deleted at the provider and created again, because it cannot be changed in place.
    Recreated,
    /// The client was deleted at the provider.
    Deleted,
    /// The client and its outputs stay, as `deletionPolicy: Retain` says.
    Retained,
    /// The client was gone at the provider and was created again with the same secret.
    Restored,
    /// Something of ours may be left at the provider.
    LeftBehind,
    /// An output was edited or deleted and was written again.
    OutputRepaired,
    /// A workload was restarted, because what the outputs hold has changed.
    Restarted,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
