//! What the site asks of every service: the rules of the cache's site.yaml, as they bear on one wish. A refusal names its rule.

use bf_core::report::{Exit, Failure};
use bf_core::site::{GpuRequest, SiteRules};
use bf_core::slurm::Directive;

use super::Wish;
use crate::job::{Network, Runtime, Scheduler, SlurmOptions};

/// Refuses what the site does not let anybody do.
pub(super) fn check(rules: &SiteRules, wish: &Wish) -> Result<(), Failure> {
    if wish.scheduler == Scheduler::Local && !rules.policy.allow_local {
        let message = "this site runs services by Slurm only (`policy.allow_local` of its site.yaml)";
        return Err(Failure::new(Exit::Permission, "local_not_allowed", message)
            .with_hint("use --scheduler slurm, on a machine that has sbatch"));
    }
    if wish.scheduler == Scheduler::Slurm && rules.slurm.account_required && wish.account.is_none() {
        let message = "this site must be told who is charged (`slurm.account_required` of its site.yaml)";
        return Err(Failure::new(Exit::Usage, "account_required", message)
            .with_hint("name an account with --account, or set SBATCH_ACCOUNT"));
    }
    if let Some(ports) = rules.network.ports.filter(|ports| wish.port != 0 && !ports.contains(wish.port)) {
        let message = format!("port {} is not one of this site's, {ports} (`network.ports`)", wish.port);
        return Err(Failure::new(Exit::Usage, "port_not_allowed", message)
            .with_hint("leave out --port: a free one is found"));
    }
    Ok(())
}

/// Refuses one service more than a user may have.
pub(crate) fn check_number(rules: &SiteRules, live: usize) -> Result<(), Failure> {
    let Some(most) = rules.policy.max_services else { return Ok(()) };
    if u32::try_from(live).is_ok_and(|live| live < most) {
        return Ok(());
    }
    let message = format!(
        "you have {live} services, and this site allows {most} (`policy.max_services` of its site.yaml)"
    );
    Err(Failure::new(Exit::Busy, "too_many_services", message)
        .with_hint("stop one first: `bf-user ls` lists them"))
}

/// Seconds without a request after which the service stops.
pub(super) fn idle_timeout(rules: &SiteRules, wish: &Wish) -> Result<Option<u64>, Failure> {
    let policy = &rules.policy;
    match (wish.idle_timeout, policy.max_idle_timeout) {
        (Some(asked), Some(max)) if asked > max => {
            let message = format!(
                "{asked} seconds without a request are more than this site allows: {max} \
                 (`policy.max_idle_timeout` of its site.yaml)"
            );
            Err(Failure::new(Exit::Usage, "idle_timeout_too_long", message)
                .with_hint(format!("ask for --idle-timeout {max}s or less")))
        }
        (asked, max) => Ok(asked.or(policy.idle_timeout).or(max)),
    }
}

/// Where the service listens.
pub(super) fn network(rules: &SiteRules, wish: &Wish) -> Network {
    // A job of Slurm must be reached from other nodes. What it answers for asks for the key.
    let address = match wish.scheduler {
        Scheduler::Local => "127.0.0.1",
        Scheduler::Slurm => "0.0.0.0",
    };
    Network {
        address: address.into(),
        port: wish.port,
        ports: rules.network.ports,
        interface: rules.network.interface.clone(),
    }
}

/// How its engine is run.
pub(super) fn runtime(rules: &SiteRules) -> Runtime {
    let runtime = &rules.runtime;
    Runtime {
        apptainer: runtime.apptainer.clone(),
        gpu_flag: runtime.gpu_flag,
        binds: runtime.binds.clone(),
        env: runtime.env.clone(),
    }
}

/// What Slurm is asked for, as this site wants to be asked.
pub(super) fn slurm(rules: &SiteRules, options: SlurmOptions) -> SlurmOptions {
    let (gres, gpus_per_node) = match (rules.slurm.gpu_request, options.gres) {
        (GpuRequest::Gpus, Some(gres)) => split(&gres),
        (_, gres) => (gres, None),
    };
    SlurmOptions {
        gres,
        gpus_per_node,
        memory: rules.slurm.memory,
        directives: rules.slurm.directives.iter().map(Directive::argument).collect(),
        modules: rules.runtime.modules.clone(),
        ..options
    }
}

/// The GPUs of a `--gres`, as `--gpus-per-node` has them, and the rest of it.
fn split(gres: &str) -> (Option<String>, Option<String>) {
    let (gpus, rest): (Vec<&str>, Vec<&str>) =
        gres.split(',').partition(|item| *item == "gpu" || item.starts_with("gpu:"));
    let joined = |items: Vec<&str>| (!items.is_empty()).then(|| items.join(","));
    let gpus = gpus.into_iter().map(|item| item.strip_prefix("gpu:").unwrap_or("1")).collect();
    (joined(rest), joined(gpus))
}

#[cfg(test)]
mod tests;
