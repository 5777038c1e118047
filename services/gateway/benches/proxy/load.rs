//! Load on a proxy and the store behind it, both made as cheaply as can be: bytes that were made once are
//! written, and what comes is read no further than to know where it ends.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::signed::Sent;

const BUFFER_BYTES: usize = 128 << 10;
static ZEROS: [u8; BUFFER_BYTES] = [0; BUFFER_BYTES];

/// One side of a connection, and what was read of it ahead.
struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

/// The first line of a head, and the length of the body behind it.
struct Begun {
    line: String,
    body_bytes: u64,
}

impl Wire {
    fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("can be set");
        // As much as heads need: there may be thousands.
        Self { stream, buffer: vec![0; 4 << 10], filled: 0 }
    }

    /// Reads a head; none if the connection has ended before.
    async fn head(&mut self) -> Option<Begun> {
        let end = loop {
            let read = &self.buffer[..self.filled];
            if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(self.filled < self.buffer.len(), "a head is short");
            match self.stream.read(&mut self.buffer[self.filled..]).await {
                Ok(0) | Err(_) => return None,
                Ok(bytes) => self.filled += bytes,
            }
        };
        let head = std::str::from_utf8(&self.buffer[..end]).expect("is ASCII");
        let mut lines = head.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let length = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        self.buffer.copy_within(end..self.filled, 0);
        self.filled -= end;
        Some(Begun { line, body_bytes: length.unwrap_or_default() })
    }

    /// Reads a body and forgets it.
    async fn skip(&mut self, bytes: u64, into: &mut [u8]) {
        let ahead = self.filled.min(usize::try_from(bytes).expect("fits"));
        self.buffer.copy_within(ahead..self.filled, 0);
        self.filled -= ahead;
        let mut left = bytes - ahead as u64;
        while left > 0 {
            let room = into.len().min(usize::try_from(left).expect("fits"));
            let read = self.stream.read(&mut into[..room]).await.expect("goes on");
            assert!(read > 0, "a body broke off");
            left -= read as u64;
        }
    }
}

/// A store that takes everything, and has an object of so many zeros wherever a path ends in a number.
pub async fn serve_store(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let (mut wire, mut into) = (Wire::new(stream), vec![]);
            while let Some(Begun { line, body_bytes }) = wire.head().await {
                if body_bytes > 0 {
                    into.resize(BUFFER_BYTES, 0);
                    wire.skip(body_bytes, &mut into).await;
                }
                let path = line.split(' ').nth(1).unwrap_or_default();
                let object = path.rsplit('/').next().and_then(|end| end.parse().ok());
                let mut left: u64 = object.filter(|_| line.starts_with("GET ")).unwrap_or(0);
                let mut answer = Vec::with_capacity(4 << 10);
                write!(
                    answer,
                    "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\
                     ETag: \"d41d8cd98f00b204e9800998ecf8427e\"\r\n\
                     Last-Modified: Fri, 24 May 2013 00:00:00 GMT\r\nAccept-Ranges: bytes\r\n\
                     Date: Sat, 25 May 2013 00:00:00 GMT\r\nContent-Length: {left}\r\n\r\n"
                )
                .expect("is memory");
                // A small object goes with its head, as from any server.
                let with_head = left.min(32 << 10);
                answer.extend_from_slice(&ZEROS[..with_head as usize]);
                left -= with_head;
                if wire.stream.write_all(&answer).await.is_err() {
                    return;
                }
                while left > 0 {
                    let piece = ZEROS.len().min(usize::try_from(left).expect("fits"));
                    if wire.stream.write_all(&ZEROS[..piece]).await.is_err() {
                        return;
                    }
                    left -= piece as u64;
                }
            }
        });
    }
}

/// Connections to one proxy that are kept open.
#[derive(Clone)]
pub struct Client {
    connections: Vec<Arc<Mutex<Wire>>>,
}

impl Client {
    pub async fn connect(server: SocketAddr, connections: usize) -> Self {
        let mut client = Self { connections: vec![] };
        for _ in 0..connections {
            let stream = TcpStream::connect(server).await.expect("listens");
            client.connections.push(Arc::new(Mutex::new(Wire::new(stream))));
        }
        client
    }

    /// Sends one request after the other on each connection for so long; how many.
    pub async fn load_for(&self, request: &Sent, time: Duration) -> u64 {
        let end = Instant::now() + time;
        self.load(request, move |_| Instant::now() < end).await
    }

    /// Sends so many requests on all connections.
    pub async fn load_times(&self, request: &Sent, times: u64) {
        self.load(request, move |begun| begun < times).await;
    }

    async fn load(
        &self,
        request: &Sent,
        goes_on: impl Fn(u64) -> bool + Clone + Send + 'static,
    ) -> u64 {
        let (begun, mut tasks) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
        for connection in &self.connections {
            let connection = Arc::clone(connection);
            let (request, begun, goes_on) = (request.clone(), Arc::clone(&begun), goes_on.clone());
            tasks.spawn(async move {
                let (mut wire, mut into) = (connection.lock().await, vec![0; BUFFER_BYTES]);
                let mut count = 0;
                while goes_on(begun.fetch_add(1, Ordering::Relaxed)) {
                    exchange(&mut wire, &request, &mut into).await;
                    count += 1;
                }
                count
            });
        }
        tasks.join_all().await.into_iter().sum()
    }
}

/// Sends a request and reads its answer.
///
/// # Panics
/// If it is not done.
async fn exchange(wire: &mut Wire, request: &Sent, into: &mut [u8]) {
    wire.stream.write_all(&request.head).await.expect("is open");
    for piece in &request.body {
        wire.stream.write_all(piece).await.expect("is open");
    }
    let Begun { line, body_bytes } = wire.head().await.expect("is answered");
    assert!(line.starts_with("HTTP/1.1 200"), "{line}");
    wire.skip(body_bytes, into).await;
}

/// The address that a URI in the clear names.
pub fn address(uri: &str) -> SocketAddr {
    uri.trim_start_matches("http://").parse().expect("is an address")
}
