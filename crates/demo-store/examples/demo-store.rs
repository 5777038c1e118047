//! Serves a directory over S3: `demo-store DIR [PORT]`, with the credential in
//! `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
//!
//! Prints the endpoint once it is ready and serves until interrupted.

use std::error::Error;
use std::path::PathBuf;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("usage: demo-store DIR [PORT]")?);
    let port = arguments.next().map_or(Ok(0), |port| port.parse::<u16>())?;
    let access_key_id = std::env::var("AWS_ACCESS_KEY_ID")?;
    let secret_access_key = std::env::var("AWS_SECRET_ACCESS_KEY")?;

    let store = demo_store::DemoStore::open(&dir)?;
    let service = demo_store::service(store, "us-east-1", &access_key_id, &secret_access_key);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}", listener.local_addr()?);
    demo_store::serve(listener, service, async {
        // If the signal cannot be awaited, end rather than run without a way to stop.
        _ = tokio::signal::ctrl_c().await;
    })
    .await?;
    Ok(())
}
