//! A realm with a user and a service account, and what a test does to its clients behind the operator's back.

use std::fmt;

use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::access_log::{self, Mark, Requests};
use super::admin::KeycloakAdmin;
use crate::login::{ClientAuth, Login};
use crate::random;

/// The client ID of the service account that the operator is to use.
const OPERATOR: &str = "oidc-operator";
/// What that one may do in its realm, and no more.
const OPERATOR_ROLES: [&str; 1] = ["manage-clients"];
/// The client whose roles are the rights in a realm.
const REALM_MANAGEMENT: &str = "realm-management";
/// Clients that each realm has.
const BUILT_IN: [&str; 6] = [
    "account",
    "account-console",
    "admin-cli",
    "broker",
    REALM_MANAGEMENT,
    "security-admin-console",
];
/// Attribute of the clients that are the harness's own.
const OURS: &str = "e2e.service-account";

/// A person who can log in, with all that Keycloak asks for, so that no page but the login comes up.
#[derive(Debug, Clone)]
pub struct User {
    /// What the user types.
    pub username: String,
    /// What the user types.
    pub password: String,
    /// Verified.
    pub email: String,
    /// The claim `given_name`.
    pub first_name: String,
    /// The claim `family_name`.
    pub last_name: String,
    /// Paths of groups; `/staff/devs` exists.
    pub groups: Vec<String>,
    /// Roles of the realm; `developer` exists.
    pub realm_roles: Vec<String>,
    /// The user attribute `department`.
    pub department: String,
}

impl User {
    /// The user that each realm has: jane, `/staff/devs`, `developer`, research.
    pub fn jane() -> Self {
        Self {
            username: "jane".to_owned(),
            password: "password".to_owned(),
            email: "jane@example.com".to_owned(),
            first_name: "Jane".to_owned(),
            last_name: "Doe".to_owned(),
            groups: vec!["/staff/devs".to_owned()],
            realm_roles: vec!["developer".to_owned()],
            department: "research".to_owned(),
        }
    }

    fn representation(&self) -> Value {
        json!({
            "username": self.username,
            "enabled": true,
            "email": self.email,
            "emailVerified": true,
            "firstName": self.first_name,
            "lastName": self.last_name,
            "groups": self.groups,
            "realmRoles": self.realm_roles,
            "attributes": { "department": [self.department] },
            "credentials": [{ "type": "password", "value": self.password, "temporary": false }],
        })
    }
}

/// A client that gets tokens for itself (`client_credentials`).
#[derive(Clone)]
pub struct ServiceAccount {
    /// `client_id`.
    pub client_id: String,
    /// `client_secret`.
    pub secret: String,
}

/// Without the secret.
impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccount")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

impl ServiceAccount {
    fn new(client_id: &str) -> Result<Self> {
        Ok(Self {
            client_id: client_id.to_owned(),
            secret: random::token()?,
        })
    }

    fn representation(&self) -> Value {
        json!({
            "clientId": self.client_id,
            "secret": self.secret,
            "publicClient": false,
            "standardFlowEnabled": false,
            "serviceAccountsEnabled": true,
            "attributes": { OURS: "true" },
        })
    }
}

/// The clients of a realm at one time, with secrets, mappers and scopes.
#[derive(Clone)]
pub struct Snapshot(Vec<Value>);

/// Without the secrets.
impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|client| &client["clientId"]))
            .finish()
    }
}

/// A realm of one test or test program. It stays when this handle is dropped; the server ends with the run.
#[derive(Debug, Clone)]
pub struct Realm {
    pub(super) admin: KeycloakAdmin,
    name: String,
    operator: ServiceAccount,
    user: User,
}

impl Realm {
    pub(super) async fn create(admin: KeycloakAdmin, prefix: &str) -> Result<Self> {
        let name = format!("{prefix}-{:08x}", u32::from_le_bytes(random::bytes()?));
        let realm = Self {
            admin,
            name,
            operator: ServiceAccount::new(OPERATOR)?,
            user: User::jane(),
        };
        realm.make().await?;
        Ok(realm)
    }

