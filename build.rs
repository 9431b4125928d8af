//! Generates the client of Dex's gRPC API from `proto/dex/api.proto`, with a protoc written in Rust.

use std::error::Error;

const PROTO: &str = "proto/dex/api.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={PROTO}");
    tonic_prost_build::configure()
        .build_server(false)
        // What holds a secret gets a `Debug` by hand (src/idp/dex/proto.rs): the derived one would print it.
        .skip_debug(["api.Client", "api.Password", "api.UpdatePasswordReq", "api.VerifyPasswordReq"])
        .compile_fds(protox::compile([PROTO], ["proto/dex"])?)?;
    Ok(())
}
