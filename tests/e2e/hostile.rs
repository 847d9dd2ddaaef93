//! Images that an enemy made: they are refused, with nothing left of them, and reach nothing outside.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use bf_test_kit::images::{Config, Content, Image, Item, Layer, Layout, Packing, Served, small, tar_header};
use bf_test_kit::{Outcome, or_skip};

use crate::convert::{Pull, bounded, converts, place};

/// How an image ends that an enemy made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is made: what the others are compared with, so that they are not refused for another reason.
    Made,
    /// It is refused: 65.
    Refused,
    /// It may be the network, and what came is kept: 69.
    Short,
    /// It is refused, or becomes a file that harms nobody.
    Harmless,
}

/// Pulls the tag `x` of a layout that is served with these blobs in place of others.
fn pulled(layout: &Layout, instead: BTreeMap<String, Vec<u8>>, what: &str, fate: Fate) -> Outcome {
    let pull = Pull::new();
    let served = Served::start(layout.path(), instead);
    let program = pull.of(&served.reference("hostile/image:x"), &[]).limit(Duration::from_mins(1));
    // Thrice what it needs for an image without malice, and less than what these want of it.
    let outcome = bounded(&program).run();
    match (fate, outcome.exit) {
        (Fate::Made | Fate::Harmless, 0) => assert_eq!(pull.left(), ["image.sif"], "{what}"),
        (Fate::Refused | Fate::Harmless, 65) => {
            assert!(pull.left().is_empty(), "{what}: {:?}", pull.left());
            return outcome.one_sentence();
        }
        (Fate::Short, 69) => {
            assert_eq!(pull.left(), [".image.sif.partial"], "{what}");
            return outcome.one_sentence();
        }
        _ => panic!("{what}: {outcome}"),
    }
    outcome
}

/// What writes the tar of a layer.
type WriteTar = Box<dyn FnOnce(&mut dyn Write) -> std::io::Result<()>>;

#[test]
fn blobs_that_are_not_what_was_said_are_refused() {
    or_skip!(converts());
    let place = place();
    let mut number = 0;
    let mut case = |what: &str, change: &dyn Fn(&mut Layout) -> BTreeMap<String, Vec<u8>>| {
        number += 1;
        let mut layout = Layout::new(&place.path().join(number.to_string()));
        let instead = change(&mut layout);
        let fate = match what {
            "nothing wrong" => Fate::Made,
            "less bytes than were said" => Fate::Short,
            _ => Fate::Refused,
        };
        pulled(&layout, instead, what, fate);
    };
    let noise = || Layer(vec![Item::file("noise", Content::Noise { seed: 3, bytes: 3_000_000 })]);
    let config = Config::default();
    // Of the layer, and what is served for it.
    let served = |layout: &mut Layout, change: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        let layer = layout.layer(&noise(), Packing::Gzip);
        layout.add_layers("x", &config, std::slice::from_ref(&layer));
        let bytes = fs_err::read(layout.blob_path(&layer.digest)).unwrap();
        BTreeMap::from([(layer.digest, change(bytes))])
    };
    case("nothing wrong", &|layout| {
        layout.add("x", &Image { layers: vec![noise()], config: config.clone() }, Packing::Gzip);
        BTreeMap::new()
    });
    case("another byte", &|layout| {
        served(layout, &|mut bytes| {
            bytes[1_000_000] ^= 1;
            bytes
        })
    });
    case("less bytes than were said", &|layout| served(layout, &|bytes| bytes[..bytes.len() / 2].to_vec()));
    case("a layer that is cut off", &|layout| {
        let whole = layout.layer(&noise(), Packing::Gzip);
        let bytes = fs_err::read(layout.blob_path(&whole.digest)).unwrap();
        let mut half = layout.blob(&whole.media_type, &bytes[..bytes.len() / 2]);
        half.diff_id = whole.diff_id;
        layout.add_layers("x", &config, &[half]);
        BTreeMap::new()
    });
    case("a layer of another diff_id", &|layout| {
        let mut layer = layout.layer(&noise(), Packing::Zstd);
        layer.diff_id = Some(format!("sha256:{}", "ab".repeat(32)));
        layout.add_layers("x", &config, &[layer]);
        BTreeMap::new()
    });
    case("no archive at all", &|layout| {
        let layer = layout.layer_of(Packing::Gzip, |out| out.write_all(&vec![b'x'; 100_000]));
        layout.add_layers("x", &config, &[layer]);
        BTreeMap::new()
    });
    case("a manifest that is another one", &|layout| {
        let manifest = layout.add("x", &small(), Packing::Gzip);
        let bytes = fs_err::read(layout.blob_path(&manifest.digest)).unwrap();
        BTreeMap::from([(manifest.digest, [&bytes[..], b" "].concat())])
    });
    case("less diff_ids than layers", &|layout| {
        let layer = layout.layer(&noise(), Packing::Gzip);
        let mut other = layout.layer(&small().layers[0], Packing::Gzip);
        other.diff_id = None;
        layout.add_layers("x", &config, &[layer, other]);
        BTreeMap::new()
    });
}

