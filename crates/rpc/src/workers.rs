//! Threads that serve, each with a runtime of its own: no work is stolen, and nobody has to be woken for what
//! one thread can do alone, which for small calls is most of their cost.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use anyhow::Context;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::incoming::{Handed, Port};

/// Connections under way to one worker.
const HANDED_MAX: usize = 64;

/// Serves connections that are handed to it, until told to stop.
pub(crate) type Serve = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A thread that serves.
struct Worker {
    connections: mpsc::Sender<Handed>,
    /// Held by each of its connections.
    load: Arc<()>,
    /// Closed without a word if it panics.
    ended: oneshot::Receiver<()>,
}

/// Serves a port by so many workers, each of which runs what `serve` makes; a connection goes to the one that
/// has the fewest. Ends when all have. If it is dropped before, they end at once.
///
/// # Errors
/// If a worker cannot be started, or panics.
pub(crate) async fn serve(
    workers: usize,
    port: Port,
    serve: impl Fn(mpsc::Receiver<Handed>) -> Serve,
) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let _stop_when_dropped = stop.clone().drop_guard();
    let mut started = vec![];
    for index in 0..workers {
        started.push(start(index, &stop, &serve)?);
    }
    let (handing, ended): (Vec<_>, Vec<_>) = started
        .into_iter()
        .map(|Worker { connections, load, ended }| ((connections, load), ended))
        .unzip();
    let all_ended = futures::future::try_join_all(ended);
    tokio::select! {
        ended = all_ended => ended.map(drop).context("a worker panicked"),
        never = hand_out(&port, &handing) => match never {},
    }
}

fn start(
    index: usize,
    stop: &CancellationToken,
    serve: impl Fn(mpsc::Receiver<Handed>) -> Serve,
) -> io::Result<Worker> {
    let (connections, handed) = mpsc::channel(HANDED_MAX);
    let (end, ended) = oneshot::channel();
    let (served, stop) = (serve(handed), stop.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let run = move || {
        runtime.block_on(async {
            tokio::select! {
                () = served => {}
                () = stop.cancelled() => {}
            }
        });
        // Nobody waits for it if all are to stop at once.
        let _ = end.send(());
    };
    std::thread::Builder::new().name(format!("worker-{index}")).spawn(run)?;
    Ok(Worker { connections, load: Arc::new(()), ended })
}

async fn hand_out(
    port: &Port,
    workers: &[(mpsc::Sender<Handed>, Arc<()>)],
) -> std::convert::Infallible {
    loop {
        let (stream, mut place) = port.accept().await;
        let Some((worker, load)) = workers.iter().min_by_key(|(_, load)| Arc::strong_count(load))
        else {
            continue;
        };
        place.load = Some(Arc::clone(load));
        match stream.into_std() {
            // A worker that has ended ends the others too.
            Ok(stream) => drop(worker.send(Handed { stream, place }).await),
            Err(error) => tracing::warn!(%error, "a connection could not be handed out"),
        }
    }
}
