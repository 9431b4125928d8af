//! The generated client of Dex's gRPC API (`proto/dex/api.proto` of v2.45.1, `build.rs`).

// Generated code: its style is not ours, its documentation is the .proto's, and most of its calls have no use here.
#![allow(missing_docs, unreachable_pub, unused_qualifications, dead_code, clippy::all)]

use std::fmt;

tonic::include_proto!("api");

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.id)
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password { .. }")
    }
}

impl fmt::Debug for UpdatePasswordReq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UpdatePasswordReq { .. }")
    }
}

impl fmt::Debug for VerifyPasswordReq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifyPasswordReq { .. }")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_a_secret() {
        let client = Client {
            id: "shop_web".to_owned(),
            secret: "hunter2".to_owned(),
            ..Client::default()
        };
        let request = CreateClientReq {
            client: Some(client.clone()),
        };
        let answer = GetClientResp { client: Some(client) };
        let printed = format!("{request:?} {answer:?}");
        assert!(printed.contains("shop_web"), "{printed}");
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}
