//! The control link of proxies and agents: certificates and reports.

use std::{collections::BTreeMap, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use ringfort_identity::IssuedCertificate;
use ringfort_model::{
    Digest, Revision, WallTime,
    selectors::Part,
    snapshot::{ListenerTls, Role},
};
use ringfort_store::IssuancePurpose;
use ringfort_wire::v1::{self, link_server::Link};
use tokio::sync::mpsc;
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use crate::{
    authority::{IssueCertificateError, Why, renew_at},
    issue::IssueVerdict,
    peer,
    registry::{Joining, Report, StreamId},
    server::Server,
    subscription::shortened,
};

/// Longest instance id: two names and `@`.
const INSTANCE_BYTES_MAX: usize = 256;

/// Most labels of an instance.
const LABELS_MAX: usize = 32;

/// How long a report stream may be silent; proxies report every 10 s.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// Answers on their way to one proxy.
const ANSWERS: usize = 4;

/// The service.
#[derive(Debug, Clone)]
pub(crate) struct LinkService {
    pub(crate) server: Arc<Server>,
}

type ReportStream =
    Pin<Box<dyn Stream<Item = Result<v1::ReportResponse, Status>> + Send + 'static>>;

#[tonic::async_trait]
impl Link for LinkService {
    type ReportStream = ReportStream;

    async fn sign(
        &self,
        request: Request<v1::SignRequest>,
    ) -> Result<Response<v1::SignResponse>, Status> {
        let selectors = peer::selectors(&request)?;
        let world = self.server.world();
        let verdict = self.server.identify(&world, &selectors)?;
        let request = request.into_inner();
        let (Some(authority), Some(trust)) = (self.server.authority(), world.trust.clone()) else {
            return Err(Status::unavailable("no fleet is in force yet"));
        };
        let purpose =
            if request.for_foreign { IssuancePurpose::Foreign } else { IssuancePurpose::Workload };
        let why = Why { purpose, evidence: peer::evidence(&selectors) };
        let issued = self.server.keys.issue_svid(&authority, &request.csr_der, &verdict, why).await;
        let issued = issued.map_err(|error| refused(&error))?;
        Ok(Response::new(v1::SignResponse {
            spiffe_id: verdict.id.to_string(),
            not_before_ms: millis(issued.not_before),
            not_after_ms: millis(issued.not_after),
            renew_at_ms: millis(renew_at(&issued, &verdict)),
            chain_der: chain(issued),
            trust: Some(trust.message.clone()),
            workload: verdict.workload.to_string(),
        }))
    }

    async fn report(
        &self,
        request: Request<Streaming<v1::ReportRequest>>,
    ) -> Result<Response<ReportStream>, Status> {
        let selectors = peer::selectors(&request)?;
        if selectors.started_as.as_ref().is_some_and(|started| started.part == Part::Program) {
            return Err(Status::permission_denied(
                "instances are told by proxies, not by programs",
            ));
        }
        let verdict = self.server.identify(&self.server.world(), &selectors)?;
        let (answers, receiver) = mpsc::channel(ANSWERS);
        let listener = Reports {
            server: Arc::clone(&self.server),
            verdict,
            stream: self.server.next_stream(),
        };
        let incoming = request.into_inner();
        self.server.tracker.spawn(async move { listener.run(incoming, answers).await });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn public_certificate(
        &self,
        request: Request<v1::PublicCertificateRequest>,
    ) -> Result<Response<v1::PublicCertificateResponse>, Status> {
        let selectors = peer::selectors(&request)?;
        let world = self.server.world();
        let verdict = self.server.identify(&world, &selectors)?;
        let request = request.into_inner();
        let class = world.in_force.as_ref().and_then(|in_force| in_force.classes.get(&verdict.id));
        let role = class.map(|class| &class.content.snapshot.role);
        let own = role.map(internal_hosts).unwrap_or_default();
        if request.hosts.is_empty() || !request.hosts.iter().all(|host| own.contains(host)) {
            return Err(Status::permission_denied(
                "only hosts of the gateway's own `tls: internal` listeners are certified",
            ));
        }
        let Some(authority) = self.server.authority() else {
            return Err(Status::unavailable("no fleet is in force yet"));
        };
        let why = Why { purpose: IssuancePurpose::Public, evidence: peer::evidence(&selectors) };
        let keys = &self.server.keys;
        let issued =
            keys.issue_public(&authority, &request.csr_der, &request.hosts, &verdict, why).await;
        let issued = issued.map_err(|error| refused(&error))?;
        Ok(Response::new(v1::PublicCertificateResponse {
            not_before_ms: millis(issued.not_before),
            not_after_ms: millis(issued.not_after),
            renew_at_ms: millis(renew_at(&issued, &verdict)),
            chain_der: chain(issued),
        }))
    }
}

/// The hosts a role may show with a certificate of the fleet's own authority.
fn internal_hosts(role: &Role) -> Vec<String> {
    match role {
        Role::Sidecar(_) => Vec::new(),
        Role::Gateway(gateway) => gateway
            .listeners
            .iter()
            .filter(|listener| matches!(listener.tls, Some(ListenerTls::Internal { .. })))
            .flat_map(|listener| listener.hosts.clone())
            .collect(),
    }
}

fn refused(error: &IssueCertificateError) -> Status {
    match error {
        IssueCertificateError::Request(source) => Status::invalid_argument(source.to_string()),
        IssueCertificateError::Sign(source) => {
            tracing::error!(%source, "cannot sign");
            Status::failed_precondition(source.to_string())
        }
        IssueCertificateError::Record(source) => {
            tracing::error!(error = %source, "cannot record an issuance");
            Status::unavailable("the issuance cannot be recorded")
        }
    }
}

fn chain(issued: IssuedCertificate) -> Vec<bytes::Bytes> {
    issued.chain_der.into_iter().map(Into::into).collect()
}

/// Milliseconds since the epoch, capped at the largest.
pub(crate) fn millis(time: WallTime) -> u64 {
    u64::try_from(time.since_unix().as_millis()).unwrap_or(u64::MAX)
}

/// One stream of reports.
struct Reports {
    server: Arc<Server>,
    verdict: IssueVerdict,
    stream: StreamId,
}

impl Reports {
    async fn run(
        self,
        mut incoming: Streaming<v1::ReportRequest>,
        answers: mpsc::Sender<Result<v1::ReportResponse, Status>>,
    ) {
        let mut instance: Option<String> = None;
        loop {
            let message = tokio::select! {
                // Nothing is lost: the stream ends with the server.
                () = self.server.shutdown.cancelled() => break,
                // A message half read when the time is over belongs to a stream that ends anyway.
                message = tokio::time::timeout(SILENCE_MAX, incoming.message()) => message,
            };
            let Ok(Ok(Some(report))) = message else { break };
            let answer = self.hear(&mut instance, report).await;
            let is_refusal = answer.is_err();
            if answers.send(answer).await.is_err() || is_refusal {
                break;
            }
        }
        if let Some(id) = instance {
            self.server.lose(&id, self.stream);
        }
    }

    async fn hear(
        &self,
        instance: &mut Option<String>,
        report: v1::ReportRequest,
    ) -> Result<v1::ReportResponse, Status> {
        let id = self.checked_instance(instance.as_deref(), &report.instance)?;
        let joining = self.joining(report)?;
        *instance = Some(id.clone());
        match self.server.hear(&id, joining).await {
            Ok((registered, others)) => Ok(v1::ReportResponse { registered, others }),
            Err(error) => {
                tracing::error!(%error, instance = id, "cannot write down an instance");
                Err(Status::unavailable("the registration cannot be written down"))
            }
        }
    }

    /// An instance is `NAME@HOST` of the attested workload, and one stream is one instance.
    fn checked_instance(&self, known: Option<&str>, id: &str) -> Result<String, Status> {
        let own = self.verdict.workload.as_str();
        let host = id.strip_prefix(own).and_then(|rest| rest.strip_prefix('@'));
        let is_good =
            host.is_some_and(|host| !host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic()));
        if !is_good || id.len() > INSTANCE_BYTES_MAX || known.is_some_and(|known| known != id) {
            return Err(Status::invalid_argument(format!("the instance is not `{own}@HOST`")));
        }
        Ok(id.to_owned())
    }

    fn joining(&self, report: v1::ReportRequest) -> Result<Joining, Status> {
        let address = match report.address.as_str() {
            "" => None,
            text => Some(serving_address(text)?),
        };
        let labels_fit = report.labels.len() <= LABELS_MAX
            && report.labels.iter().all(|(key, value)| key.len() + value.len() <= 256);
        if !labels_fit {
            return Err(Status::invalid_argument("the labels are too many or too long"));
        }
        Ok(Joining {
            stream: self.stream,
            workload: self.verdict.workload.clone(),
            class: self.verdict.id.clone(),
            address,
            labels: BTreeMap::clone(&report.labels),
            draining: report.draining,
            report: Report {
                revision: Revision::new(report.revision),
                digest: <[u8; 32]>::try_from(report.digest.as_ref()).ok().map(Digest::new),
                certificate_not_after: WallTime::from_unix(Duration::from_millis(
                    report.certificate_not_after_ms,
                )),
                state: shortened(&report.state),
                nack: shortened(&report.nack),
                heard_at: self.server.keys.clock.now(),
            },
        })
    }
}

fn serving_address(text: &str) -> Result<SocketAddr, Status> {
    let address: Option<SocketAddr> = text.parse().ok();
    address
        .filter(|address| address.port() != 0 && !address.ip().is_unspecified())
        .ok_or_else(|| Status::invalid_argument("the address is not one callers can reach"))
}
