//! What the guided tour needs of a running host: TLS connections as visitor and as intruder, edits, kills, renewals.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use ringfort_agent::{Supervisor, supervise::Role};
use ringfort_demo::{
    ShopPorts,
    tour::{self, Edit, Intruder},
};
use ringfort_identity::{
    OutboundOptions, Refusals, StrangerOptions, Svid, Tls, TrustBundle, VisitorOptions,
    workload_server_name,
};
use ringfort_model::{DecisionId, SpiffeId, TrustDomain, spiffe::WorkloadKind};
use ringfort_wire::v1::{RenewRequest, StatusRequest};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::intruders::{self, Intruders};
use crate::{admin, clock::SystemClock, commands::explain, folders::Places, host::Host};

/// How long a killed server may take to answer again.
const SERVER_BACK_MAX: Duration = Duration::from_secs(10);

/// What the tour's edit adds to shop.cedar.
const PERMIT_REFUND: &str = r#"
@id("orders-refunds")
permit (
  principal == Workload::"orders",
  action == Action::"call",
  resource == Service::"payments"
) when {
  context has http && context.http.method == "POST" && context.http.path == "/refunds"
};
"#;

/// A visitor of the demo, and on the tour also an intruder.
pub(super) struct Visitor {
    supervisor: Supervisor,
    places: Places,
    policies: PathBuf,
    ports: ShopPorts,
    tls: Tls,
    web: Svid,
    roots_der: Vec<Vec<u8>>,
    bundle: Arc<TrustBundle>,
    intruders: Option<Intruders>,
}

impl Visitor {
    /// # Errors
    /// Fails when the server issues no certificate.
    pub(super) async fn new(
        host: &Host,
        folder: &Path,
        ports: ShopPorts,
        intruders: Option<Intruders>,
    ) -> anyhow::Result<Self> {
        let places = host.places().clone();
        let signed = intruders::sign(&places.server_socket(), "web".parse()?).await?;
        let domain: TrustDomain = signed.svid.id().trust_domain().parse()?;
        Ok(Self {
            supervisor: host.supervisor(),
            places,
            policies: folder.join("shop.cedar"),
            ports,
            tls: Tls::new(Arc::new(SystemClock)),
            bundle: Arc::new(TrustBundle::new(domain, signed.roots_der.clone())?),
            web: signed.svid,
            roots_der: signed.roots_der,
            intruders,
        })
    }

    pub(super) const fn has_intruders(&self) -> bool {
        self.intruders.is_some()
    }

    /// Opens the front page.
    ///
    /// # Errors
    /// Fails when it is not served.
    pub(super) async fn first_request(&self) -> anyhow::Result<()> {
        let seen = tour::first_request(self, &self.ports).await;
        seen.map_err(|fault| anyhow::anyhow!("the front page is not served: {fault}"))
    }

    /// Walks the tour and prints each step; whether all held.
    pub(super) async fn tour(&self) -> bool {
        let walked = tour::run(self, &self.ports, |outcome| println!("{outcome}"));
        let report = Box::pin(walked).await;
        println!("\n{report}");
        report.all_held()
    }

    async fn server(&self) -> anyhow::Result<ringfort_wire::v1::StatusResponse> {
        let mut client = admin::server(&self.places.server_socket()).await?;
        Ok(client.status(StatusRequest {}).await?.into_inner())
    }

    fn id(&self, name: &str) -> anyhow::Result<SpiffeId> {
        Ok(SpiffeId::of(self.bundle.trust_domain(), WorkloadKind::Service, &name.parse()?))
    }

    async fn knock(
        &self,
        address: SocketAddr,
        who: Intruder,
    ) -> anyhow::Result<Option<TlsStream<TcpStream>>> {
        let callee = self.name_at(address).await?;
        let expected = self.id(&callee)?;
        let (bundle, alpn) = (Arc::clone(&self.bundle), &["http/1.1"][..]);
        let config = match self.certificate(who)? {
            None => self.tls.stranger_client_config(StrangerOptions { bundle, expected, alpn })?,
            Some(svid) => {
                let refusals = Arc::<Refusals>::default();
                self.tls.outbound_client_config(OutboundOptions {
                    svid,
                    bundle,
                    expected,
                    alpn,
                    refusals,
                })?
            }
        };
        let stream = TcpStream::connect(address).await.context("cannot connect")?;
        Ok(TlsConnector::from(config).connect(workload_server_name(), stream).await.ok())
    }

