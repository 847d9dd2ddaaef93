//! An image as people run models with: a system, an interpreter, libraries of some hundred megabytes, tens of thousands of small
//! files, and upper layers that replace part of it.

use std::path::{Path, PathBuf};

use super::content::Content;
use super::item::{Format, Item, Layer};
use super::layout::{Config, Image};
use super::noise::Noise;

/// Regular files of at least `least` bytes below `folder`, by path: real code, for layers to be made of.
pub fn real_files(folder: &Path, least: u64) -> Vec<(PathBuf, u64)> {
    let walk = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().filter_map(Result::ok);
    let sized = walk.filter(|entry| entry.file_type().is_file()).filter_map(|entry| {
        let bytes = entry.metadata().ok()?.len();
        Some((entry.into_path(), bytes))
    });
    sized.filter(|(_, bytes)| *bytes >= least).collect()
}

/// Deals out parts of real files, one after the other, and from the beginning when there are no more.
struct Real<'a> {
    files: &'a [(PathBuf, u64)],
    next: usize,
    from: u64,
}

impl Real<'_> {
    fn part(&mut self, bytes: u64) -> Content {
        let (mut parts, mut left) = (Vec::new(), bytes);
        while left > 0 {
            let Some((path, all)) = self.files.get(self.next) else {
                assert!(!self.files.is_empty(), "real files are needed");
                self.next = 0;
                continue;
            };
            let count = left.min(all - self.from);
            parts.push(Content::Part { path: path.clone(), from: self.from, bytes: count });
            (left, self.from) = (left - count, self.from + count);
            if self.from == *all {
                (self.next, self.from) = (self.next + 1, 0);
            }
        }
        Content::All(parts)
    }
}

/// Six layers of about 1.26 GB and 33,000 entries (with `scale` 1; a hundredth of it with 100), made of parts of `real` files and of
/// noise. The same each time, as long as the files are.
pub fn machine_learning(real: &[(PathBuf, u64)], scale: u64) -> Image {
    let mut real = Real { files: real, next: 0, from: 0 };
    let mut noise = Noise::new(2024);
    let layers = vec![
        system(&mut real, &mut noise, scale),
        interpreter(&mut real, &mut noise, scale),
        packages(&mut real, &mut noise, scale),
        weights(&mut noise, scale),
        upgrade(&mut real, &mut noise, scale),
        application(&mut noise, scale),
    ];
    Image { layers, config: Config::default() }
}

const MB: u64 = 1_000_000;
const SITE: &str = "usr/lib/python3.12/site-packages";

/// A library: code, tables and text.
fn library(path: String, real: &mut Real<'_>, seed: u64, bytes: u64) -> Item {
    let code = bytes * 75 / 100;
    let table = bytes * 8 / 100;
    let parts = vec![
        real.part(code),
        Content::Table { seed, bytes: table },
        Content::Code { seed, bytes: bytes - code - table },
    ];
    Item::file(path, Content::All(parts)).mode(0o755)
}

/// Folders with small sources in them: as many files as `count`, forty to a folder.
fn sources(items: &mut Vec<Item>, below: &str, count: u64, noise: &mut Noise) {
    for number in 0..count {
        let folder = format!("{below}/part_{:03}", number / 40);
        if number % 40 == 0 {
            items.push(Item::folder(&folder));
        }
        // Most are small, some are not.
        let bytes =
            if noise.below(20) == 0 { 20_000 + noise.below(120_000) } else { 200 + noise.below(9_000) };
        let seed = noise.next();
        items.push(Item::file(format!("{folder}/module_{number:05}.py"), Content::Code { seed, bytes }));
    }
}

fn folders(paths: &[&str]) -> Vec<Item> {
    paths.iter().map(Item::folder).collect()
}

fn system(real: &mut Real<'_>, noise: &mut Noise, scale: u64) -> Layer {
    let mut items = folders(&[
        "bin",
        "etc",
        "usr",
        "usr/bin",
        "usr/lib",
        "usr/share",
        "usr/share/doc",
        "var",
        "var/cache",
    ]);
    items.push(Item::folder("tmp").mode(0o1777));
    items.push(Item::symlink("lib", "usr/lib"));
    items.push(Item::file("bin/sh", real.part(125_000)).mode(0o755));
    for number in 0..60 {
        let bytes = (200_000 + noise.below(2 * MB)) / scale;
        items.push(Item::file(format!("usr/lib/libsystem{number}.so.1.0"), real.part(bytes)).mode(0o755));
        items.push(Item::symlink(
            format!("usr/lib/libsystem{number}.so.1"),
            format!("libsystem{number}.so.1.0"),
        ));
    }
    for name in ["su", "mount", "passwd"] {
        items.push(Item::file(format!("usr/bin/{name}"), real.part(60_000)).mode(0o4755));
    }
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let ping = Item::file("usr/bin/ping", real.part(70_000)).mode(0o755);
    items.push(ping.xattr("security.capability", capability));
    for number in 0..2_500 / scale {
        let bytes = 300 + noise.below(4_000);
        items.push(Item::file(
            format!("usr/share/doc/note-{number:04}.txt"),
            Content::Code { seed: number, bytes },
        ));
        items.push(Item::file(
            format!("var/cache/entry-{number:04}"),
            Content::Noise { seed: number, bytes: 400 },
        ));
    }
    Layer(items)
}

