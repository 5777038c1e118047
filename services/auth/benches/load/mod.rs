//! Load on a gRPC server, made as cheaply as can be: by HTTP/2 alone, with messages that are encoded
//! once. A client of tonic's costs more than the server that it calls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use prost::Message;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Of each message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;
const RESOURCE_EXHAUSTED: &str = "8";
const WINDOW_BYTES: u32 = 1 << 24;

/// Calls of one method with one message, or with one message after the other on a stream.
pub struct Client {
    connections: Vec<SendRequest<Bytes>>,
    head: http::Request<()>,
}

impl Client {
    pub async fn connect(
        server: SocketAddr,
        path: &str,
        token: &str,
        connections: usize,
    ) -> Client {
        let head = http::Request::post(format!("http://{server}{path}"))
            .version(http::Version::HTTP_2)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", format!("Bearer {token}"))
            .body(())
            .expect("is one");
        let mut client = Client { connections: vec![], head };
        for _ in 0..connections {
            let stream = TcpStream::connect(server).await.expect("listens");
            stream.set_nodelay(true).expect("can be set");
            let mut builder = h2::client::Builder::new();
            builder.initial_window_size(WINDOW_BYTES);
            builder.initial_connection_window_size(WINDOW_BYTES);
            let (requests, connection) = builder.handshake(stream).await.expect("speaks HTTP/2");
            tokio::spawn(connection);
            client.connections.push(requests);
        }
        client
    }

    /// Connections to take turns with.
    pub fn connections(&self) -> &[SendRequest<Bytes>] {
        &self.connections
    }

    /// Calls once and gives the answer, without its prefix.
    ///
    /// # Panics
    /// If the status is not OK.
    pub async fn call(&self, connection: &SendRequest<Bytes>, message: Bytes) -> Bytes {
        self.try_call(connection, message).await.expect("is answered")
    }

    /// Calls once and gives the answer, without its prefix; or the status that stands in the head, as that of
    /// what is refused does.
    async fn try_call(
        &self,
        connection: &SendRequest<Bytes>,
        message: Bytes,
    ) -> Result<Bytes, String> {
        let (answer, mut requests) = self.begin(connection).await;
        requests.send_data(message, true).expect("is open");
        let answer = answer.await.expect("answers");
        if let Some(status) = answer.headers().get("grpc-status") {
            return Err(status.to_str().expect("is a number").to_owned());
        }
        let mut body = answer.into_body();
        let mut message = BytesMut::new();
        while let Some(data) = body.data().await {
            let data = data.expect("goes on");
            body.flow_control().release_capacity(data.len()).expect("was taken");
            message.extend_from_slice(&data);
        }
        let trailers = body.trailers().await.expect("goes on").unwrap_or_default();
        assert_eq!(trailers.get("grpc-status").map(|status| status.as_bytes()), Some(&b"0"[..]));
        Ok(message.freeze().slice(PREFIX_BYTES..))
    }

    async fn begin(&self, connection: &SendRequest<Bytes>) -> (ResponseFuture, SendStream<Bytes>) {
        let mut connection = connection.clone().ready().await.expect("is open");
        connection.send_request(self.head.clone(), false).expect("is open")
    }

