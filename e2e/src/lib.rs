//! A Kubernetes cluster on one machine, for tests and for trying things out.
//!
//! etcd, API server, controller manager and scheduler, and nodes with a real kubelet and a real containerd, each in
//! namespaces of its own. See `README.md` in this folder for how to write a test.
//!
//! * [`cluster`]: bringing one up and taking it down. [`record`]: what it owns on the host, so that nothing is left behind.
//!   [`interrupt`]: Ctrl-C.
//! * [`machine`], [`network`], [`cgroups`]: what isolates its parts from each other and from the host.
//! * [`control_plane`], [`node`], [`node_config`]: what runs in the machines. [`service`]: one long-running process.
//! * [`assets`], [`go_build`], [`prerequisites`], `go_version`, [`image`]: where programs and images come from.
//! * [`pki`], [`kubeconfig`], [`account`]: who may do what.
//! * [`bed`], [`reset`], [`ours`], [`app`]: nv-ipam on the cluster. [`harness`]: running tests on it.
//! * `existing`, [`roles`]: a cluster that is somebody else's.
//! * [`pods`], [`cni`], [`store`], [`metrics`], [`http_get`], [`kubectl`]: what tests do and look at.
//! * [`demo`], [`story`]: showing it to people.
//! * [`wait`], [`command`], [`proc`], [`progress`], [`names`]: tools.

pub mod account;
pub mod app;
pub mod assets;
pub mod bed;
pub mod bench;
pub mod cgroups;
pub mod cluster;
pub mod cni;
pub mod command;
pub mod control_plane;
pub mod demo;
mod existing;
pub mod go_build;
mod go_version;
pub mod harness;
pub mod http_get;
pub mod image;
pub mod interrupt;
pub mod kubeconfig;
pub mod kubectl;
pub mod machine;
pub mod metrics;
pub mod names;
pub mod network;
pub mod node;
pub mod node_config;
pub mod ours;
pub mod pki;
pub mod pods;
pub mod prerequisites;
pub mod proc;
pub mod progress;
pub mod record;
pub mod reset;
pub mod roles;
pub mod service;
pub mod store;
pub mod story;
pub mod wait;
