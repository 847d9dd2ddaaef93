//! The lines of a terminal: each work, below it its parts on their way, and what all comes to.

use std::time::Duration;

use super::Size;
use super::board::{Board, Part, Work};
use super::rate::left;
use crate::report::{fitted, how_far, human_bytes};

/// The lines that say how things are, at most so many and so long as fit into a terminal. Its last line stays free, where what is typed
/// or said goes.
pub(super) fn lines(board: &Board, size: Size, now: Duration) -> Vec<String> {
    let most = size.rows.saturating_sub(1).max(1);
    // Of one thing there is nothing to sum up.
    let sum = (board.all > 1).then(|| sum(board, now));
    let room = most.saturating_sub(usize::from(sum.is_some()));
    let mut lines = Vec::new();
    let mut spare = room.saturating_sub(board.running.len());
    for work in board.running.values() {
        lines.push(whole(work, now));
        let below = below(work);
        // What is waited for comes first, and is not left out as long as there is room.
        let shown = below.len().min(spare);
        let hidden = below.len() - shown;
        let shown = shown.saturating_sub(usize::from(hidden > 0));
        spare = spare.saturating_sub(below.len());
        lines.extend(below.iter().take(shown).cloned());
        if hidden > 0 && (shown > 0 || spare > 0) {
            lines.push(format!("  and {} more", below.len() - shown));
        }
    }
    lines.truncate(room);
    lines.extend(sum);
    lines.iter().map(|line| fitted(line, size.columns)).collect()
}

/// `model org/name: 25% of 3.0 GB, 98.4 MB/s, 31 s left, converting layer 2 of 7`.
fn whole(work: &Work, now: Duration) -> String {
    let said = [amount(work, now), work.says.clone()];
    let said = said.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ");
    let colon = if said.is_empty() { "" } else { ": " };
    format!("{} {}{colon}{said}", work.kind, work.name)
}

/// How many bytes there are, how fast they come, and how long it will take.
pub(super) fn amount(work: &Work, now: Duration) -> String {
    let total = work.total.unwrap_or_default();
    let mut said = Vec::new();
    match how_far(work.bytes, total) {
        Some(how_far) => said.push(how_far),
        None if work.bytes > 0 => said.push(human_bytes(work.bytes)),
        None => {}
    }
    if let Some(rate) = work.rate.per_second(now).filter(|_| work.bytes < total || total == 0) {
        said.push(format!("{}/s", human_bytes(rate)));
        let left = (total > 0).then(|| left(total.saturating_sub(work.bytes), rate)).flatten();
        said.extend(left.map(|left| format!("{left} left")));
    }
    said.join(", ")
}

/// What is said below it.
fn below(work: &Work) -> Vec<String> {
    let waits = work.waits.iter().map(|waits| format!("  {waits}"));
    waits.chain(work.parts.iter().map(|(name, part)| self::part(name, part))).collect()
}

/// The number first: of a long name the end can be done without.
fn part(name: &str, part: &Part) -> String {
    let how_far = how_far(part.bytes, part.total).unwrap_or_default();
    format!("  {how_far:>15}  {name}")
}