    /// Calls for so long, so many at a time on each connection; how often.
    pub async fn load(self: &Arc<Self>, message: &Bytes, in_flight: usize, time: Duration) -> u64 {
        let calls = Arc::new(AtomicU64::new(0));
        let end = Instant::now() + time;
        let mut tasks = JoinSet::new();
        for connection in 0..self.connections.len() {
            for _ in 0..in_flight {
                let (client, calls) = (Arc::clone(self), Arc::clone(&calls));
                let message = message.clone();
                tasks.spawn(async move {
                    while Instant::now() < end {
                        client.call(&client.connections[connection], message.clone()).await;
                        calls.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        }
        tasks.join_all().await;
        calls.load(Ordering::Relaxed)
    }

    /// Calls for so long, so many at a time on each connection; who is refused because they are too many comes back
    /// after `pause`. Milliseconds of calls that were answered, and how many were refused.
    ///
    /// # Panics
    /// If one is refused for another reason.
    pub async fn insist(
        self: &Arc<Self>,
        message: &Bytes,
        in_flight: usize,
        time: Duration,
        pause: Duration,
    ) -> (Vec<f64>, usize) {
        let (end, mut tasks) = (Instant::now() + time, JoinSet::new());
        for connection in 0..self.connections.len() {
            for _ in 0..in_flight {
                let (client, message) = (Arc::clone(self), message.clone());
                tasks.spawn(async move {
                    let (mut times, mut refused) = (vec![], 0);
                    while Instant::now() < end {
                        let connection = &client.connections[connection];
                        let start = Instant::now();
                        match client.try_call(connection, message.clone()).await {
                            Ok(_) => times.push(start.elapsed().as_secs_f64() * 1e3),
                            Err(status) => {
                                assert_eq!(status, RESOURCE_EXHAUSTED);
                                refused += 1;
                                tokio::time::sleep(pause).await;
                            }
                        }
                    }
                    (times, refused)
                });
            }
        }
        let all = tasks.join_all().await;
        let refused = all.iter().map(|(_, refused)| refused).sum();
        (all.into_iter().flat_map(|(times, _)| times).collect(), refused)
    }

    /// Sends on one stream of each connection for so long, with so many messages unanswered at a time;
    /// how many were answered.
    pub async fn stream(self: &Arc<Self>, messages: &Messages, time: Duration) -> u64 {
        let mut tasks = JoinSet::new();
        for connection in 0..self.connections.len() {
            let (client, messages) = (Arc::clone(self), messages.clone());
            tasks.spawn(async move {
                let (answer, requests) = client.begin(&client.connections[connection]).await;
                let room = Arc::new(Semaphore::new(messages.count));
                let end = Instant::now() + time;
                tokio::spawn(send(requests, messages, Arc::clone(&room), end));
                let body = answer.await.expect("answers").into_body();
                receive(body, &room).await
            });
        }
        tasks.join_all().await.into_iter().sum()
    }
}

/// Messages of one length to go round in, encoded with their prefixes.
#[derive(Clone)]
pub struct Messages {
    all: Bytes,
    count: usize,
    numbered: Option<Numbered>,
}

/// Where a message has a number that no other one has, and how many have one.
#[derive(Clone)]
struct Numbered {
    start: usize,
    count: Arc<AtomicU64>,
}

/// Digits of a number.
const DIGITS: usize = 16;

impl Messages {
    pub fn new(messages: &[impl Message]) -> Messages {
        let all: BytesMut = messages.iter().flat_map(framed).collect();
        let lengths = all.len() % messages.len();
        assert_eq!(lengths, 0, "they are of one length");
        Messages { all: all.freeze(), count: messages.len(), numbered: None }
    }

    /// With a number of 16 digits in place of the 16 bytes after `begin`:
    /// another one in each message that is sent.
    pub fn numbered_after(mut self, begin: &str) -> Messages {
        let found = self.all.windows(begin.len()).position(|piece| piece == begin.as_bytes());
        let start = found.expect("is there") + begin.len();
        self.numbered = Some(Numbered { start, count: Arc::default() });
        self
    }

    fn length(&self) -> usize {
        self.all.len() / self.count
    }

    /// Some of them, as they are to be sent.
    fn take(&self, from: usize, count: usize) -> Bytes {
        let length = self.length();
        let messages = self.all.slice(from * length..(from + count) * length);
        let Some(Numbered { start, count: numbers }) = &self.numbered else { return messages };
        let first = numbers.fetch_add(count as u64, Ordering::Relaxed);
        let mut messages = BytesMut::from(messages);
        for (number, message) in (first..).zip(messages.chunks_exact_mut(length)) {
            let digits = format!("{number:0DIGITS$}");
            message[*start..start + DIGITS].copy_from_slice(digits.as_bytes());
        }
        messages.freeze()
    }
}

/// A message with its prefix.
pub fn framed(message: &impl Message) -> Bytes {
    let bytes = message.encode_to_vec();
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + bytes.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(bytes.len()).expect("is short"));
    framed.put(&*bytes);
    framed.freeze()
}

/// Sends as much as there is room for until the end.
async fn send(
    mut requests: SendStream<Bytes>,
    messages: Messages,
    room: Arc<Semaphore>,
    end: Instant,
) {
    let mut next = 0;
    while Instant::now() < end {
        let free = room.available_permits().clamp(1, messages.count - next);
        let permits = room.acquire_many(free as u32).await.expect("is open"); // as few as messages
        permits.forget();
        let mut data = messages.take(next, free);
        next = (next + free) % messages.count;
        while !data.is_empty() {
            requests.reserve_capacity(data.len());
            let capacity = std::future::poll_fn(|cx| requests.poll_capacity(cx)).await;
            let capacity = capacity.expect("is open").expect("goes on").min(data.len());
            requests.send_data(data.split_to(capacity), false).expect("is open");
        }
    }
    requests.send_data(Bytes::new(), true).expect("is open");
}

/// Counts the answers until the server has no more.
async fn receive(mut body: RecvStream, room: &Semaphore) -> u64 {
    let (mut rest, mut all) = (BytesMut::new(), 0);
    while let Some(data) = body.data().await {
        let data = data.expect("goes on");
        body.flow_control().release_capacity(data.len()).expect("was taken");
        rest.extend_from_slice(&data);
        let (mut at, mut count) = (0, 0);
        while let Some(prefix) = rest.get(at..at + PREFIX_BYTES) {
            let length = u32::from_be_bytes(prefix[1..].try_into().expect("has 4 bytes")) as usize;
            if rest.len() < at + PREFIX_BYTES + length {
                break;
            }
            at += PREFIX_BYTES + length;
            count += 1;
        }
        rest = rest.split_off(at);
        room.add_permits(count);
        all += count as u64;
    }
    all
}
