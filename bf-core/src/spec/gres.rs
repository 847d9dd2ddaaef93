//! `slurm.gres`: generic resources as Slurm writes them, `gpu[:type][:count]`, separated by commas.

use super::parse::Reader;
use super::partitions::RawSlurm;

/// One item that asks for GPUs.
#[derive(Debug, PartialEq, Eq)]
struct GpuRequest<'a> {
    /// The type, as `gres.conf` names it.
    kind: Option<&'a str>,
    /// How many.
    count: Option<u32>,
}

/// The items of a specification that ask for GPUs.
///
/// # Errors
/// The item that is not written as Slurm wants it.
fn gpu_requests(gres: &str) -> Result<Vec<GpuRequest<'_>>, &str> {
    let mut requests = Vec::new();
    for item in gres.split(',') {
        let parts: Vec<&str> = item.split(':').collect();
        if parts.len() > 3 || parts.iter().any(|part| part.is_empty() || part.contains(char::is_whitespace)) {
            return Err(item);
        }
        if parts[0] != "gpu" {
            continue;
        }
        requests.push(match parts[1..] {
            [] => GpuRequest { kind: None, count: None },
            // As Slurm does, a number in this place is the count.
            [one] => match one.parse() {
                Ok(count) => GpuRequest { kind: None, count: Some(count) },
                Err(_) => GpuRequest { kind: Some(one), count: None },
            },
            [kind, count, ..] => {
                GpuRequest { kind: Some(kind), count: Some(count.parse().map_err(|_| item)?) }
            }
        });
    }
    Ok(requests)
}

/// Adds the number of GPUs to `gpu` and `gpu:TYPE`, for which Slurm would otherwise take 1.
///
/// ```
/// use bf_core::spec::complete_gres;
///
/// assert_eq!(complete_gres("gpu:a100", 2), "gpu:a100:2");
/// assert_eq!(complete_gres("gpu:a100:4", 4), "gpu:a100:4");
/// assert_eq!(complete_gres("gpu,nvme:1", 1), "gpu:1,nvme:1");
/// ```
pub fn complete_gres(gres: &str, gpu_count: u32) -> String {
    let items: Vec<String> = gres
        .split(',')
        .map(|item| match gpu_requests(item).as_deref() {
            Ok([GpuRequest { count: None, .. }]) => format!("{item}:{gpu_count}"),
            _ => item.to_owned(),
        })
        .collect();
    items.join(",")
}

/// `slurm.gres` against `gpu_count`, which it must not contradict, and `gpu_type`, which is only a label.
pub(super) fn check(reader: &Reader, slurm: &RawSlurm, gpu_count: Option<u32>, gpu_type: Option<&str>) {
    let Some(gres) = &slurm.extras.gres else { return };
    let at = slurm.gres_at;
    let requests = match gpu_requests(gres) {
        Ok(requests) => requests,
        Err(item) => {
            reader.note(
                at.error("invalid_gres", format!("`{item}` is not a generic resource as Slurm writes them"))
                    .with_hint("write `gpu:TYPE` or `gpu:TYPE:COUNT`, several separated by commas"),
            );
            return;
        }
    };
    let Some(gpu_count) = gpu_count.filter(|_| !requests.is_empty()) else { return };
    if gpu_count == 0 {
        reader.note(
            at.error("gres_count", format!("`{gres}` asks for GPUs, but `gpu_count` is 0"))
                .with_hint("remove one of the two"),
        );
        return;
    }
    match requests.iter().map(|request| request.count).collect::<Option<Vec<u32>>>() {
        Some(counts) => {
            let sum: u64 = counts.into_iter().map(u64::from).sum();
            if sum != u64::from(gpu_count) {
                reader.note(
                    at.error(
                        "gres_count",
                        format!("`{gres}` asks for {sum} GPUs, but `gpu_count` is {gpu_count}"),
                    )
                    .with_hint("Slurm reads the last number as the count; without one, `gpu_count` is added"),
                );
            }
        }
        None if requests.len() > 1 => reader.note(
            at.error("gres_count", format!("`{gres}` asks for GPUs twice and does not say how many of each"))
                .with_hint("write `gpu:TYPE:COUNT` for each of them"),
        ),
        None => {}
    }
    if let (Some(label), [GpuRequest { kind: Some(kind), .. }]) = (gpu_type, &requests[..])
        && contradicts(label, kind)
    {
        reader.note(
            at.warning(
                "gpu_type_is_a_label",
                format!("`gpu_type` says {label}, but Slurm is asked for {kind}"),
            )
            .with_hint("`gpu_type` is only shown to users; `slurm.gres` decides"),
        );
    }
}

/// Whether a label such as `A100 80GB` can hardly mean a gres type such as `a100`.
fn contradicts(label: &str, kind: &str) -> bool {
    // A slice of a GPU (`3g.40gb`) is not named after its model.
    if kind.contains("g.") {
        return false;
    }
    let plain = |text: &str| text.to_lowercase().replace(|c: char| !c.is_alphanumeric(), "");
    let (label, kind) = (plain(label), plain(kind));
    !label.contains(&kind) && !kind.contains(&label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_counts_are_told_apart() {
        let one = |kind, count| Ok(vec![GpuRequest { kind, count }]);
        assert_eq!(gpu_requests("gpu"), one(None, None));
        assert_eq!(gpu_requests("gpu:2"), one(None, Some(2)));
        assert_eq!(gpu_requests("gpu:a100"), one(Some("a100"), None));
        assert_eq!(gpu_requests("gpu:3g.40gb:1"), one(Some("3g.40gb"), Some(1)));
        assert_eq!(gpu_requests("nvme:1"), Ok(vec![]));
        assert_eq!(gpu_requests("gpu:a100:x"), Err("gpu:a100:x"));
        assert_eq!(gpu_requests("gpu::2"), Err("gpu::2"));
        assert_eq!(gpu_requests("nvme:1, gpu"), Err(" gpu"));
        assert_eq!(gpu_requests(""), Err(""));
    }
}
