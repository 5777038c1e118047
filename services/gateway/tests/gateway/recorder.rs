//! An upstream that keeps every byte that it gets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Answers 200 to what came whole, and closes.
#[derive(Clone)]
pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    /// Of each connection that said anything.
    bytes: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Recorder {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let recorder = Self { address, bytes: Arc::default() };
        let bytes = Arc::clone(&recorder.bytes);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(record(stream, Arc::clone(&bytes)));
            }
        });
        recorder
    }

    /// All that came, a connection's bytes in one piece each.
    pub(crate) fn all(&self) -> Vec<String> {
        let bytes = self.bytes.lock().expect("not poisoned");
        bytes.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }
}

async fn record(mut stream: TcpStream, all: Arc<Mutex<Vec<Vec<u8>>>>) {
    let (mut buffer, mut place) = (vec![0; 64 << 10], None);
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        let is_whole = {
            let mut all = all.lock().expect("not poisoned");
            let place = *place.get_or_insert_with(|| {
                all.push(vec![]);
                all.len() - 1
            });
            all[place].extend_from_slice(&buffer[..read]);
            is_whole(&all[place])
        };
        if is_whole {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
            let _ = stream.write_all(answer).await;
            // What comes after it is recorded, too.
        }
    }
}

/// Whether a request, head and body by its length, is there.
fn is_whole(bytes: &[u8]) -> bool {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |length| length.parse().expect("a number"));
    bytes.len() >= end + 4 + length
}