#[test]
fn what_somebody_else_has_laid_out_in_a_folder_of_all_is_refused() {
    const SOMEBODY: u32 = 54_321;
    or_skip!(converts());
    let place = place();
    let mut layout = Layout::new(&place.path().join("layout"));
    let layer = layout.layer(&small().layers[0], Packing::Gzip);
    layout.add_layers("x", &Config::default(), std::slice::from_ref(&layer));
    let served = Served::start(layout.path(), BTreeMap::new());
    let secret = place.path().join("secret");
    fs_err::write(&secret, "secret").unwrap();
    let theirs = |path: &Path| std::os::unix::fs::lchown(path, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    let refused = |lay_out: &dyn Fn(&Path), words: &[&str], said: &str| {
        let pull = Pull::new();
        fs_err::set_permissions(&pull.folder, PermissionsExt::from_mode(0o1777)).unwrap();
        lay_out(&pull.folder);
        let outcome = pull.of(&served.reference("hostile/image:x"), words).run();
        assert_eq!(outcome.exit, 77, "{outcome}");
        assert!(outcome.one_sentence().stderr.contains(said), "{said}");
        assert_eq!(fs_err::read_to_string(&secret).unwrap(), "secret");
    };
    // The folder that it is made in, with links to files of ours.
    let folder = |folder: &Path| {
        let partial = folder.join(".image.sif.partial");
        let layers = partial.join("layers");
        fs_err::create_dir_all(&layers).unwrap();
        let blob = layer.digest.replace(':', "-") + ".partial";
        for link in [partial.join("lock"), layers.join(blob)] {
            std::os::unix::fs::symlink(&secret, &link).unwrap();
            theirs(&link);
        }
        theirs(&layers);
        theirs(&partial);
    };
    refused(&folder, &[], ".image.sif.partial belongs to the user 54321: remove it");
    // One of ours that others could fill.
    let open = |folder: &Path| {
        let partial = folder.join(".image.sif.partial");
        fs_err::create_dir(&partial).unwrap();
        fs_err::set_permissions(&partial, PermissionsExt::from_mode(0o777)).unwrap();
    };
    refused(&open, &[], ".image.sif.partial was open to others");
    // The file itself.
    let file = |folder: &Path| {
        fs_err::write(folder.join("image.sif"), "theirs").unwrap();
        theirs(&folder.join("image.sif"));
    };
    for words in [&[][..], &["--force"]] {
        refused(&file, words, "image.sif belongs to the user 54321");
    }
    let link = |folder: &Path| {
        std::os::unix::fs::symlink(&secret, folder.join("image.sif")).unwrap();
        theirs(&folder.join("image.sif"));
    };
    refused(&link, &["--force"], "image.sif belongs to the user 54321");
}

#[test]
fn layers_that_an_enemy_made_harm_nobody() {
    or_skip!(converts());
    let place = place();
    let outside = place.path().join("outside");
    fs_err::create_dir(&outside).unwrap();
    let to_outside = outside.to_str().unwrap();
    let ups = "../".repeat(30);
    let layers = |layers: Vec<Vec<Item>>| layers.into_iter().map(Layer).collect::<Vec<_>>();
    let cases: Vec<(&str, Fate, Vec<Layer>)> = vec![
        (
            "a name with ..",
            Fate::Refused,
            layers(vec![vec![Item::text(format!("{ups}{to_outside}/a"), "out")]]),
        ),
        ("a folder ..", Fate::Refused, layers(vec![vec![Item::folder("a/../../..")]])),
        (
            "a link out, and a file through it",
            Fate::Harmless,
            layers(vec![vec![Item::symlink("out", to_outside)], vec![Item::text("out/b", "out")]]),
        ),
        (
            "a link up and out, and a marker through it",
            Fate::Harmless,
            layers(vec![vec![Item::symlink("out", format!("{ups}{to_outside}"))], vec![Item::opaque("out")]]),
        ),
        (
            "a hard link to the machine's files",
            Fate::Refused,
            layers(vec![vec![Item::hard_link("shadow", "/etc/shadow")]]),
        ),
        ("a hard link to itself", Fate::Refused, layers(vec![vec![Item::hard_link("self", "self")]])),
        ("a marker for ..", Fate::Refused, layers(vec![vec![Item::text("a/.wh...", "")]])),
        ("a marker for nothing", Fate::Refused, layers(vec![vec![Item::text("a/.wh.", "")]])),
        ("a name of 300 bytes", Fate::Refused, layers(vec![vec![Item::text("n".repeat(300), "")]])),
        (
            "a path of 40000 bytes",
            Fate::Refused,
            layers(vec![vec![Item::text("n/".repeat(20_000) + "n", "")]]),
        ),
        (
            "links in a ring, and a file through them",
            Fate::Harmless,
            layers(vec![vec![Item::symlink("a", "b"), Item::symlink("b", "a")], vec![Item::text("a/c", "")]]),
        ),
        (
            "what the runtime runs, as a link out",
            Fate::Harmless,
            layers(vec![vec![Item::symlink(".singularity.d", to_outside)]]),
        ),
    ];
    for (number, (what, fate, layers)) in cases.into_iter().enumerate() {
        let mut layout = Layout::new(&place.path().join(number.to_string()));
        layout.add("x", &Image { layers, config: Config::default() }, Packing::Gzip);
        pulled(&layout, BTreeMap::new(), what, fate);
        assert_eq!(fs_err::read_dir(&outside).unwrap().count(), 0, "{what}");
    }
    // Entries that promise more than anybody has, and little that becomes much.
    let gigabytes = |kind: u8, bytes: u64| {
        move |out: &mut dyn Write| {
            out.write_all(&tar_header(kind, b"promise", bytes))?;
            Content::Sparse { bytes: bytes.min(64 << 20), pieces: Vec::new() }.write_to(out)
        }
    };
    let cases: Vec<(&str, WriteTar)> = vec![
        ("an extended header of 3 GiB", Box::new(gigabytes(b'x', 3 << 30))),
        ("a global header of 3 GiB", Box::new(gigabytes(b'g', 3 << 30))),
        ("a name of 3 GiB", Box::new(gigabytes(b'L', 3 << 30))),
        ("a file of 2^60 bytes", Box::new(|out| out.write_all(&tar_header(b'0', b"promise", 1 << 60)))),
        (
            "an extended header of 2^63 bytes",
            Box::new(|out| out.write_all(&tar_header(b'x', b"promise", 1 << 63))),
        ),
    ];
    for (number, (what, write)) in cases.into_iter().enumerate() {
        let mut layout = Layout::new(&place.path().join(format!("bomb{number}")));
        let layer = layout.layer_of(Packing::Zstd, write);
        layout.add_layers("x", &Config::default(), &[layer]);
        pulled(&layout, BTreeMap::new(), what, Fate::Refused);
    }
}

/// Bytes of memory that may be resident while a layer inflates: what an image without malice needs.
const MEMORY: u64 = 200_000_000;

#[test]
fn layers_that_inflate_need_no_memory() {
    // Ten times what may be resident is enough to tell; and once more than a small machine has.
    const LARGE: u64 = 2 << 30;
    const HUGE: u64 = 10 << 30;
    or_skip!(converts());
    let place = place();
    let zeros = |bytes: u64| Content::Sparse { bytes, pieces: Vec::new() };
    let file = move |bytes: u64, behind: u64| -> WriteTar {
        Box::new(move |out| {
            out.write_all(&tar_header(b'0', b"zeros", bytes))?;
            zeros(bytes).write_to(out)?;
            out.write_all(&[0; 1024])?;
            zeros(behind).write_to(out)
        })
    };
    let header = |kind: u8, bytes: u64| -> WriteTar {
        Box::new(move |out| {
            out.write_all(&tar_header(kind, b"promise", bytes))?;
            zeros(bytes).write_to(out)
        })
    };
    let cases: Vec<(&str, Packing, Fate, WriteTar)> = vec![
        ("a file of 2 GiB in two megabytes", Packing::Gzip, Fate::Made, file(LARGE, 0)),
        ("a file of 10 GiB in less than one", Packing::Zstd, Fate::Made, file(HUGE, 0)),
        ("2 GiB behind the end of the archive", Packing::Zstd, Fate::Harmless, file(512, LARGE)),
        ("an extended header of 2 GiB, all of it there", Packing::Zstd, Fate::Refused, header(b'x', LARGE)),
        ("a name of 2 GiB, all of it there", Packing::Zstd, Fate::Refused, header(b'L', LARGE)),
    ];
    for (number, (what, packing, fate, write)) in cases.into_iter().enumerate() {
        let mut layout = Layout::new(&place.path().join(number.to_string()));
        let layer = layout.layer_of(packing, write);
        assert!(layer.bytes < 20_000_000, "{what}: {} bytes", layer.bytes);
        layout.add_layers("x", &Config::default(), &[layer]);
        inflated(&layout, what, fate);
    }
    // Behind the compressed bytes is what no compression made.
    for (packing, garbage) in [(Packing::Gzip, 64 << 20), (Packing::Zstd, 64 << 20)] {
        let mut layout = Layout::new(&place.path().join(format!("garbage-{packing:?}")));
        let whole = layout.layer_of(packing, file(1 << 20, 0));
        let mut bytes = fs_err::read(layout.blob_path(&whole.digest)).unwrap();
        Content::Noise { seed: 7, bytes: garbage }.write_to(&mut bytes).unwrap();
        let mut layer = layout.blob(&whole.media_type, &bytes);
        layer.diff_id = whole.diff_id;
        layout.add_layers("x", &Config::default(), &[layer]);
        inflated(&layout, "garbage behind a layer", Fate::Refused);
    }
}

/// Pulls the tag `x` of a layout, and looks at how much memory that needs.
fn inflated(layout: &Layout, what: &str, fate: Fate) {
    let pull = Pull::new();
    let served = Served::start(layout.path(), BTreeMap::new());
    let program = pull.of(&served.reference("hostile/image:x"), &["--threads", "2"]);
    let (outcome, memory) = program.limit(Duration::from_mins(3)).measured();
    assert!(memory < MEMORY, "{what}: {memory} bytes: {outcome}");
    match (fate, outcome.exit) {
        (Fate::Made | Fate::Harmless, 0) => assert_eq!(pull.left(), ["image.sif"], "{what}"),
        (Fate::Refused | Fate::Harmless, 65) => {
            assert!(pull.left().is_empty(), "{what}: {:?}", pull.left());
            outcome.one_sentence();
        }
        _ => panic!("{what}: {outcome}"),
    }
}
