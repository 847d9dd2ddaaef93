//! `retention:` of site.yaml: what `prune` leaves.

use crate::shape::{Key, Map, Shape, View};

/// How much of what was replaced stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Files of an image that stay, the present one included.
    pub keep_images: u32,
    /// Revisions of a model that stay, the present one included.
    pub keep_revisions: u32,
    /// Days that something stays after it was replaced, whatever its number.
    pub grace_days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { keep_images: 2, keep_revisions: 2, grace_days: 14 }
    }
}

pub(super) static MAP: Map = Map::of(
    "`retention`",
    &[
        Key::new(
            "keep_images",
            Shape::Whole(1, 1000),
            "Files of an image that stay, the present one included",
        )
        .or("2"),
        Key::new(
            "keep_revisions",
            Shape::Whole(1, 1000),
            "Revisions of a model that stay, the present one included",
        )
        .or("2"),
        Key::new("grace_days", Shape::Whole(1, 3650), "Days that something stays after it was replaced")
            .or("14"),
    ],
);

pub(super) fn read(view: View<'_>) -> Retention {
    let default = Retention::default();
    Retention {
        keep_images: view.whole("keep_images").unwrap_or(default.keep_images),
        keep_revisions: view.whole("keep_revisions").unwrap_or(default.keep_revisions),
        grace_days: view.whole("grace_days").unwrap_or(default.grace_days),
    }
}
