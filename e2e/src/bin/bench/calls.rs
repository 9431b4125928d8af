//! What the bench wants to know of an identity provider.

use std::{collections::BTreeMap, fmt};

use anyhow::Result;
use oidc_operator_e2e::{operator::Operator, scene::Idp};

use crate::{Findings, site::Site};

/// Calls of the operator, by kind. Reading the discovery document and the keys is not among them.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    pub(crate) counts: BTreeMap<String, u64>,
    pub(crate) is_write: fn(&str) -> bool,
}

impl Calls {
    pub(crate) fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    pub(crate) fn writes(&self) -> u64 {
        let writes = self.counts.iter().filter(|(kind, _)| (self.is_write)(kind));
        writes.map(|(_, count)| count).sum()
    }

    pub(crate) fn of(&self, kind: &str) -> u64 {
        self.counts.get(kind).copied().unwrap_or_default()
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> = self
            .counts
            .iter()
            .map(|(what, count)| format!("{count} {what}"))
            .collect();
        f.write_str(if parts.is_empty() { "none" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}

/// An identity provider that the operator is measured with.
pub(crate) trait Measured: Sized {
    type Idp: Idp;
    /// A moment in what it counts.
    type Mark;
    /// Names it to people.
    const LABEL: &'static str;
    /// OIDCClients, unless somebody asks for another number.
    const CLIENTS: usize;

    async fn start() -> Result<Self>;

    fn idp(&self) -> &Self::Idp;

    /// Processor time used so far, in seconds.
    fn cpu_seconds(&self) -> Result<f64>;

    async fn mark(&self) -> Result<Self::Mark>;

    async fn calls_since(&self, mark: &Self::Mark) -> Result<Calls>;

    /// What is measured before there is an operator.
    async fn before(_site: &mut Site<Self>, _clients: usize) -> Result<()> {
        Ok(())
    }

    /// What must hold of the calls that made the clients, beside one write for each.
    fn made(_clients: usize, _calls: &Calls, _findings: &mut Findings) {}

    /// What must hold of all that one operator asked from `began` until now.
    async fn running(&self, _began: &Self::Mark, _findings: &mut Findings) -> Result<()> {
        Ok(())
    }

    /// What must hold of the calls of an operator that was restarted, beside that it writes nothing.
    fn restarted(_clients: usize, _calls: &Calls, _findings: &mut Findings) {}

    /// What is measured at the end, with the operator that was restarted.
    async fn after(_site: &mut Site<Self>, _operator: &Operator, _findings: &mut Findings) -> Result<()> {
        Ok(())
    }
}
