//! Whole flows through real sockets: real `claviger` processes, driven by real clients.
//!
//! `cargo xtask test` installs the clients and builds the program. Each test starts its own
//! process on free ports, so that all run side by side.

mod awscli;
mod bad_input;
mod boto3;
mod cli;
mod crash;
mod deployment;
mod dev;
mod dialects;
mod envoy;
mod facades;
mod front;
mod full_disk;
mod grpcio;
mod grpcurl;
mod iam;
mod keystone;
mod lifecycle;
mod ontap;
mod osc;
mod polyglot;
mod readme;
mod rest;
mod s3_clients;
mod secrecy;
mod servers;
mod support;
mod tenants;
mod tls;
mod tracing;
mod unrest;
mod uses;
