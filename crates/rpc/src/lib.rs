//! How every gRPC server and client of ours is set up: who may call, limits, health, reflection,
//! keepalive and drain, once for all.

mod admission;
mod audit;
mod callers;
mod certified_name;
mod client;
mod direct;
mod incoming;
mod malformed;
mod server;
mod serving;
mod tls;
mod token;
mod workers;

pub use audit::{AuditTrail, Audited};
pub use callers::{Caller, Callers, Guard, Identify, Known, KnownBy, Role, check_apart};
pub use certified_name::{CertifiedName, InvalidCertifiedName};
pub use client::{Channel, Target, channel};
pub use direct::{Direct, DirectMethods, framed};
pub use incoming::Peer;
pub use malformed::{Malformed, or_malformed};
pub use server::{Server, routes};
pub use tls::{
    Agreed, CertificateFiles, ClientStream, ClientTls, ClientTlsFiles, HttpsClient, HttpsServer,
    ServerStream, ServerTls, ServerTlsFiles,
};
pub use token::{InvalidToken, Token};

use prost::Message;

/// Every method of ours, such as `claviger.auth.v1.AuthService/VerifySignature`: the only ones that
/// metrics name.
pub fn methods() -> Vec<String> {
    described().into_iter().map(|(name, _)| name).collect()
}

/// Those of [`methods`] of which request or response is a stream.
fn streaming_methods() -> impl Iterator<Item = String> {
    described().into_iter().filter(|(_, streams)| *streams).map(|(name, _)| name)
}

/// Every method of ours, and whether its request or response is a stream.
fn described() -> Vec<(String, bool)> {
    let files = prost_types::FileDescriptorSet::decode(api::FILE_DESCRIPTOR_SET)
        .map(|set| set.file)
        .unwrap_or_default();
    let mut methods = vec![];
    for file in &files {
        for service in &file.service {
            for method in &service.method {
                let name = format!("{}.{}/{}", file.package(), service.name(), method.name());
                methods.push((name, method.client_streaming() || method.server_streaming()));
            }
        }
    }
    methods
}

#[cfg(test)]
mod tests {
    #[test]
    fn methods_are_those_of_the_contracts() {
        let methods = super::methods();
        assert!(methods.contains(&"claviger.auth.v1.AuthService/VerifySignature".to_owned()));
        let packages = ["claviger.", "authenticator.v1.", "envoy.service.auth.v3.", "rgw.auth.v1."];
        let known = |method: &String| packages.iter().any(|package| method.starts_with(package));
        assert!(methods.iter().all(known), "{methods:?}");
    }
}
