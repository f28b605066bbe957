//! Who is at the other end of the server's socket, and what an agent there attests.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use prost::Message as _;
use ringfort_model::Selectors;
use ringfort_wire::{
    discovery::aggregated_discovery_service_server::AggregatedDiscoveryServiceServer,
    resource,
    v1::{self, admin_server::AdminServer, link_server::LinkServer},
};
use tonic::{
    Request, Status,
    body::Body,
    codegen::{BoxFuture, Service, http},
    server::NamedService,
    transport::server::UdsConnectInfo,
};

use crate::{admin::AdminService, ads::AdsService, link::LinkService};

/// Largest encoded selectors: two names, a path and a digest, with room.
const SELECTORS_BYTES_MAX: usize = 16 * 1024;

type Ads = AggregatedDiscoveryServiceServer<AdsService>;
type Link = LinkServer<LinkService>;
type Admin = AdminServer<AdminService>;

/// The services of the socket, for the server's own user and root alone.
#[derive(Debug, Clone)]
pub(crate) struct Guarded {
    pub(crate) uid: u32,
    /// The one process whose attestations are believed, when it is known; else any of the same user.
    pub(crate) agent: Option<u32>,
    pub(crate) ads: Ads,
    pub(crate) link: Link,
    pub(crate) admin: Admin,
}

impl Guarded {
    /// Whoever else reaches the socket is nobody here.
    fn check<T>(&self, request: &http::Request<T>) -> Result<(), Status> {
        let peer = request.extensions().get::<UdsConnectInfo>().and_then(|info| info.peer_cred);
        match peer {
            Some(peer) if admits(self.uid, peer.uid()) => Ok(()),
            Some(_) | None => {
                Err(Status::permission_denied("only the server's own user and root may ask here"))
            }
        }
    }
}

impl Guarded {
    /// Whether what the peer attests of others is believed. Programs of the same user reach the socket, too: their word
    /// about who they are must not make them so.
    fn check_agent<T>(&self, request: &http::Request<T>) -> Result<(), Status> {
        let Some(agent) = self.agent else { return Ok(()) };
        let peer = request.extensions().get::<UdsConnectInfo>().and_then(|info| info.peer_cred);
        let pid = peer.and_then(|peer| peer.pid()).and_then(|pid| u32::try_from(pid).ok());
        if pid == Some(agent) {
            return Ok(());
        }
        Err(Status::permission_denied("only this host's agent may ask on behalf of processes"))
    }
}

/// Whether a user may ask a server that runs as `own`.
const fn admits(own: u32, peer: u32) -> bool {
    peer == own || peer == 0
}

impl Service<http::Request<Body>> for Guarded {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<http::Response<Body>, Infallible>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The services are always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if let Err(status) = self.check(&request) {
            return Box::pin(std::future::ready(Ok(status.into_http())));
        }
        let path = request.uri().path().strip_prefix('/');
        let service = path.and_then(|path| path.split_once('/')).map(|(service, _method)| service);
        if service != Some(Admin::NAME)
            && let Err(status) = self.check_agent(&request)
        {
            return Box::pin(std::future::ready(Ok(status.into_http())));
        }
        match service {
            Some(Ads::NAME) => self.ads.call(request),
            Some(Link::NAME) => self.link.call(request),
            Some(Admin::NAME) => self.admin.call(request),
            Some(_) | None => {
                let unknown = Status::unimplemented("no such service");
                Box::pin(std::future::ready(Ok(unknown.into_http())))
            }
        }
    }
}

/// The facts an agent attested about the process it relays for.
pub(crate) fn selectors<T>(request: &Request<T>) -> Result<Selectors, Status> {
    let mut values = request.metadata().get_all_bin(resource::SELECTORS_METADATA).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Status::unauthenticated("the call carries no attestation"));
    };
    let malformed = || Status::invalid_argument("the attestation cannot be read");
    let bytes = value.to_bytes().map_err(|_not_base64| malformed())?;
    if bytes.len() > SELECTORS_BYTES_MAX {
        return Err(malformed());
    }
    let message = v1::Selectors::decode(bytes).map_err(|_not_a_message| malformed())?;
    Selectors::try_from(message).map_err(|_not_selectors| malformed())
}

/// The facts in one line, for the log of certificates.
pub(crate) fn evidence(selectors: &Selectors) -> String {
    let started = selectors.started_as.as_ref().map_or_else(String::new, |started| {
        format!(" started as {} ({:?})", started.workload, started.part)
    });
    format!(
        "pid {} uid {} gid {} exe {} sha256 {}{started}",
        selectors.pid, selectors.uid, selectors.gid, selectors.exe, selectors.exe_sha256
    )
}

#[cfg(test)]
mod tests;
