//! What both Blackfish tools know: the shared cache as a place, what is in it, and how to say what happened.
//!
//! No command line parsing, no printing and no process exit: the library does the work and returns
//! serialisable results ([`report`]); the binaries `bf-admin` and `bf-user` say them.

pub mod acquire;
pub mod apptainer;
pub mod audit;
pub mod bounded;
pub mod catalog;
pub mod convert;
pub mod digest;
pub mod duration;
pub mod host;
pub mod hub;
pub mod image;
pub mod layer;
pub mod lock;
pub mod model;
pub mod oci;
pub mod permissions;
pub mod progress;
pub mod publish;
pub mod registry;
pub mod report;
pub mod service;
pub mod settings;
pub mod shape;
pub mod sif;
pub mod site;
pub mod slurm;
pub mod spec;
pub mod squashfs;
pub mod template;
pub mod tier;
pub mod tls;
pub mod web;
