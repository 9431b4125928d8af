//! Generates the harness's own Dex client from the API definition that the operator uses too.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto");
    let definition = protos.join("dex/api.proto");
    println!("cargo:rerun-if-changed={}", definition.display());
    let descriptors = protox::compile([&definition], [&protos])?;
    tonic_prost_build::configure()
        .build_server(false)
        .compile_fds(descriptors)?;
    Ok(())
}
