//! Clients that are made by hand: there is nothing to do but to try credentials. Another driver stands in for the hand.

use std::time::Duration;

use async_trait::async_trait;
use oidc_operator::{
    domain::{
        ClientSecret, DesiredClient, Endpoints, IdpError, IdpErrorKind, Mark, Model, ObservedClient, Proof, RemoteDiff,
    },
    idp::{Created, Credentials, Driver, Page, ServerInfo, Written, by_hand::ByHandDriver},
};
use oidc_operator_e2e::case;

use super::{keycloak::Subject, run};

/// Clients are made through `hand`, and tried by `driver`.
struct ByHand<D> {
    hand: D,
    driver: ByHandDriver,
}

#[async_trait]
impl<D: Driver> Driver for ByHand<D> {
    fn model(&self) -> &dyn Model {
        self.hand.model()
    }

    async fn probe(&self) -> Result<ServerInfo, IdpError> {
        self.hand.probe().await
    }

    async fn list(&self, page: u32) -> Result<Page, IdpError> {
        self.hand.list(page).await
    }

    async fn get(&self, client_id: &str, mark: &Mark) -> Result<Option<ObservedClient>, IdpError> {
        self.hand.get(client_id, mark).await
    }

    async fn get_by_id(&self, remote_id: &str) -> Result<Option<ObservedClient>, IdpError> {
        self.hand.get_by_id(remote_id).await
    }

    async fn create(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> Result<Created, IdpError> {
        self.hand.create(desired, secret).await
    }

    async fn update(
        &self,
        observed: &ObservedClient,
        desired: &DesiredClient,
        secret: Option<&ClientSecret>,
        diff: &RemoteDiff,
    ) -> Result<Written, IdpError> {
        self.hand.update(observed, desired, secret, diff).await
    }

    async fn delete(&self, observed: &ObservedClient) -> Result<Written, IdpError> {
        self.hand.delete(observed).await
    }

    async fn prove(&self, credentials: &Credentials<'_>, endpoints: &Endpoints) -> Proof {
        self.driver.prove(credentials, endpoints).await
    }
}

/// Every case in which credentials are tried: success at the revocation endpoint proves, what Keycloak answers else disproves.
#[tokio::test]
async fn a_keycloak_of_which_nothing_is_known() {
    case::run(async {
        let subject = Subject::new("contract-by-hand").await?;
        let account = subject.account(&subject.realm.operator().secret);
        let hand = subject.driver(
            subject.realm.base_url(),
            subject.realm.name(),
            account,
            Duration::from_secs(10),
        )?;
        let driver = ByHandDriver::new(subject.web.clone());
        run(&ByHand { hand, driver }, &subject.fixture("by-hand").await?).await;
        Ok(())
    })
    .await;
}

/// Nothing can be asked of it but that, and nothing is.
#[tokio::test]
async fn all_else_is_unsupported() {
    case::run(async {
        let subject = Subject::new("contract-nothing").await?;
        let driver = ByHandDriver::new(subject.web.clone());
        let (desired, secret) = subject.fixture("nothing").await?.client("client");
        let observed = driver.model().created(&desired, Some(&secret));
        let answers = [
            driver.list(0).await.map(drop),
            driver.get(&desired.client_id, &desired.mark).await.map(drop),
            driver.create(&desired, Some(&secret)).await.map(drop),
            driver
                .update(&observed, &desired, Some(&secret), &RemoteDiff::default())
                .await
                .map(drop),
            driver.delete(&observed).await.map(drop),
        ];
        for answer in answers {
            assert_eq!(answer.unwrap_err().kind, IdpErrorKind::Unsupported);
        }
        assert!(subject.realm.client(&desired.client_id).await?.is_none());
        Ok(())
    })
    .await;
}
