//! The gateway on real sockets, between a client of raw bytes, a fake auth and a fake upstream.

mod access_log;
mod bodies;
mod browsers;
mod chunks;
mod demo;
mod dialects;
mod fake_auth;
mod fake_buckets;
mod fake_identity;
mod fake_upstream;
mod forms;
mod frames;
mod http2;
mod keystone;
mod lifetime;
mod passing;
mod recorder;
mod refusals;
mod replicas;
mod rest;
mod rig;
mod smuggling;
mod tenants;
mod upstreams;
mod wire;
