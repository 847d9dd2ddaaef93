//! `sinfo`: what nodes the cluster has.

use super::SlurmError;
use super::queue::said;

/// One node in one of its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// Its name.
    pub name: String,
    /// The partition that this line is about.
    pub partition: String,
    /// Its state in lower case, without signs (`idle`, `mixed`, `allocated`, `down`, `drained`).
    pub state: String,
    /// The signs that Slurm puts behind the state: `*` does not answer, `~` powered off, `$` in maintenance, and so on.
    pub flags: String,
    /// Its cores, or threads where Slurm counts those.
    pub cpus: u64,
    /// Its memory in MiB.
    pub memory_mib: u64,
    /// Its generic resources: GPUs above all.
    pub gres: Vec<Gres>,
    /// Its features, which `--constraint` asks for.
    pub features: Vec<String>,
}

/// Some of the generic resources of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gres {
    /// What it is: `gpu`.
    pub name: String,
    /// Its type, where the site names types: `a100`.
    pub kind: Option<String>,
    /// How many there are.
    pub count: u64,
}

/// One line for each node and partition.
pub(super) const ARGUMENTS: [&str; 4] = ["--noheader", "--Node", "--format", "%N|%R|%T|%c|%m|%G|%f"];

/// The number of fields in a line.
const FIELDS: usize = 7;

/// Reads all lines.
pub(super) fn read(output: &str) -> Result<Vec<NodeFacts>, SlurmError> {
    let node = |line: &str| node(line).ok_or_else(|| SlurmError::unparsable("sinfo", line));
    output.lines().filter(|line| !line.trim().is_empty()).map(node).collect()
}

fn node(line: &str) -> Option<NodeFacts> {
    let fields: Vec<&str> = line.splitn(FIELDS, '|').map(str::trim).collect();
    let [name, partition, state, cpus, memory, gres, features] = fields[..] else { return None };
    let end = state.find(|c: char| !c.is_ascii_alphabetic() && c != '_').unwrap_or(state.len());
    Some(NodeFacts {
        name: name.to_owned(),
        partition: partition.to_owned(),
        state: state[..end].to_ascii_lowercase(),
        flags: state[end..].to_owned(),
        // A `+` says that nodes of one line differ; with one node in a line there is none, but it costs nothing to bear it.
        cpus: cpus.trim_end_matches('+').parse().ok()?,
        memory_mib: memory.trim_end_matches('+').parse().ok()?,
        gres: gres_of(gres),
        features: said(features).map_or_else(Vec::new, |list| list.split(',').map(str::to_owned).collect()),
    })
}

/// `gpu:a100:2(S:0-1),gpu:1,nvme:1T`: what cannot be read is passed over.
fn gres_of(text: &str) -> Vec<Gres> {
    let Some(text) = said(text) else { return Vec::new() };
    outside_parentheses(&text).split(',').filter_map(gres).collect()
}

/// Which sockets a GPU belongs to is written in parentheses, with commas in them.
fn outside_parentheses(text: &str) -> String {
    let mut depth = 0_usize;
    text.chars()
        .filter(|c| {
            match c {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => return depth == 0,
            }
            false
        })
        .collect()
}

fn gres(item: &str) -> Option<Gres> {
    let mut parts = item.trim().split(':');
    let name = parts.next().filter(|name| !name.is_empty())?.to_owned();
    let mut rest: Vec<&str> = parts.collect();
    let count = match rest.last().and_then(|last| count(last)) {
        Some(count) => {
            rest.pop();
            count
        }
        None => 1,
    };
    // `no_consume` stands between the type and the count.
    rest.retain(|part| *part != "no_consume");
    Some(Gres { name, kind: rest.first().map(|kind| (*kind).to_owned()), count })
}

/// A count, which for some resources is in thousands: `2`, `1K`, `4G`.
fn count(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: u64 = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1 << 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}
