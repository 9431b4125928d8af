//! The client as Keycloak's `ClientRepresentation`: built from the spec alone, and read back into the same fields.

mod body;
mod names;
mod shown;
#[cfg(test)]
mod tests;
mod wanted;

pub(super) use self::{
    body::{create, update},
    names::{AUDIENCE, AUTH_METHOD, HANDLE_NO_SCOPES, OPTIONAL_SCOPES, SCOPES},
    shown::Representation,
    wanted::wanted_fields,
};
