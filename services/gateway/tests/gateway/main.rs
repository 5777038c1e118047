//! The gateway on real sockets, between a client of raw bytes, a fake auth and a fake upstream.

mod access_log;
mod bodies;
mod demo;
mod fake_auth;
mod fake_buckets;
mod fake_identity;
mod fake_upstream;
mod lifetime;
mod passing;
mod refusals;
mod rest;
mod rig;
mod tenants;
mod wire;