    /// Makes it again after [`Self::delete`], with the same user and the same service account, but without what tests made in it.
    ///
    /// # Errors
    /// Keycloak refuses.
    pub async fn make_again(&self) -> Result<()> {
        self.make().await
    }

    async fn make(&self) -> Result<()> {
        let mut jane = self.user.representation();
        // Who is made with the realm has only the roles that are named; everybody else has these too (`offline_access`).
        let roles = self
            .user
            .realm_roles
            .iter()
            .cloned()
            .chain([format!("default-roles-{}", self.name)]);
        jane["realmRoles"] = roles.collect();
        let representation = json!({
            "realm": self.name,
            "enabled": true,
            "groups": [{ "name": "staff", "subGroups": [{ "name": "devs" }] }],
            "roles": { "realm": [{ "name": "developer" }] },
            "clients": [self.operator.representation()],
            "users": [jane, {
                "username": format!("service-account-{OPERATOR}"),
                "enabled": true,
                "serviceAccountClientId": OPERATOR,
                "clientRoles": { REALM_MANAGEMENT: OPERATOR_ROLES },
            }],
        });
        self.admin.post("realms", &representation).await?;
        self.admin.forget_token().await;
        // Else the attribute `department` would neither be shown nor kept.
        let mut profile = self.admin.get(&self.path("users/profile")).await?;
        profile["unmanagedAttributePolicy"] = "ENABLED".into();
        self.admin.put(&self.path("users/profile"), &profile).await
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The admin client that this realm is managed with.
    pub fn admin(&self) -> &KeycloakAdmin {
        &self.admin
    }

    /// `realms/<name>/<rest>`, for [`KeycloakAdmin::get`] and the like.
    pub fn path(&self, rest: &str) -> String {
        format!("realms/{}/{rest}", self.name)
    }

    /// The server's own address, `https://127.0.0.1:<port>`.
    pub fn base_url(&self) -> &str {
        &self.admin.access.base_url
    }

    /// The CA of the server's certificate, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.admin.access.ca_pem
    }

    /// The issuer, as Keycloak calls itself.
    pub fn issuer(&self) -> String {
        format!("{}/realms/{}", self.admin.access.public_url, self.name)
    }

    /// The token endpoint, at the server's own address.
    pub fn token_endpoint(&self) -> String {
        self.admin.access.token_endpoint(&self.name)
    }

    /// The service account for the operator: role `manage-clients`, no other.
    pub fn operator(&self) -> &ServiceAccount {
        &self.operator
    }

    /// The user that can log in.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// A login of [`Self::user`] for a client of this realm, with scope `openid profile email` and without PKCE.
    pub fn login(&self, client_id: &str, client_auth: ClientAuth, redirect_uri: &str) -> Login {
        Login::new(&self.issuer(), self.ca_pem(), client_id, client_auth, redirect_uri)
            .with_user(&self.user.username, &self.user.password)
    }

    /// Changes settings of the realm; what the patch does not name stays.
    ///
    /// # Errors
    /// Keycloak refuses.
    pub async fn update(&self, patch: &Value) -> Result<()> {
        self.admin.put(&format!("realms/{}", self.name), patch).await
    }

    /// Deletes the realm with all that is in it.
    ///
    /// # Errors
    /// Keycloak refuses.
    pub async fn delete(&self) -> Result<()> {
        self.admin.delete(&format!("realms/{}", self.name)).await
    }
}

/// Requests to the realm.
impl Realm {
    /// Remembers what was requested until now.
    ///
    /// # Errors
    /// The log cannot be read, or Keycloak does not answer.
    pub async fn mark(&self) -> Result<Mark> {
        access_log::settle(&self.admin.access).await?;
        access_log::end(&self.admin.access.log)
    }

    /// What was requested of this realm since then, by anybody, oldest first.
    ///
    /// # Errors
    /// As [`Self::mark`].
    pub async fn requests_since(&self, mark: Mark) -> Result<Requests> {
        access_log::settle(&self.admin.access).await?;
        Ok(access_log::read(&self.admin.access.log, mark)?.of_realm(&self.name))
    }

