//! `scontrol show config`: what of it matters to us.

/// Whether other people's jobs are hidden from `user`: `PrivateData` names `jobs` or `all`, and he is not the one Slurm runs as.
/// Operators and administrators of the accounting see all too, which the configuration does not say.
pub(super) fn hides_jobs(output: &str, user: &str) -> bool {
    let value = |key: &str| {
        let mut pairs = output.lines().filter_map(|line| line.split_once('='));
        pairs.find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim())
    };
    let is_slurm = value("SlurmUser").and_then(|value| value.split('(').next()) == Some(user);
    let private = value("PrivateData").unwrap_or_default();
    !is_slurm && private.split(',').any(|kind| matches!(kind.trim(), "jobs" | "all"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_jobs_are_hidden_from_all_but_slurm() {
        let config = |private: &str| {
            format!(
                "Configuration data as of 2026\nPrivateData             = {private}\nSlurmUser               = slurm(64030)\n"
            )
        };
        for (private, hidden) in
            [("none", false), ("accounts,jobs", true), ("all", true), ("jobs", true), ("nodes", false)]
        {
            assert_eq!(hides_jobs(&config(private), "blackfish"), hidden, "{private}");
            assert!(!hides_jobs(&config(private), "slurm"));
        }
        assert!(!hides_jobs("", "blackfish"));
    }
}
