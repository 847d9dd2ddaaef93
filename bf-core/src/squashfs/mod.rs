//! Squashfs 4.0, as the kernel and squashfuse read it: what a SIF holds, written by several threads in one pass.

mod tree;

pub use tree::{Content, Inode, InodeId, Kind, Meta, Tree};
