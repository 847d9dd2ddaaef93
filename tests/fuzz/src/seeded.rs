//! `tests/run fuzz`: the targets with changes of what they begin with, the same ones for the same seed.
//!
//! A find is written to a file, to be given again: `seeded TARGET FILE`.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, reason = "a program of the tests")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use bf_fuzz::{TARGETS, Target};

/// What one input may take at most, on a machine that is busy.
const SLOW: Duration = Duration::from_secs(20);
/// The longest input.
const LONGEST: usize = 100_000;

const USAGE: &str = "seeded [--seconds N] [--finds FOLDER] [--unsquashfs] [TARGET [FILE...]]
seeded --seeds FOLDER";

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[7]
    }
}

fn main() -> ExitCode {
    let (mut seconds, mut finds, mut unsquashfs, mut words) = (10, PathBuf::from("."), false, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(word) = arguments.next() {
        match word.as_str() {
            "--seconds" => match arguments.next().and_then(|text| text.parse().ok()) {
                Some(given) => seconds = given,
                None => return usage(),
            },
            "--finds" => finds = arguments.next().unwrap_or_default().into(),
            "--unsquashfs" => unsquashfs = true,
            "--seeds" => return write_seeds(Path::new(&arguments.next().unwrap_or_default())),
            word if word.starts_with('-') => return usage(),
            _ => words.push(word),
        }
    }
    let named = words.first();
    let mut targets: Vec<Target> =
        TARGETS.into_iter().filter(|target| named.is_none_or(|named| named == target.name)).collect();
    if targets.is_empty() {
        return usage();
    }
    if words.len() > 1 {
        for file in &words[1..] {
            (targets[0].run)(&std::fs::read(file).unwrap());
            println!("{file}: nothing found");
        }
        return ExitCode::SUCCESS;
    }
    if unsquashfs {
        targets = vec![Target { name: "squashfs", run: unsquash, ..TARGETS[2] }];
    }
    let seed = std::env::var("BF_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
    });
    println!("BF_SEED={seed}");
    let mut found = 0;
    for target in &targets {
        found += usize::from(!hunt(target, seed, Duration::from_secs(seconds), &finds));
    }
    // As the other rings say it, for who counts.
    println!("test result: {} passed; {found} failed", targets.len() - found);
    if found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage() -> ExitCode {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    eprintln!("{USAGE}\ntargets: {}", names.join(", "));
    ExitCode::from(64)
}

/// What libFuzzer begins with.
fn write_seeds(folder: &Path) -> ExitCode {
    for target in TARGETS {
        let folder = folder.join(target.name);
        std::fs::create_dir_all(&folder).unwrap();
        for (number, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed).unwrap();
        }
    }
    ExitCode::SUCCESS
}

/// Says whether nothing was found.
fn hunt(target: &Target, seed: u64, time: Duration, finds: &Path) -> bool {
    let seeds = (target.seeds)();
    let begun = Instant::now();
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let file = finds.join(format!("{}-{seed}", target.name));
    let mut count = 0_usize;
    let failed = |count: usize, input: &[u8], why: &str| {
        std::fs::create_dir_all(finds).and_then(|()| std::fs::write(&file, input)).unwrap();
        println!("{}: {why} with input {count}, which is in {}", target.name, file.display());
        false
    };
    loop {
        let input = seeds.get(count).cloned().unwrap_or_else(|| changed(&seeds, &mut random));
        let started = Instant::now();
        if std::panic::catch_unwind(|| (target.run)(&input)).is_err() {
            return failed(count, &input, "a panic");
        }
        if started.elapsed() > SLOW {
            return failed(count, &input, "too slow");
        }
        count += 1;
        if count >= seeds.len() && begun.elapsed() >= time {
            println!("{}: nothing found in {count} inputs, {} s", target.name, begun.elapsed().as_secs());
            return true;
        }
    }
}

/// A few changes of one of the seeds, as fuzzers make them.
fn changed(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = seeds[random.below(seeds.len())].clone();
    let changes = 1 << random.below(6);
    for _ in 0..changes {
        let at = random.below(input.len());
        let most = 1 << random.below(10);
        let length = random.below(most).min(input.len() - at);
        match random.below(9) {
            0 | 1 if !input.is_empty() => input[at] ^= 1 << random.below(8),
            2 | 3 if !input.is_empty() => input[at] = random.byte(),
            4 if !input.is_empty() => {
                input[at] = *b"\0\x01\x7f\x80\xff079/.,:\"{[-".get(random.below(16)).unwrap_or(&0)
            }
            5 => drop(input.drain(at..at + length)),
            6 => {
                let copy = input[at..at + length].to_vec();
                let to = random.below(input.len());
                drop(input.splice(to..to, copy));
            }
            7 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len());
                let end = (from + length).min(other.len());
                let behind = (at + length).min(input.len());
                drop(input.splice(at..behind, other[from..end].iter().copied()));
            }
            _ => input.extend((0..random.below(40)).map(|_| random.byte())),
        }
    }
    input.truncate(LONGEST);
    input
}

/// The squashfs as `unsquashfs` sees it.
fn unsquash(input: &[u8]) {
    let folder = std::env::temp_dir().join(format!("bft-unsquash-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    bf_fuzz::squashfs::unsquash(input, &folder);
    std::fs::remove_dir_all(&folder).unwrap();
}
