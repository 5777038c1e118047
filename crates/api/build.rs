//! Generates Rust from `proto/` without `protoc`: protox compiles, tonic-prost-build generates.

use std::fmt::Write as _;
use std::{env, error::Error, fs, path::PathBuf};

use protox::prost_reflect::{DescriptorPool, FieldDescriptor, MessageDescriptor};

const ROOTS: [&str; 3] = ["../../proto", "../../third_party/envoy", "../../third_party/googleapis"];

const FILES: [&str; 16] = [
    "authenticator/v1/authenticator.proto",
    "claviger/auth/v1/auth_service.proto",
    "claviger/error/v1/reason.proto",
    "claviger/event/v1/event.proto",
    "claviger/identity/v1/access_key_service.proto",
    "claviger/identity/v1/account_service.proto",
    "claviger/identity/v1/admin_token_service.proto",
    "claviger/identity/v1/authentication_service.proto",
    "claviger/identity/v1/bucket_service.proto",
    "claviger/identity/v1/credential_feed_service.proto",
    "claviger/identity/v1/event_service.proto",
    "claviger/identity/v1/keystore_service.proto",
    "claviger/identity/v1/user_service.proto",
    "envoy/service/auth/v3/external_auth.proto",
    // Not imported by ours, but transcoders need it to render the details of an error.
    "google/rpc/error_details.proto",
    "rgw/auth/v1/auth.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    for root in ROOTS {
        println!("cargo:rerun-if-changed={root}");
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut compiler = protox::Compiler::new(ROOTS)?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    // The encoded form keeps custom options such as google.api.http; the decoded one drops them.
    fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;
    let secret = messages_with_secrets(&compiler.descriptor_pool());
    let debug: String = secret.iter().map(debug_without_secrets).collect();
    fs::write(out.join("redacted.rs"), debug)?;
    tonic_prost_build::configure()
        .bytes(".claviger.auth.v1.VerifySignatureRequest.raw_head")
        .bytes(".claviger.event.v1")
        // Of tonic-types, which gives it to callers as they know it.
        .extern_path(".google.rpc.Status", "::tonic_types::Status")
        .skip_debug(secret.iter().map(|message| format!(".{}", message.full_name())))
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

/// The messages that have a field with the option `debug_redact`.
fn messages_with_secrets(pool: &DescriptorPool) -> Vec<MessageDescriptor> {
    let is_ours = |message: &MessageDescriptor| {
        ["claviger.", "authenticator."].iter().any(|ours| message.full_name().starts_with(ours))
    };
    pool.all_messages()
        .filter(is_ours)
        .filter(|message| message.fields().any(|field| is_secret(&field)))
        .collect()
}

fn is_secret(field: &FieldDescriptor) -> bool {
    let options = field.options();
    options.get_field_by_name("debug_redact").is_some_and(|value| value.as_bool() == Some(true))
}

/// An `impl Debug` that shows the other fields only.
fn debug_without_secrets(message: &MessageDescriptor) -> String {
    let (package, name) = (message.package_name().replace('.', "::"), message.name());
    let path = format!("crate::{}", package.strip_prefix("claviger::").unwrap_or(&package));
    let mut code = format!(
        "impl std::fmt::Debug for {path}::{name} {{\n\
         fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{\n\
         f.debug_struct({name:?})"
    );
    for field in message.fields() {
        let field_name = field.name();
        let value =
            if is_secret(&field) { "&\"redacted\"".into() } else { format!("&self.{field_name}") };
        // Writing to a String does not fail.
        let _ = write!(code, ".field({field_name:?}, {value})");
    }
    code.push_str(".finish()\n}\n}\n");
    code
}
