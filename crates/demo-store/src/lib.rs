//! A small file-backed S3 server for `claviger dev` and tests; not a product.
//!
//! The [`s3s`] crate speaks the protocol and checks signatures; this crate is the store behind it.
//! Keys are kept byte for byte, every write is whole or not there at all, also after a crash, and
//! no request holds more than a chunk of its body in memory. There are no versions, no access
//! lists and no encryption: whatever is not here answers `NotImplemented`.
//!
//! ```no_run
//! # async fn run() -> std::io::Result<()> {
//! let store = demo_store::DemoStore::open("/var/lib/demo".as_ref())?;
//! let service = demo_store::service(store, "us-east-1", "AKIAIOSFODNN7EXAMPLE", "secret");
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:9000").await?;
//! demo_store::serve(listener, service, std::future::pending()).await
//! # }
//! ```

mod body;
mod catalog;
mod checksum;
mod condition;
mod files;
mod listing;
mod percent;
mod record;
mod s3;
mod server;
mod tagging;

pub use s3::DemoStore;
pub use server::{SHUTDOWN_MAX, serve, service, service_for_all};
