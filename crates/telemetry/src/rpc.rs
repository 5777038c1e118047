//! One layer for gRPC servers, one for gRPC channels.

mod call;
mod client;
mod server;

pub use client::{RpcClient, RpcClientLayer, rpc_client_layer};
pub use server::{RpcServer, RpcServerLayer, rpc_server_layer};
