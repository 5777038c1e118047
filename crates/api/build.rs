//! Generates Rust from `proto/` without `protoc`: protox compiles, tonic-prost-build generates.

use std::{env, error::Error, fs, path::PathBuf};

const ROOTS: [&str; 2] = ["../../proto", "../../third_party/googleapis"];

const FILES: [&str; 9] = [
    "claviger/auth/v1/auth_service.proto",
    "claviger/error/v1/reason.proto",
    "claviger/event/v1/event.proto",
    "claviger/identity/v1/access_key_service.proto",
    "claviger/identity/v1/account_service.proto",
    "claviger/identity/v1/credential_feed_service.proto",
    "claviger/identity/v1/event_service.proto",
    "claviger/identity/v1/user_service.proto",
    // Not imported by ours, but transcoders need it to render the details of an error.
    "google/rpc/error_details.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    for root in ROOTS {
        println!("cargo:rerun-if-changed={root}");
    }
    let mut compiler = protox::Compiler::new(ROOTS)?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    // The encoded form keeps custom options such as google.api.http; the decoded one drops them.
    let descriptors = PathBuf::from(env::var("OUT_DIR")?).join("descriptors.bin");
    fs::write(descriptors, compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure()
        .bytes(".claviger.auth.v1.VerifySignatureRequest.raw_head")
        .bytes(".claviger.event.v1")
        .skip_debug([".claviger.identity.v1.DateKey"])
        .skip_debug([
            ".claviger.identity.v1.CreateAccountResponse",
            ".claviger.identity.v1.CreateAccessKeyResponse",
            ".claviger.identity.v1.RotateSecretAccessKeyResponse",
        ])
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
