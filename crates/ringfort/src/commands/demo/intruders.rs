//! The tour's intruders: certificates that look right and must be refused all the same.
//!
//! The expired one is genuine: before the shop opens, its own server runs once with a clock two days behind and issues
//! a certificate of an hour, which the fleet's authority vouches for to this day.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use prost::Message;
use ringfort_control::ServerOptions;
use ringfort_fleet::FleetFile;
use ringfort_identity::{
    CertificateAuthority, CreateAuthority, KeyPair, RequestedKey, SignLeafOptions, Svid,
    SystemRandom,
};
use ringfort_model::{
    Digest, Name, Selectors, SpiffeId, TrustDomain, WallClock, WallTime,
    selectors::{Part, StartedAs},
    spiffe::WorkloadKind,
};
use ringfort_wire::{
    resource::SELECTORS_METADATA,
    v1::{self, link_client::LinkClient},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, metadata::MetadataValue, transport::Endpoint};

use crate::{
    admin,
    clock::SystemClock,
    commands::apply::{self, ApplyOutcome},
    folders::Places,
    host,
};

/// How far behind the clock of the first server is: longer than any certificate lives.
const BEHIND: Duration = Duration::from_hours(48);
/// How long that server may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// Certificates of the tour.
pub(super) struct Intruders {
    /// Names `orders`, by an authority of the intruder's own.
    pub(super) forged: Svid,
    /// Names `orders`, by the fleet's authority, out of date.
    pub(super) expired: Svid,
}

/// A wall clock two days behind.
#[derive(Debug)]
struct Behind;

impl WallClock for Behind {
    fn now(&self) -> WallTime {
        SystemClock.now().minus(BEHIND)
    }
}

/// Makes both certificates; the fleet's server runs for a moment.
///
/// # Errors
/// Says which step failed.
pub(super) async fn prepare(
    places: &Places,
    files: &[FleetFile],
    domain: &TrustDomain,
) -> anyhow::Result<Intruders> {
    let orders: Name = "orders".parse()?;
    let forged = forge(domain, &SpiffeId::of(domain, WorkloadKind::Service, &orders))
        .context("cannot forge")?;
    let (shutdown, tracker) = (CancellationToken::new(), TaskTracker::new());
    let server = tracker.spawn(ringfort_control::run(ServerOptions {
        socket: places.server_socket(),
        database: places.state.join("server.db"),
        sealing_key: places.state.join("server.key"),
        host: host::host_name()?,
        agent: Some(std::process::id()),
        clock: Arc::new(Behind),
        shutdown: shutdown.clone(),
    }));
    let expired = tokio::time::timeout(ANSWER_MAX, early(places, files, orders)).await;
    shutdown.cancel();
    server.await?.context("the early server failed")?;
    let expired = expired.context("the early server does not answer")??;
    Ok(Intruders { forged, expired })
}

fn forge(domain: &TrustDomain, id: &SpiffeId) -> anyhow::Result<Svid> {
    let now = SystemClock.now();
    let options = CreateAuthority {
        trust_domain: domain.clone(),
        root_key: KeyPair::generate()?,
        issuing_key: KeyPair::generate()?,
        now,
    };
    let authority = CertificateAuthority::create(options, &mut SystemRandom)?;
    let key = KeyPair::generate()?;
    let requested = RequestedKey::from_csr(&key.csr_der()?)?;
    let options = SignLeafOptions { key: &requested, id, now, ttl: Duration::from_hours(1) };
    let issued = authority.sign_leaf(options, &mut SystemRandom)?;
    Ok(Svid::new(issued.chain_der, key)?)
}

/// Applies the fleet to the early server and has it issue a certificate, as an agent would.
async fn early(places: &Places, files: &[FleetFile], workload: Name) -> anyhow::Result<Svid> {
    let socket = places.server_socket();
    let mut operator = loop {
        match admin::server(&socket).await {
            Ok(client) => break client,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    if let ApplyOutcome::Rejected(problems) =
        apply::send(&mut operator, files.to_vec(), "demo", None).await?
    {
        anyhow::bail!("{problems}");
    }
    Ok(sign(&socket, workload).await?.svid)
}

/// A certificate as the server issues it, with the roots that vouch for it.
pub(super) struct Signed {
    pub(super) svid: Svid,
    pub(super) roots_der: Vec<Vec<u8>>,
}

/// Has the server issue a certificate for a workload's proxy, as an agent would: this process has the server's own
/// user, so its word about who asks is taken.
///
/// # Errors
/// Fails when the server cannot be asked or refuses.
pub(super) async fn sign(socket: &Path, workload: Name) -> anyhow::Result<Signed> {
    let key = KeyPair::generate()?;
    let selectors = Selectors {
        pid: std::process::id(),
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        unix_user: None,
        unix_group: None,
        exe: String::new(),
        exe_sha256: Digest::new([0; 32]),
        started_as: Some(StartedAs { workload, part: Part::Proxy }),
    };
    let mut request =
        Request::new(v1::SignRequest { csr_der: key.csr_der()?.into(), for_foreign: false });
    let facts = MetadataValue::from_bytes(&v1::Selectors::from(&selectors).encode_to_vec());
    request.metadata_mut().insert_bin(SELECTORS_METADATA, facts);
    let channel = Endpoint::from_shared(format!("unix://{}", socket.display()))?.connect().await?;
    let signed = LinkClient::new(channel).sign(request).await;
    let signed = signed.map_err(|status| anyhow::anyhow!("{}", status.message()))?.into_inner();
    let trust = signed.trust.context("the server sent no trust bundle")?;
    let svid = Svid::new(signed.chain_der.into_iter().map(Into::into).collect(), key)?;
    Ok(Signed { svid, roots_der: trust.root_der.into_iter().map(Into::into).collect() })
}
