//! Compiles the protocol's messages and services, in pure Rust: nobody needs `protoc`.

use std::error::Error;

const FILES: [&str; 3] = ["proto/tfplugin6.proto", "proto/go_plugin.proto", "proto/health.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(FILES, ["proto"])?;
    tonic_prost_build::configure().build_client(false).build_server(true).compile_fds(descriptors)?;
    Ok(())
}
