//! A client in normal form, field by field, and the bodies that set those fields.

mod bodies;
mod names;
mod shown;
mod slug;
#[cfg(test)]
mod tests;
mod wanted;

pub use self::slug::slug;
pub(super) use self::{
    bodies::{changed_application, changed_provider, mapping, new_application, new_provider},
    names::{APPLICATION, HANDLE_PROVIDER, HANDLE_SLUG, is_of_application},
    shown::{after_application, after_provider, is_hidden, observe, put_orphan, recall, remains},
    wanted::wanted,
};
