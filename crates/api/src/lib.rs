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

/// Every `.proto` file above as an encoded `FileDescriptorSet`, imports included: for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
