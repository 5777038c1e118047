//! What every server process shares: parts that stand and fall together, signals, the drain, and
//! the admin port.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use futures::future::select_all;
use telemetry::{Readiness, ReadyFlag, Registry};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

/// After a signal, parts that have not drained by now are cut off.
const DRAIN_MAX: Duration = Duration::from_millis(7500);
/// How long the last telemetry may take to be pushed.
const FLUSH_MAX: Duration = Duration::from_millis(1500);
/// After a signal the process ends by now, whatever hangs.
const END_MAX: Duration = Duration::from_millis(9500);
/// How often a part is asked whether it is ready.
const READY_POLL: Duration = Duration::from_millis(2);

/// A process made of parts, in the order in which they were started.
pub(crate) struct Process {
    parts: Vec<Part>,
    readiness: Readiness,
    registry: Registry,
}

struct Part {
    name: &'static str,
    shutdown: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

/// Runs a server process: starts its parts, then waits for a signal or for a part to fail, and
/// drains the parts in the reverse order of their start.
///
/// # Errors
/// If a part fails or cannot be started. A signal is no error.
pub(crate) async fn run(
    service_name: &'static str,
    start: impl AsyncFnOnce(&mut Process) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut signals = Signals::install()?;
    let telemetry = telemetry::init(service_name)?;
    std::panic::set_hook(Box::new(log_panic));
    let registry = telemetry.registry().clone();
    let mut process = Process { parts: vec![], readiness: Readiness::default(), registry };
    let outcome = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal = signal.name, "draining");
            Ok(())
        }
        outcome = async {
            start(&mut process).await?;
            Err(process.ended().await)
        } => outcome,
    };
    if let Err(error) = &outcome {
        tracing::error!(error = format!("{error:#}"), "stopping");
    }
    end_at_once_when_signalled_again(signals);
    end_in_any_case();
    process.drain().await;
    if timeout(FLUSH_MAX, telemetry.shutdown()).await.is_err() {
        tracing::warn!("telemetry was not flushed in time");
    }
    outcome
}

impl Process {
    /// Adds a part whose readiness `/readyz` shows.
    pub(crate) fn register(&self, name: &'static str) -> ReadyFlag {
        self.readiness.register(name)
    }

    /// Starts a part. It must run until the token that it is given is cancelled.
    pub(crate) fn start<F>(&mut self, name: &'static str, part: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(part(shutdown.clone()));
        self.parts.push(Part { name, shutdown, task });
    }

    /// Starts the admin port: first of all parts, so that it is the last to end.
    pub(crate) fn start_admin(&mut self, listener: TcpListener) {
        log_listening("admin", &listener);
        let (readiness, registry) = (self.readiness.clone(), self.registry.clone());
        self.start("admin", |shutdown| async move {
            let shutdown = shutdown.cancelled_owned();
            telemetry::admin::serve(listener, readiness, registry, shutdown).await;
            Ok(())
        });
    }

    /// Waits until a part is ready.
    ///
    /// # Errors
    /// If a part, this or another, ends before.
    pub(crate) async fn until_ready(&mut self, flag: &ReadyFlag) -> anyhow::Result<()> {
        let ready = async {
            while !flag.is_ready() {
                sleep(READY_POLL).await;
            }
        };
        tokio::select! {
            () = ready => Ok(()),
            error = self.ended() => Err(error),
        }
    }

    /// Waits until a part ends, which none should while the process runs.
    async fn ended(&mut self) -> anyhow::Error {
        if self.parts.is_empty() {
            return std::future::pending().await;
        }
        let tasks = self.parts.iter_mut().map(|part| &mut part.task);
        let (result, index, _) = select_all(tasks).await;
        let Part { name, .. } = self.parts.remove(index);
        match result {
            Ok(Ok(())) => anyhow!("{name} ended unasked"),
            Ok(Err(error)) => error.context(format!("{name} failed")),
            Err(_) => anyhow!("{name} panicked"),
        }
    }

    async fn drain(self) {
        let deadline = Instant::now() + DRAIN_MAX;
        for Part { name, shutdown, mut task } in self.parts.into_iter().rev() {
            shutdown.cancel();
            match timeout_at(deadline, &mut task).await {
                Ok(Ok(Ok(()))) => tracing::debug!(part = name, "drained"),
                Ok(Ok(Err(error))) => {
                    tracing::error!(part = name, error = format!("{error:#}"), "failed to drain");
                }
                Ok(Err(_)) => tracing::error!(part = name, "panicked while it drained"),
                Err(_) => {
                    tracing::warn!(part = name, "cut off: it took too long to drain");
                    task.abort();
                }
            }
        }
    }
}