    fn certificate(&self, who: Intruder) -> anyhow::Result<Option<&Svid>> {
        let intruders = self.intruders.as_ref().context("the tour was not prepared")?;
        Ok(match who {
            Intruder::Stranger => None,
            Intruder::Web => Some(&self.web),
            Intruder::Forger => Some(&intruders.forged),
            Intruder::Expired => Some(&intruders.expired),
        })
    }

    async fn proxy(&self, name: &str) -> anyhow::Result<Value> {
        let socket = self.places.proxies().join(format!("{name}.sock"));
        let status = admin::proxy(&socket, "/status").await?.context("the proxy has no status")?;
        Ok(serde_json::from_slice(&status)?)
    }

    async fn address(&self, name: &str) -> anyhow::Result<SocketAddr> {
        let status = self.proxy(name).await?;
        let address = status
            .get("address")
            .and_then(Value::as_str)
            .context("the sidecar tells no address")?;
        Ok(address.parse()?)
    }

    /// Which service's sidecar accepts connections there.
    async fn name_at(&self, address: SocketAddr) -> anyhow::Result<String> {
        for name in ["orders", "payments", "inventory", "ledger", "web"] {
            if self.address(name).await? == address {
                return Ok(name.to_owned());
            }
        }
        bail!("no sidecar accepts connections at {address}")
    }

    async fn wait_for_server(&self) -> anyhow::Result<()> {
        let answers = async {
            while self.server().await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SERVER_BACK_MAX, answers)
            .await
            .context("the server does not come back")
    }

    fn kill(&self) -> anyhow::Result<()> {
        let table = self.supervisor.status();
        let server = table.iter().find(|(key, _)| key.role == Role::Server);
        let pid = server.and_then(|(_, status)| status.pid).context("the server does not run")?;
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid)?)
            .context("the server does not run")?;
        Ok(rustix::process::kill_process(pid, rustix::process::Signal::KILL)?)
    }

    async fn renew(&self) -> anyhow::Result<()> {
        let mut client = admin::server(&self.places.server_socket()).await?;
        client.renew(RenewRequest { all: true }).await?;
        Ok(())
    }

    fn write(&self, edit: Edit) -> anyhow::Result<()> {
        let written = fs::read_to_string(&self.policies)?;
        let without = written.strip_suffix(PERMIT_REFUND).unwrap_or(&written);
        let text = match edit {
            Edit::PermitRefund => format!("{without}{PERMIT_REFUND}"),
            Edit::Restore => without.to_owned(),
        };
        Ok(fs::write(&self.policies, text)?)
    }
}

fn sentence(error: anyhow::Error) -> String {
    format!("{error:#}")
}

impl tour::Host for Visitor {
    type Stream = TlsStream<TcpStream>;

    async fn visit(&self) -> Result<Self::Stream, String> {
        let connect = async {
            let options = VisitorOptions { roots_der: &self.roots_der, alpn: &["http/1.1"] };
            let config = self.tls.visitor_client_config(&options)?;
            let stream = TcpStream::connect(("127.0.0.1", self.ports.https))
                .await
                .context("cannot connect")?;
            anyhow::Ok(TlsConnector::from(config).connect("localhost".try_into()?, stream).await?)
        };
        connect.await.map_err(sentence)
    }

    async fn intrude(
        &self,
        address: SocketAddr,
        who: Intruder,
    ) -> Result<Option<Self::Stream>, String> {
        self.knock(address, who).await.map_err(sentence)
    }

    async fn edit(&self, edit: Edit) -> Result<(), String> {
        self.write(edit).map_err(sentence)
    }

    async fn sidecar(&self, service: &str) -> Result<SocketAddr, String> {
        self.address(service).await.map_err(sentence)
    }

    async fn explain(&self, decision: &str) -> Result<String, String> {
        let explained = async {
            let id: DecisionId = decision.parse()?;
            explain::recorded(&self.places, id).await?.context("no proxy remembers the decision")
        };
        explained.await.map_err(sentence)
    }

    async fn kill_server(&self) -> Result<(), String> {
        self.kill().map_err(sentence)
    }

    async fn server_answers(&self) -> Result<(), String> {
        self.wait_for_server().await.map_err(sentence)
    }

    async fn renew_all(&self) -> Result<(), String> {
        self.renew().await.map_err(sentence)
    }
}
