//! A network between a client and a server that can be cut without a word: nothing is forwarded any
//! more, and no connection ends, as when a cable is pulled or a firewall forgets a flow.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Clones are the same network.
#[derive(Clone)]
pub(crate) struct Network {
    address: SocketAddr,
    /// Connections of an earlier age than this, and all while it is odd, carry nothing.
    age: watch::Sender<u64>,
    connections: watch::Sender<usize>,
}

impl Network {
    /// A network that leads to the host and port of this URI.
    pub(crate) async fn to(uri: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("has one");
        let server = uri.rsplit('/').next().expect("has a host").to_owned();
        let (age, connections) = (watch::Sender::new(0), watch::Sender::new(0));
        let network = Self { address, age, connections };
        let this = network.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(this.clone().carry(client, server.clone()));
            }
        });
        network
    }

    /// Where it leads to its server from.
    pub(crate) fn uri(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on nothing goes through, and no connection is ended.
    pub(crate) fn cut(&self) {
        self.age.send_modify(|age| *age |= 1);
    }

    /// New connections go through again; those that were cut never do.
    pub(crate) fn mend(&self) {
        self.age.send_modify(|age| *age = (*age | 1) + 1);
    }

    /// How many connections have been made so far.
    pub(crate) fn connections(&self) -> usize {
        *self.connections.borrow()
    }

    async fn carry(self, mut client: TcpStream, server: String) {
        let born = *self.age.borrow();
        self.connections.send_modify(|made| *made += 1);
        if born.is_multiple_of(2) {
            let Ok(mut server) = TcpStream::connect(server).await else { return };
            let (mut from_client, mut to_client) = client.split();
            let (mut from_server, mut to_server) = server.split();
            tokio::select! {
                () = self.pass(born, &mut from_client, &mut to_server) => return,
                () = self.pass(born, &mut from_server, &mut to_client) => return,
                () = self.is_cut(born) => {}
            }
            // Both sockets stay open, and nobody reads them.
            std::future::pending().await
        }
        std::future::pending().await
    }

    async fn pass(
        &self,
        born: u64,
        from: &mut (impl AsyncReadExt + Unpin),
        to: &mut (impl AsyncWriteExt + Unpin),
    ) {
        let mut bytes = vec![0; 16 << 10];
        while let Ok(read @ 1..) = from.read(&mut bytes).await {
            if *self.age.borrow() != born {
                // What was under way when the cable was pulled is lost.
                return std::future::pending().await;
            }
            if to.write_all(&bytes[..read]).await.is_err() {
                return;
            }
        }
    }

    async fn is_cut(&self, born: u64) {
        // The sender lives as long as this.
        let _ = self.age.subscribe().wait_for(|age| *age != born).await;
    }
}