    /// A token request with these form fields; gives status and answer, whatever they are.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn token(&self, fields: &[(&str, &str)]) -> Result<(StatusCode, Value)> {
        self.admin.access.token(&self.admin.web, &self.name, fields).await
    }

    /// An access token of a service account.
    ///
    /// # Errors
    /// Keycloak refuses.
    pub async fn access_token(&self, account: &ServiceAccount) -> Result<String> {
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", &account.client_id),
            ("client_secret", &account.secret),
        ];
        let (status, answer) = self.token(&fields).await?;
        ensure!(status.is_success(), "{}: {status}: {answer}", account.client_id);
        Ok(answer["access_token"].as_str().context("no access_token")?.to_owned())
    }
}

/// Clients, behind the operator's back. Clients are named by `clientId`; the JSON is Keycloak's ClientRepresentation.
impl Realm {
    /// All clients, as Keycloak shows them to its administrator: with secrets.
    ///
    /// # Errors
    /// Keycloak refuses.
    pub async fn clients(&self) -> Result<Vec<Value>> {
        let clients = self.admin.get(&self.path("clients")).await?;
        Ok(clients.as_array().context("no list of clients")?.clone())
    }

    /// `clientId`s, sorted, without the clients that each realm has and without the harness's own.
    ///
    /// # Errors
    /// Keycloak refuses.
    pub async fn client_ids(&self) -> Result<Vec<String>> {
        let clients = self.clients().await?;
        let others = clients.iter().filter(|client| !is_fixed(client));
        let mut ids: Vec<String> = others
            .filter_map(|client| client["clientId"].as_str().map(str::to_owned))
            .collect();
        ids.sort();
        Ok(ids)
    }

    /// A client, if it is there.
    ///
    /// # Errors
    /// Keycloak refuses.
    pub async fn client(&self, client_id: &str) -> Result<Option<Value>> {
        let query: String = url::form_urlencoded::byte_serialize(client_id.as_bytes()).collect();
        let found = self.admin.get(&self.path(&format!("clients?clientId={query}"))).await?;
        Ok(found.as_array().and_then(|found| found.first()).cloned())
    }

    /// `clients/<id>/<rest>` of a client, which is found by its `clientId`.
    ///
    /// # Errors
    /// There is no such client.
    pub async fn client_path(&self, client_id: &str, rest: &str) -> Result<String> {
        let client = self.client(client_id).await?;
        let client = client.with_context(|| format!("no client {client_id} in {}", self.name))?;
        let id = client["id"].as_str().context("a client without id")?;
        let path = self.path(&format!("clients/{id}/{rest}"));
        Ok(path.trim_end_matches('/').to_owned())
    }

    /// Makes a client; gives its `id`.
    ///
    /// # Errors
    /// Keycloak refuses, for instance because there is one of that `clientId` or `id`.
    pub async fn create_client(&self, representation: &Value) -> Result<String> {
        self.admin.post(&self.path("clients"), representation).await?;
        let client_id = representation["clientId"].as_str().context("no clientId")?;
        let client = self.client(client_id).await?.context("it is not there")?;
        Ok(client["id"].as_str().context("no id")?.to_owned())
    }

    /// `PUT`s `patch`: what it does not name stays; a list in it replaces the old one, except for scopes
    /// ([`Self::assign_scope`]); an attribute goes with `""`.
    ///
    /// # Errors
    /// There is no such client, or Keycloak refuses.
    pub async fn update_client(&self, client_id: &str, patch: &Value) -> Result<()> {
        let path = self.client_path(client_id, "").await?;
        self.admin.put(&path, patch).await
    }

    /// Deletes a client; `false` if there was none.
    ///
    /// # Errors
    /// Keycloak refuses.
    pub async fn delete_client(&self, client_id: &str) -> Result<bool> {
        if self.client(client_id).await?.is_none() {
            return Ok(false);
        }
        let path = self.client_path(client_id, "").await?;
        self.admin.delete(&path).await?;
        Ok(true)
    }

    /// The client secret; `None` if the client has none or is not there.
    ///
    /// # Errors
    /// Keycloak refuses.
    pub async fn secret_of(&self, client_id: &str) -> Result<Option<String>> {
        let client = self.client(client_id).await?.unwrap_or_default();
        Ok(client["secret"].as_str().map(str::to_owned))
    }

