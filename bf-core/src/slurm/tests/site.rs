//! Partitions and nodes.

use super::replay::Captured;
use crate::slurm::{Gres, PartitionState};

#[test]
fn partitions_are_read() {
    for captured in Captured::all() {
        let replay = captured.replay("partitions");
        let partitions = replay.slurm().unwrap().partitions().unwrap();
        replay.was_asked();
        let names: Vec<&str> = partitions.iter().map(|partition| partition.name.as_str()).collect();
        // Not `staff`: alice may not use it, so she does not see it.
        assert_eq!(
            names,
            [
                "cpu", "gpu", "endless", "spare", "urgent", "closed", "draining", "asleep", "lab", "special",
                "tiny"
            ]
        );
        let by_name = |name: &str| partitions.iter().find(|partition| partition.name == name).unwrap();
        let cpu = by_name("cpu");
        assert_eq!((cpu.is_default, cpu.state), (true, PartitionState::Up));
        assert_eq!((cpu.max_time, cpu.default_time), (Some(180), Some(30)));
        assert_eq!((cpu.nodes.as_deref(), cpu.node_count), (Some("node[1-2]"), 2));
        assert_eq!((by_name("gpu").max_time, by_name("gpu").default_time), (Some(2880), None));
        assert_eq!(by_name("endless").max_time, None);
        assert_eq!(by_name("closed").state, PartitionState::Down);
        assert_eq!(by_name("draining").state, PartitionState::Drain);
        assert_eq!(by_name("asleep").state, PartitionState::Inactive);
        assert_eq!(partitions.iter().filter(|partition| partition.is_default).count(), 1);
    }
}

#[test]
fn nodes_are_read() {
    for captured in Captured::all() {
        let replay = captured.replay("nodes");
        let nodes = replay.slurm().unwrap().nodes().unwrap();
        replay.was_asked();
        assert_eq!(nodes.len(), 12, "{}", captured.version);
        let first = nodes.iter().find(|node| node.name == "node1" && node.partition == "gpu").unwrap();
        assert_eq!((first.state.as_str(), first.flags.as_str()), ("mixed", ""));
        assert_eq!((first.cpus, first.memory_mib), (16, 8000));
        assert_eq!(first.features, ["gpu80", "fast"]);
        assert_eq!(
            first.gres,
            [
                Gres { name: "gpu".into(), kind: Some("a100".into()), count: 2 },
                Gres { name: "scratch".into(), kind: None, count: 4096 },
            ]
        );
        let second = nodes.iter().find(|node| node.name == "node2").unwrap();
        assert_eq!(second.partition, "cpu");
        assert_eq!((second.state.as_str(), second.flags.as_str()), ("unknown", "*"));
        assert_eq!(second.gres, [Gres { name: "gpu".into(), kind: None, count: 2 }]);
        let nodes = captured.replay("nodes-down").slurm().unwrap().nodes().unwrap();
        assert!(nodes.iter().filter(|node| node.name == "node1").all(|node| node.state == "drained"));
    }
}