/// `2 of 5 done, 98.4 MB/s`.
fn sum(board: &Board, now: Duration) -> String {
    let rate: u64 = board.running.values().filter_map(|work| work.rate.per_second(now)).sum();
    let rate = if rate > 0 { format!(", {}/s", human_bytes(rate)) } else { String::new() };
    format!("{} of {} done{rate}", board.ended, board.all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::News;

    const MB: u64 = 1_000_000;

    fn second(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A model of which one file is there and three are on their way.
    fn model() -> Work {
        let mut work = Work::new("model", "org/a", None, "", second(0));
        let mut take = |news, at| work.take(&news, second(at));
        take(News::Total(4_000 * MB), 0);
        for name in ["config.json", "model-1.safetensors", "model-2.safetensors", "model-3.safetensors"] {
            take(News::PartBegins { part: name.into(), total: 1_000 * MB, there: 0 }, 0);
        }
        take(News::PartReached { part: "model-2.safetensors".into(), bytes: 500 * MB, total: 1_000 * MB }, 5);
        take(News::PartEnds { part: "config.json".into(), total: 500 * MB }, 10);
        work
    }

    fn board(all: usize, works: Vec<Work>) -> Board {
        Board { all, ended: 0, running: works.into_iter().enumerate().collect() }
    }

    fn drawn(board: &Board, columns: usize, rows: usize) -> Vec<String> {
        lines(board, Size { columns, rows }, second(10))
    }

    #[test]
    fn of_one_thing_the_whole_and_each_part_on_its_way_are_shown() {
        let board = board(1, vec![model()]);
        let golden = [
            "model org/a: 25% of 4.0 GB, 100.0 MB/s, 31 s left",
            "     0% of 1.0 GB  model-1.safetensors",
            "    50% of 1.0 GB  model-2.safetensors",
            "     0% of 1.0 GB  model-3.safetensors",
        ];
        assert_eq!(drawn(&board, 80, 24), golden);
        assert_eq!(drawn(&board, 80, 5), golden);
        assert_eq!(drawn(&board, 80, 4), [golden[0], golden[1], "  and 2 more"]);
        assert_eq!(drawn(&board, 80, 2), golden[..1]);
        assert_eq!(drawn(&board, 80, 0), golden[..1]);
        assert_eq!(drawn(&board, 12, 24)[0], "model org/a");
    }

    #[test]
    fn of_several_things_there_is_a_sum_which_never_gives_way() {
        let idle = |name: &str| Work::new("image", name, None, "pulling q.io/b", second(9));
        let mut board = board(5, vec![model(), idle("b"), idle("c")]);
        board.ended = 2;
        let golden = [
            "model org/a: 25% of 4.0 GB, 100.0 MB/s, 31 s left",
            "     0% of 1.0 GB  model-1.safetensors",
            "    50% of 1.0 GB  model-2.safetensors",
            "     0% of 1.0 GB  model-3.safetensors",
            "image b: pulling q.io/b",
            "image c: pulling q.io/b",
            "2 of 5 done, 100.0 MB/s",
        ];
        assert_eq!(drawn(&board, 80, 24), golden);
        assert_eq!(
            drawn(&board, 80, 7),
            [golden[0], golden[1], "  and 2 more", golden[4], golden[5], golden[6]]
        );
        assert_eq!(drawn(&board, 80, 5), [golden[0], golden[4], golden[5], golden[6]]);
        assert_eq!(drawn(&board, 80, 3), [golden[0], golden[6]]);
        assert_eq!(drawn(&board, 80, 1), golden[6..]);
    }

    #[test]
    fn what_is_waited_for_is_shown_until_something_comes() {
        let mut work = model();
        work.take(&News::waiting(second(3), "q.io", "\x1b[2Jbusy (os error 16)"), second(10));
        let board = board(1, vec![work]);
        assert_eq!(drawn(&board, 80, 24)[1], "  waiting 3 s for q.io: [2Jbusy");
        assert_eq!(drawn(&board, 80, 4)[1..], ["  waiting 3 s for q.io: [2Jbusy", "  and 3 more"]);
    }

    #[test]
    fn no_name_moves_the_cursor_or_makes_a_line_longer_than_it_looks() {
        let mut work = Work::new("model", "a\r\n\x1b[9A\u{202e}b", Some(2), "", second(0));
        work.take(
            &News::PartBegins { part: "\u{6a21}\u{578b}\n.bin".into(), total: 10, there: 5 },
            second(0),
        );
        let board = board(1, vec![work]);
        assert_eq!(
            drawn(&board, 80, 24),
            ["model a[9Ab: 100% of 2 B", "      50% of 10 B  \u{6a21}\u{578b}.bin"]
        );
        // The last column stays free, and half of a wide character is none.
        assert_eq!(drawn(&board, 23, 24)[1], "      50% of 10 B  \u{6a21}");
    }

    #[test]
    fn of_what_has_no_length_bytes_are_shown_that_there_are() {
        let mut work = Work::new("engine", "llama_cpp", None, "installing", second(0));
        let of = |work: &Work| whole(work, second(10));
        assert_eq!(of(&work), "engine llama_cpp: installing");
        work.take(&News::Reached(5 * MB), second(1));
        work.take(&News::Reached(10 * MB), second(2));
        assert_eq!(whole(&work, second(2)), "engine llama_cpp: 10.0 MB, 5.0 MB/s, installing");
        let quiet = Work::new("model", "a", None, "", second(0));
        assert_eq!(of(&quiet), "model a");
    }
}