    /// Has Keycloak make a new secret, as a person does who clicks "Regenerate"; gives it.
    ///
    /// # Errors
    /// There is no such client, or Keycloak refuses.
    pub async fn regenerate_secret(&self, client_id: &str) -> Result<String> {
        let path = self.client_path(client_id, "client-secret").await?;
        let answer = self.admin.post(&path, &json!({})).await?;
        Ok(answer["value"].as_str().context("no value")?.to_owned())
    }

    /// The protocol mappers of a client itself, without those of its scopes.
    ///
    /// # Errors
    /// There is no such client, or Keycloak refuses.
    pub async fn mappers_of(&self, client_id: &str) -> Result<Vec<Value>> {
        let path = self.client_path(client_id, "protocol-mappers/models").await?;
        let mappers = self.admin.get(&path).await?;
        Ok(mappers.as_array().context("no list of mappers")?.clone())
    }

    /// A client with a service account that has these roles of `realm-management`, and no other rights.
    ///
    /// # Errors
    /// Keycloak refuses, or there is no such role.
    pub async fn service_account(&self, client_id: &str, roles: &[&str]) -> Result<ServiceAccount> {
        let account = ServiceAccount::new(client_id)?;
        self.create_client(&account.representation()).await?;
        self.grant(client_id, roles).await?;
        Ok(account)
    }

    /// Gives roles of `realm-management` to a service account. A token that it has already does not know of them.
    ///
    /// # Errors
    /// Keycloak refuses, or there is no such account or role.
    pub async fn grant(&self, client_id: &str, roles: &[&str]) -> Result<()> {
        let path = self.client_path(client_id, "service-account-user").await?;
        let user = self.admin.get(&path).await?;
        let user = user["id"].as_str().context("a service account without id")?;
        let management = self.client(REALM_MANAGEMENT).await?.context("no realm-management")?;
        let management = management["id"].as_str().context("realm-management without id")?;
        let mut wanted = Vec::new();
        for role in roles {
            let path = self.path(&format!("clients/{management}/roles/{role}"));
            wanted.push(self.admin.get(&path).await?);
        }
        let path = self.path(&format!("users/{user}/role-mappings/clients/{management}"));
        self.admin.post(&path, &Value::Array(wanted)).await.map(drop)
    }

    /// Makes a user. Groups and roles must exist.
    ///
    /// # Errors
    /// Keycloak refuses.
    pub async fn create_user(&self, user: &User) -> Result<()> {
        self.admin.post(&self.path("users"), &user.representation()).await?;
        let query: String = url::form_urlencoded::byte_serialize(user.username.as_bytes()).collect();
        let found = self
            .admin
            .get(&self.path(&format!("users?exact=true&username={query}")))
            .await?;
        let id = found[0]["id"].as_str().context("the new user is not there")?;
        let mut roles = Vec::new();
        for role in &user.realm_roles {
            roles.push(self.admin.get(&self.path(&format!("roles/{role}"))).await?);
        }
        let path = self.path(&format!("users/{id}/role-mappings/realm"));
        self.admin.post(&path, &Value::Array(roles)).await.map(drop)
    }

