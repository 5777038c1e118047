//! The contracts: Rust generated from `proto/` at build time, and how errors travel.
//!
//! No logic lives here. Messages that hold a secret or a key print without it.

// Generated code has its own style.
#![allow(missing_docs, clippy::all, unreachable_pub)]

mod redacted;
mod status;

pub use status::{DOMAIN, invalid_field, reason, status};

/// Who signed this request?
pub mod auth {
    pub mod v1 {
        tonic::include_proto!("claviger.auth.v1");
    }
}

/// Who signed this request? As some builds of Ceph's RGW ask.
pub mod authenticator {
    pub mod v1 {
        tonic::include_proto!("authenticator.v1");
    }
}

/// May this request pass? As Envoy asks.
pub mod envoy {
    pub mod config {
        pub mod core {
            pub mod v3 {
                tonic::include_proto!("envoy.config.core.v3");
            }
        }
    }
    pub mod service {
        pub mod auth {
            pub mod v3 {
                tonic::include_proto!("envoy.service.auth.v3");
            }
        }
    }
    pub mod r#type {
        pub mod v3 {
            tonic::include_proto!("envoy.r#type.v3");
        }
    }
}

/// Reasons that services give with an error.
pub mod error {
    pub mod v1 {
        tonic::include_proto!("claviger.error.v1");
    }
}

/// What has happened.
pub mod event {
    pub mod v1 {
        tonic::include_proto!("claviger.event.v1");
    }
}

/// Accounts, users and access keys.
pub mod identity {
    pub mod v1 {
        tonic::include_proto!("claviger.identity.v1");
    }
}

/// Who signed this request? As builds of Ceph's RGW asked before.
pub mod rgw {
    pub mod auth {
        pub mod v1 {
            tonic::include_proto!("rgw.auth.v1");
        }
    }
}

/// What Envoy's contracts share with others.
pub mod xds {
    pub mod core {
        pub mod v3 {
            tonic::include_proto!("xds.core.v3");
        }
    }
}

/// Every `.proto` file above as an encoded `FileDescriptorSet`, imports included: for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