fn interpreter(real: &mut Real<'_>, noise: &mut Noise, scale: u64) -> Layer {
    let mut items = folders(&["usr/lib/python3.12", "usr/lib/python3.12/stdlib", SITE]);
    items.push(Item::file("usr/bin/python3.12", real.part(6 * MB / scale)).mode(0o755));
    for name in ["python3", "python"] {
        items.push(Item::hard_link(format!("usr/bin/{name}"), "usr/bin/python3.12"));
    }
    sources(&mut items, "usr/lib/python3.12/stdlib", 3_500 / scale, noise);
    Layer(items)
}

fn packages(real: &mut Real<'_>, noise: &mut Noise, scale: u64) -> Layer {
    let mut items = Vec::new();
    for (name, count) in [("torch", 9_000), ("transformers", 6_000), ("numpy", 2_000), ("old_package", 2_200)]
    {
        items.push(Item::folder(format!("{SITE}/{name}")));
        sources(&mut items, &format!("{SITE}/{name}"), count / scale, noise);
    }
    items.push(Item::folder(format!("{SITE}/torch/lib")));
    for (number, megabytes) in [260, 120, 80, 60, 40, 25].into_iter().enumerate() {
        let path = format!("{SITE}/torch/lib/libpart{number}.so");
        items.push(library(path, real, number as u64, megabytes * MB / scale));
    }
    items.push(Item::text(format!("{SITE}/torch/odd \u{e9}\n name.txt"), "odd\n"));
    items.push(Item::text(format!("{SITE}/torch/{}", "long_".repeat(40)), "long\n").format(Format::Gnu));
    Layer(items)
}

fn weights(noise: &mut Noise, scale: u64) -> Layer {
    let mut items = folders(&["opt", "opt/model"]);
    let seed = noise.next();
    let model = |name: &str, content| Item::file(format!("opt/model/{name}"), content);
    items.push(model("small.bin", Content::Noise { seed, bytes: 15 * MB / scale }));
    items.push(model("index.bin", Content::Table { seed, bytes: 110 * MB / scale }));
    items.push(model("words.json", Content::Code { seed, bytes: 100 * MB / scale }));
    let zeros = Content::Sparse { bytes: 145 * MB / scale, pieces: Vec::new() };
    items.push(model("zeros.bin", zeros).format(Format::Ustar));
    Layer(items)
}

/// Replaces a package, hides another, and empties caches.
fn upgrade(real: &mut Real<'_>, noise: &mut Noise, scale: u64) -> Layer {
    let mut items = vec![Item::whiteout(format!("{SITE}/old_package"))];
    items.push(Item::folder(format!("{SITE}/numpy")));
    items.push(Item::opaque(format!("{SITE}/numpy")));
    sources(&mut items, &format!("{SITE}/numpy"), 1_800 / scale, noise);
    items.push(library(format!("{SITE}/torch/lib/libpart5.so"), real, 55, 26 * MB / scale));
    items.push(Item::folder("var/cache"));
    for number in 0..600 / scale {
        items.push(Item::whiteout(format!("var/cache/entry-{number:04}")));
    }
    Layer(items)
}

fn application(noise: &mut Noise, scale: u64) -> Layer {
    let mut items = folders(&["opt/tool", "opt/tool/bin", "opt/tool/lib"]);
    items.push(Item::text("opt/tool/bin/start", "#!/bin/sh\nexec \"$@\"\n").mode(0o755));
    sources(&mut items, "opt/tool/lib", 1_500 / scale, noise);
    items.push(Item::hard_link("opt/model/link.bin", "opt/model/small.bin"));
    Layer(items)
}

#[cfg(test)]
mod tests {
    use super::super::expected;
    use super::*;

    #[test]
    fn it_has_the_size_that_it_says() {
        let real = vec![(PathBuf::from("real"), 500 * MB)];
        let image = machine_learning(&real, 1);
        let items = || image.layers.iter().flat_map(|layer| &layer.0);
        let bytes: u64 = items()
            .map(|item| match &item.what {
                super::super::What::File(content) => 512 + content.len().next_multiple_of(512),
                _ => 512,
            })
            .sum();
        assert!((1_200 * MB..1_320 * MB).contains(&bytes), "{bytes}");
        assert!((31_000..36_000).contains(&items().count()), "{}", items().count());
        let little = machine_learning(
            &[(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")), 500)],
            1000,
        );
        assert!(expected(&little.layers).0.len() > 120);
    }
}