    /// Remembers all clients.
    ///
    /// # Errors
    /// Keycloak refuses.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        self.clients().await.map(Snapshot)
    }

    /// Brings clients back to what they were, with `id`s and secrets, as if a backup had been restored: new ones are deleted,
    /// changed and deleted ones made anew. (Keycloak's own partial export masks secrets, and its import gives new `id`s.)
    /// Clients that each realm has, and service accounts of the harness, are not made anew, because that would take their roles.
    ///
    /// # Errors
    /// Keycloak refuses.
    pub async fn restore(&self, snapshot: &Snapshot) -> Result<()> {
        let now = self.clients().await?;
        for client in &now {
            if !snapshot.0.contains(client) && !is_fixed(client) {
                let id = client["id"].as_str().context("a client without id")?;
                self.admin.delete(&self.path(&format!("clients/{id}"))).await?;
            }
        }
        for client in &snapshot.0 {
            if now.contains(client) {
                continue;
            }
            if is_fixed(client) {
                let id = client["id"].as_str().context("a client without id")?;
                self.admin.put(&self.path(&format!("clients/{id}")), client).await?;
            } else {
                self.admin.post(&self.path("clients"), client).await?;
                self.drop_new_attributes(client).await?;
            }
        }
        Ok(())
    }

    /// Whoever makes a client with some attributes gets others with them.
    async fn drop_new_attributes(&self, wanted: &Value) -> Result<()> {
        let client_id = wanted["clientId"].as_str().context("no clientId")?;
        let made = self.client(client_id).await?.context("it is not there")?;
        let made = made["attributes"].as_object().context("no attributes")?;
        let new = made.keys().filter(|key| wanted["attributes"][key.as_str()].is_null());
        let none: serde_json::Map<String, Value> = new.map(|key| (key.clone(), "".into())).collect();
        if none.is_empty() {
            return Ok(());
        }
        self.update_client(client_id, &json!({ "attributes": none })).await
    }
}

/// A client of Keycloak itself or of the harness.
fn is_fixed(client: &Value) -> bool {
    BUILT_IN.iter().any(|built_in| client["clientId"] == *built_in) || client["attributes"][OURS] == "true"
}

/// Client scopes.
impl Realm {
    /// The names of all client scopes, sorted.
    ///
    /// # Errors
    /// Keycloak refuses.
    pub async fn client_scopes(&self) -> Result<Vec<String>> {
        let scopes = self.admin.get(&self.path("client-scopes")).await?;
        let scopes = scopes.as_array().context("no list of scopes")?.iter();
        let mut names: Vec<String> = scopes
            .filter_map(|scope| scope["name"].as_str().map(str::to_owned))
            .collect();
        names.sort();
        Ok(names)
    }

    /// Makes a client scope that names itself in `scope` of tokens. No client has it.
    ///
    /// # Errors
    /// Keycloak refuses.
    pub async fn create_scope(&self, name: &str) -> Result<()> {
        let scope = json!({
            "name": name,
            "protocol": "openid-connect",
            "attributes": { "include.in.token.scope": "true" },
        });
        self.admin.post(&self.path("client-scopes"), &scope).await.map(drop)
    }

    /// Deletes a client scope, also from the clients that have it.
    ///
    /// # Errors
    /// There is none, or Keycloak refuses.
    pub async fn delete_scope(&self, name: &str) -> Result<()> {
        let id = self.scope_id(name).await?;
        self.admin.delete(&self.path(&format!("client-scopes/{id}"))).await
    }

    /// Gives a client a scope: by default, or only when it is asked for (`optional`).
    ///
    /// # Errors
    /// There is no such client or scope, or Keycloak refuses.
    pub async fn assign_scope(&self, client_id: &str, scope: &str, optional: bool) -> Result<()> {
        let path = self.scope_path(client_id, scope, optional).await?;
        self.admin.put(&path, &json!({})).await
    }

    /// Takes a scope from a client.
    ///
    /// # Errors
    /// There is no such client or scope, or Keycloak refuses.
    pub async fn unassign_scope(&self, client_id: &str, scope: &str, optional: bool) -> Result<()> {
        let path = self.scope_path(client_id, scope, optional).await?;
        self.admin.delete(&path).await
    }

    async fn scope_path(&self, client_id: &str, scope: &str, optional: bool) -> Result<String> {
        let kind = if optional { "optional" } else { "default" };
        let id = self.scope_id(scope).await?;
        self.client_path(client_id, &format!("{kind}-client-scopes/{id}")).await
    }

    async fn scope_id(&self, name: &str) -> Result<String> {
        let scopes = self.admin.get(&self.path("client-scopes")).await?;
        let mut scopes = scopes.as_array().context("no list of scopes")?.iter();
        let scope = scopes.find(|scope| scope["name"] == name);
        let scope = scope.with_context(|| format!("no client scope {name} in {}", self.name))?;
        Ok(scope["id"].as_str().context("a scope without id")?.to_owned())
    }
}