/// Listens on `address`, which `setting` gave.
///
/// # Errors
/// Says which address, and how it was set.
pub(crate) async fn listen(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("cannot listen on {address} ({setting})"))
}

/// Says where something is served by TLS.
pub(crate) fn log_listening_by_tls(what: &str, listener: &TcpListener) {
    match listener.local_addr() {
        Ok(address) => tracing::info!(%address, "serving {what} by TLS"),
        Err(error) => tracing::warn!(%error, "{what} has no address"),
    }
}

/// Says where something is served in the clear, and whether others than this machine may reach it.
pub(crate) fn log_listening(what: &str, listener: &TcpListener) {
    match listener.local_addr() {
        Ok(address) if address.ip().is_loopback() => {
            tracing::info!(%address, "serving {what}");
        }
        Ok(address) => {
            tracing::info!(%address, "serving {what} without TLS beyond this machine");
        }
        Err(error) => tracing::warn!(%error, "{what} has no address"),
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

struct Received {
    name: &'static str,
    /// What a shell says of a process that the signal ended.
    code: i32,
}

impl Signals {
    fn install() -> anyhow::Result<Self> {
        let install = |kind| signal(kind).context("cannot wait for signals");
        Ok(Self {
            terminate: install(SignalKind::terminate())?,
            interrupt: install(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Received {
        tokio::select! {
            _ = self.terminate.recv() => Received { name: "SIGTERM", code: 128 + 15 },
            _ = self.interrupt.recv() => Received { name: "SIGINT", code: 128 + 2 },
        }
    }
}

fn end_at_once_when_signalled_again(mut signals: Signals) {
    tokio::spawn(async move {
        let Received { name, code } = signals.next().await;
        tracing::warn!(signal = name, "ending without draining");
        std::process::exit(code);
    });
}

/// On a thread of its own, so that nothing that blocks the runtime can hold it up.
fn end_in_any_case() {
    std::thread::spawn(|| {
        std::thread::sleep(END_MAX);
        eprintln!("error: the process did not end in time");
        std::process::exit(1);
    });
}

/// Says where, and not what: a panic's message may quote what must not be logged.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    tracing::error!(location, thread = thread.name().unwrap_or_default(), "panicked");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process() -> Process {
        Process { parts: vec![], readiness: Readiness::default(), registry: Registry::new() }
    }

    #[tokio::test]
    async fn a_part_that_ends_unasked_is_an_error_that_names_it() {
        let mut process = process();
        process.start("patient", |shutdown| async move {
            shutdown.cancelled().await;
            Ok(())
        });
        process.start("hasty", |_| async { Ok(()) });
        assert_eq!(process.ended().await.to_string(), "hasty ended unasked");
        process.start("broken", |_| async { Err(anyhow!("no disk")) });
        assert_eq!(format!("{:#}", process.ended().await), "broken failed: no disk");
        process.drain().await;
    }

    #[tokio::test]
    async fn parts_drain_in_the_reverse_order_of_their_start() {
        let mut process = process();
        let (said, mut heard) = tokio::sync::mpsc::unbounded_channel();
        for name in ["identity", "auth", "gateway"] {
            let said = said.clone();
            process.start(name, |shutdown| async move {
                shutdown.cancelled().await;
                Ok(said.send(name)?)
            });
        }
        process.drain().await;
        let order = [heard.recv().await, heard.recv().await, heard.recv().await];
        assert_eq!(order, [Some("gateway"), Some("auth"), Some("identity")]);
    }

    #[tokio::test]
    async fn waiting_for_readiness_ends_when_a_part_fails() {
        let mut process = process();
        let flag = process.register("identity");
        process.start("identity", |_| async { Err(anyhow!("no disk")) });
        let error = process.until_ready(&flag).await.expect_err("failed");
        assert_eq!(format!("{error:#}"), "identity failed: no disk");
    }

    #[tokio::test]
    async fn a_used_port_is_named_with_its_setting() {
        let used = TcpListener::bind("127.0.0.1:0").await.expect("free");
        let address = used.local_addr().expect("bound");
        let error = listen(address, "--s3-listen").await.expect_err("used");
        assert_eq!(error.to_string(), format!("cannot listen on {address} (--s3-listen)"));
    }
}
