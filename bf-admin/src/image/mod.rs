//! Container images: what site.yaml means by a name, what is there of it, how it gets there.

mod account;
mod apptainer;
mod facts;
mod failed;
mod import;
mod maker;
mod native;
mod output;
mod place;
mod probes;
mod store;
mod verify;
mod wanted;

pub(crate) use account::Account;
pub(crate) use apptainer::extent;
pub(crate) use bf_core::image::store::{Pulled, Put, enter, link, publish};
pub(crate) use facts::{ImageFacts, Need, compressed_as, gather, locked_image, store_way, way};
pub(crate) use import::{Named, Source};
pub(crate) use maker::{Engine, How, Maker, Tell};
pub(crate) use output::write as write_file;
pub(crate) use place::Place;
pub(crate) use probes::{Probes, Tried, TriedPartition, plain};
pub(crate) use store::{Fetch, import, publish_import, pull};
pub(crate) use verify::{Closely, State as VerifyState, Verified, exit as verify_exit, kept, verify};
pub(crate) use wanted::reference;
