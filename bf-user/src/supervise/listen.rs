//! The port of a service: where it listens, and how others learn of it.

use std::net::IpAddr;

use bf_core::report::{Exit, Explain, Failure};
use bf_core::site::Ports;
use tokio::net::TcpListener;

use super::slurm;
use crate::job::{Endpoint, Job, JobDir, SCHEMA};

/// Binds the port that the job asks for, or a free one, of the site's range if it has one.
pub(super) async fn bind(job: &Job) -> Result<TcpListener, Failure> {
    let address: IpAddr = job.network.address.parse().map_err(|_| {
        Failure::new(
            Exit::Invalid,
            "address_invalid",
            format!("{} is not an IP address", job.network.address),
        )
    })?;
    let cannot = |port: u16, error: &std::io::Error| {
        let message = format!("cannot listen at {address} port {port}: {error}");
        Failure::new(error.exit(), "cannot_listen", message)
    };
    let in_use = |what: String| {
        let message = format!("{what} in use on {}", bf_core::host::name());
        Failure::new(Exit::Failed, "port_in_use", message)
    };
    let ports = match job.network.ports {
        Some(ports) if job.network.port == 0 => ports,
        _ => Ports { first: job.network.port, last: job.network.port },
    };
    // From somewhere in the range: services that start at once on one node do not all try the same ones.
    let length = u32::from(ports.last - ports.first) + 1;
    let start = std::process::id() % length;
    for step in 0..length {
        let port = u16::try_from((start + step) % length).unwrap_or_default() + ports.first;
        match TcpListener::bind((address, port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(cannot(port, &error)),
        }
    }
    Err(if job.network.port != 0 || job.network.ports.is_none() {
        in_use(format!("port {} is", ports.first)).with_hint("leave out --port: a free one is found")
    } else {
        in_use(format!("all ports of this site, {ports} (`network.ports`), are"))
            .with_hint("try again: the service may come to another node")
    })
}

pub(super) fn publish(dir: &JobDir, job: &Job, addresses: &[IpAddr], port: u16) -> Result<(), Failure> {
    let endpoint = Endpoint {
        schema: SCHEMA,
        service: job.service.clone(),
        attempt: 1,
        slurm_job: slurm::own_job().map(|job| job.to_string()),
        host: bf_core::host::name(),
        addresses: addresses.iter().map(ToString::to_string).collect(),
        port,
        scheme: "http".into(),
        models: vec![job.model.repo.clone()],
        written_at: bf_core::host::now(),
    };
    Ok(dir.write("endpoint.json", &endpoint)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_free_port_of_the_sites_range_is_taken() {
        let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = held.local_addr().unwrap().port();
        let mut job = Job::example();
        job.network.ports = Some(Ports { first: taken, last: taken });
        let failure = bind(&job).await.unwrap_err();
        assert_eq!(failure.code, "port_in_use");
        assert!(failure.message.contains("network.ports"), "{failure}");
        // Some other one of these hundred is free.
        let first = taken.clamp(1024, 65_000) - 50;
        let range = Ports { first, last: first + 100 };
        job.network.ports = Some(range);
        let listener = bind(&job).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(range.contains(port) && port != taken, "{port}");
        job.network.port = taken;
        let failure = bind(&job).await.unwrap_err();
        assert!(failure.message.contains(&format!("port {taken} is in use")), "{failure}");
    }
}
