//! Random stacks of layers with few names, so that everything meets everything: the result is that of the plain way.

use proptest::prelude::*;

use super::oracle::{Deed, No, Oracle, write};
use super::*;

fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof!["a", "b", "c"], 1..4).prop_map(|parts| parts.join("/"))
}

fn target() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => path(),
        2 => path().prop_map(|path| format!("/{path}")),
        2 => path().prop_map(|path| format!("../{path}")),
        1 => Just(".".to_owned()),
        1 => Just("/".to_owned()),
        1 => path().prop_map(|path| format!("{path}/..")),
        1 => path().prop_map(|path| format!("../../../{path}/./")),
    ]
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        3 => (path(), prop_oneof![Just(0o700_u16), Just(0o2775), Just(0o1777)]).prop_map(|(path, mode)| Deed::Folder(path, mode)),
        6 => path().prop_map(Deed::File),
        3 => (path(), target()).prop_map(|(path, target)| Deed::Symlink(path, target)),
        2 => (path(), path()).prop_map(|(path, target)| Deed::Hard(path, target)),
        1 => path().prop_map(Deed::Fifo),
        2 => path().prop_map(Deed::Gone),
        1 => prop_oneof![path(), Just(String::new())].prop_map(Deed::Opaque),
    ]
}

fn stack() -> impl Strategy<Value = Vec<Vec<Deed>>> {
    proptest::collection::vec(proptest::collection::vec(deed(), 0..8), 1..6)
}

fn content(layer: usize, number: usize) -> String {
    format!("{layer}.{number}")
}

/// The stack without the deeds that cannot be done, and what comes of it.
fn possible(stack: Vec<Vec<Deed>>) -> (Vec<Vec<Deed>>, Oracle) {
    let mut oracle = Oracle::default();
    let mut done = Vec::new();
    for (layer, deeds) in stack.into_iter().enumerate() {
        oracle.next_layer();
        let mut kept = Vec::new();
        for deed in deeds {
            let mut tried = oracle.clone();
            if tried.act(&deed, &content(layer, kept.len())).is_ok() {
                oracle = tried;
                kept.push(deed);
            }
        }
        done.push(kept);
    }
    (done, oracle)
}

fn tars(stack: &[Vec<Deed>]) -> Vec<Vec<u8>> {
    let tar = |(layer, deeds): (usize, &Vec<Deed>)| {
        let entries = deeds.iter().enumerate();
        entries.fold(Tar::new(), |tar, (number, deed)| write(tar, deed, &content(layer, number))).end()
    };
    stack.iter().enumerate().map(tar).collect()
}

/// Every folder on the way to an entry has an entry before it, as in the layers of builders; links are left out.
fn orderly(stack: Vec<Vec<Deed>>) -> Vec<Vec<Deed>> {
    let layer = |deeds: Vec<Deed>| {
        let mut done: Vec<Deed> = Vec::new();
        let mut known = std::collections::BTreeSet::new();
        for deed in deeds {
            let path = match &deed {
                Deed::Folder(path, _) | Deed::File(path) | Deed::Fifo(path) | Deed::Gone(path) => {
                    path.clone()
                }
                Deed::Opaque(path) => format!("{path}/x"),
                Deed::Symlink(..) | Deed::Hard(..) => continue,
            };
            // One deed for each path, and nothing below what is no folder.
            let mut folders: Vec<String> = path
                .match_indices('/')
                .filter(|(at, _)| *at > 0)
                .map(|(at, _)| path[..at].to_owned())
                .collect();
            if known.contains(&path) || folders.iter().any(|folder| known.contains(&format!("!{folder}"))) {
                continue;
            }
            folders.retain(|folder| known.insert(folder.clone()));
            done.extend(folders.into_iter().map(|folder| Deed::Folder(folder, 0o750)));
            if !matches!(deed, Deed::Folder(..)) {
                known.insert(format!("!{path}"));
            }
            known.insert(path);
            done.push(deed);
        }
        done
    };
    stack.into_iter().map(layer).collect()
}

fn config() -> ProptestConfig {
    // PROPTEST_CASES has the say where it is set.
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 400;
    }
    config
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_result_is_that_of_the_layers_one_after_the_other(stack in stack()) {
        let (stack, oracle) = possible(stack);
        let (merged, memory) = merge(tars(&stack)).unwrap();
        prop_assert_eq!(lines_of(&listing(&merged, &memory)), lines_of(&oracle.listing()), "{:#?}", stack);
        let passed = merged.files.files + merged.in_vain.files;
        prop_assert_eq!(passed, memory.files.len() as u64);
        let files = stack.iter().flatten().filter(|deed| matches!(deed, Deed::File(_))).count();
        prop_assert_eq!(passed + merged.hidden.files, files as u64);
    }

    #[test]
    fn what_cannot_be_done_is_said(stack in stack()) {
        let mut oracle = Oracle::default();
        let mut no = None;
        'all: for (layer, deeds) in stack.iter().enumerate() {
            oracle.next_layer();
            for (number, deed) in deeds.iter().enumerate() {
                if let Err(why) = oracle.act(deed, &content(layer, number)) {
                    no = Some((format!("layer{layer}"), why));
                    break 'all;
                }
            }
        }
        match (merge(tars(&stack)), no) {
            (Ok((merged, memory)), None) => {
                prop_assert_eq!(lines_of(&listing(&merged, &memory)), lines_of(&oracle.listing()));
            }
            (Err(LayerError::Entry { layer, fault, .. }), Some((expected, why))) => {
                let found = match fault {
                    EntryFault::Loop => No::Loop,
                    EntryFault::Missing { .. } => No::Missing,
                    EntryFault::Folder { .. } => No::Folder,
                    other => panic!("{other}"),
                };
                prop_assert_eq!((layer, found), (expected, why), "{:#?}", stack);
            }
            (found, expected) => panic!("{:?} is not {expected:?}: {stack:#?}", found.map(|_| ())),
        }
    }

    #[test]
    fn of_orderly_layers_each_is_read_once_and_nothing_is_passed_in_vain(stack in stack()) {
        let stack = orderly(stack);
        let (possible, oracle) = possible(stack.clone());
        prop_assert_eq!(&possible, &stack);
        let (merged, memory) = merge(tars(&stack)).unwrap();
        prop_assert_eq!(lines_of(&listing(&merged, &memory)), lines_of(&oracle.listing()), "{:#?}", stack);
        prop_assert_eq!((merged.again, merged.in_vain.files), (0, 0), "{:#?}", stack);
    }
}
