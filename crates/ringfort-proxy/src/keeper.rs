//! Keeps a proxy in force: identity, configuration, registration, and the files from which it starts without a server.
//!
//! One task owns all of it and handles one thing after the other, so that no two changes race. Decides what is asked
//! over the link ([`crate::link`]) and what comes into force; the data plane does the rest. Invariant: what is in force
//! was complete, signed and accepted by every data thread; anything else is refused and what was in force stays.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use ringfort_identity::{
    ConfigKeys, KeyPair, PublicCertificate, PublicOptions, Sha256Digester, Tls,
};
use ringfort_model::{
    Name, Revision, Secret, Snapshot, WallClock,
    snapshot::{Endpoint, Listener, ListenerTls, Peer, Role, TlsVersion},
};
use ringfort_wire::{
    assemble::{AssembleError, Assembly, Change, Checks},
    discovery::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node},
    disk, resource, rpc, v1,
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior},
};
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use crate::{
    admin::{Board, ListenerStatus},
    files::{self, Files},
    identity::{self, Identity, Public, ReadIdentityError, Trust},
    link::{self, Event, Up},
    live::LiveParts,
    plane::{DataPlane, PlaneOptions, Socket},
    upstream::with_cause,
};

/// How often the state is reported, and stale seconds are counted.
const REPORT_EVERY: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_secs(1);

/// Spread of renewals that a raised epoch asks for, so that a fleet does not ask at once.
const EPOCH_SPREAD: Duration = Duration::from_secs(2);

/// Pause after a failed renewal.
const RENEWAL_PAUSE: Duration = Duration::from_secs(2);

/// How long a sidecar keeps accepting while its callers move away, and how quiet it must be to stop earlier.
const MOVE_MAX: Duration = Duration::from_secs(5);
const QUIET: Duration = Duration::from_millis(500);

/// How long connections may take to finish.
const DRAIN_MAX: Duration = Duration::from_secs(30);

/// Largest private key file of a public listener.
const KEY_BYTES_MAX: usize = 64 * 1024;

/// What a keeper is made of.
pub(crate) struct Keeper {
    pub(crate) name: Name,
    /// `NAME@HOST`.
    pub(crate) instance: String,
    pub(crate) files: Files,
    pub(crate) clock: Arc<dyn WallClock>,
    pub(crate) tls: Tls,
    pub(crate) board: Arc<Board>,
    pub(crate) plane_options: PlaneOptions,
    pub(crate) state: State,
}

/// What changes while a keeper works.
#[derive(Default)]
pub(crate) struct State {
    identity: Option<Identity>,
    assembly: Option<Assembly>,
    plane: Option<DataPlane>,
    snapshot: Option<Arc<Snapshot>>,
    endpoints: BTreeMap<Name, Vec<Endpoint>>,
    link: Option<Up>,
    subscribed: bool,
    /// When the link was last up.
    last_up: Option<Instant>,
    renew_by: Option<Instant>,
    nack: String,
    /// A complete configuration that could not be brought into force, perhaps for a passing reason; tried again.
    refused: Option<Arc<Snapshot>>,
    draining: bool,
    registration: v1::ReportResponse,
}

/// Why a change was refused; the text goes back to the server.
#[derive(Debug, thiserror::Error)]
enum RefuseChangeError {
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    #[error(transparent)]
    Apply(#[from] crate::plane::ApplyError),
    #[error(transparent)]
    Identity(#[from] ReadIdentityError),
    #[error("no certificate for the listener {bind}: {reason}")]
    Public { bind: SocketAddr, reason: String },
}

impl Keeper {
    /// Works until `drain`, then drains. Says how many connections were cut.
    pub(crate) async fn keep(
        mut self,
        control_socket: PathBuf,
        drain: CancellationToken,
        tasks: &tokio_util::task::TaskTracker,
    ) -> u64 {
        self.state.last_up = Some(Instant::now());
        self.start_from_files().await;
        let (events, mut happening) = mpsc::channel(16);
        let stop = CancellationToken::new();
        drop(tasks.spawn(link::keep_up(control_socket, events, stop.clone())));
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut until_report = REPORT_EVERY;
        loop {
            tokio::select! {
                // All arms only wait for something that stays until it is taken.
                () = drain.cancelled() => break,
                event = happening.recv() => {
                    let Some(event) = event else { break };
                    self.handle(event).await;
                }
                _ = tick.tick() => {
                    self.count_stale_seconds();
                    until_report = until_report.saturating_sub(TICK);
                    if until_report.is_zero() {
                        until_report = REPORT_EVERY;
                        self.report();
                    }
                    self.renew_if_due().await;
                    self.retry_refused().await;
                }
            }
            self.show();
        }
        let cut = self.drain(&mut happening).await;
        stop.cancel();
        cut
    }

    async fn handle(&mut self, event: Event) {
        match event {
            Event::Up(up) => {
                self.state.link = Some(*up);
                self.state.subscribed = false;
                self.board.show(|status| "connected".clone_into(&mut status.link));
                tracing::info!("the control link is up");
                self.renew_if_due().await;
                self.subscribe();
                self.report();
            }
            Event::Configuration(response) => self.configure(response).await,
            Event::Registration(answer) => self.state.registration = answer,
            Event::Down(reason) => {
                if self.state.link.take().is_some() {
                    tracing::warn!(
                        reason,
                        "the control link is down; the last good state serves on"
                    );
                }
                self.state.registration.registered = false;
                self.board.show(|status| status.link.clone_from(&reason));
            }
        }
    }

    /// Brings the state of last time into force, as far as it is still valid.
    async fn start_from_files(&mut self) {
        let now = self.clock.now();
        match files::read(&self.files.identity, identity::FILE_BYTES_MAX) {
            Ok(Some(bytes)) => match Identity::from_file(&self.name, &Secret::new(bytes), now) {
                Ok(identity) => self.hold(identity),
                Err(error) => {
                    tracing::warn!(error = with_cause(&error), "the kept identity is not used");
                }
            },
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the kept identity cannot be read"),
        }
        if self.state.identity.is_none() {
            return;
        }
        match self.restore() {
            Ok(Some((assembly, snapshot))) => {
                self.state.endpoints = assembly.endpoints().unwrap_or_default();
                self.state.assembly = Some(assembly);
                if let Err(error) = self.apply(snapshot).await {
                    tracing::error!(error = with_cause(&error), "the kept snapshot is not used");
                    self.state.assembly = None;
                }
            }
            Ok(None) => {}
            Err(reason) => {
                tracing::error!(reason, "the kept snapshot is not used; traffic is refused");
                self.state.nack = reason;
            }
        }
        self.show();
    }

    fn restore(&self) -> Result<Option<(Assembly, Arc<Snapshot>)>, String> {
        let Some(identity) = &self.state.identity else { return Ok(None) };
        let read = files::read(&self.files.snapshot, disk::FILE_BYTES_MAX);
        let Some(bytes) = read.map_err(|error| error.to_string())? else { return Ok(None) };
        let stored = disk::read(&bytes, &Sha256Digester).map_err(|error| with_cause(&error))?;
        let checks = checks(&identity.trust.keys);
        Assembly::restore(identity.svid.id().clone(), stored, checks)
            .map(Some)
            .map_err(|error| with_cause(&error))
    }

    /// Takes one message of configuration and says what became of it.
    async fn configure(&mut self, response: DeltaDiscoveryResponse) {
        let refused = self.take_configuration(&response).await.err();
        if let Some(error) = &refused {
            let reason = with_cause(error);
            tracing::error!(reason, type_url = response.type_url, "configuration refused");
            self.state.nack = reason;
            self.count(|plain| &plain.config_nacks, 1);
        } else if response.type_url == resource::MANIFEST {
            self.state.nack.clear();
        }
        let error_detail = refused.map(|error| rpc::Status {
            code: i32::from(tonic::Code::InvalidArgument),
            message: with_cause(&error),
        });
        self.say(DeltaDiscoveryRequest {
            type_url: response.type_url,
            response_nonce: response.nonce,
            error_detail,
            ..DeltaDiscoveryRequest::default()
        });
        self.report();
    }

    async fn take_configuration(
        &mut self,
        response: &DeltaDiscoveryResponse,
    ) -> Result<(), RefuseChangeError> {
        let Some(keys) = self.state.identity.as_ref().map(|it| Arc::clone(&it.trust.keys)) else {
            return Ok(());
        };
        let Some(assembly) = &mut self.state.assembly else { return Ok(()) };
        match assembly.accept(response, checks(&keys))? {
            Change::Staged => {
                self.state.refused = None;
                Ok(())
            }
            Change::Complete(snapshot) => self.put_in_force(snapshot).await,
            Change::Endpoints(endpoints) => {
                self.state.endpoints = endpoints;
                self.reapply().await?;
                self.persist();
                Ok(())
            }
            Change::Trust(trust) => self.trust(trust).await,
        }
    }

    /// Brings a complete configuration into force; when that fails, it is kept to be tried again.
    async fn put_in_force(&mut self, snapshot: Arc<Snapshot>) -> Result<(), RefuseChangeError> {
        self.state.refused = Some(Arc::clone(&snapshot));
        self.apply(snapshot).await?;
        self.state.refused = None;
        if let Some(assembly) = &mut self.state.assembly {
            assembly.put_in_force();
        }
        let now = self.clock.now().unix_seconds();
        self.set(|plain| &plain.config_last_ack_seconds, now);
        self.persist();
        Ok(())
    }

    /// Tries a refused configuration again: a port that was taken may be free by now.
    async fn retry_refused(&mut self) {
        let Some(snapshot) = self.state.refused.take() else { return };
        match self.put_in_force(snapshot).await {
            Ok(()) => {
                tracing::info!("the configuration that was refused is in force");
                self.state.nack.clear();
                self.report();
            }
            Err(error) => self.state.nack = with_cause(&error),
        }
    }

    /// Takes a new bundle; a raised epoch asks for a renewal soon.
    async fn trust(&mut self, message: v1::Trust) -> Result<(), RefuseChangeError> {
        let trust = Trust::new(message)?;
        let Some(identity) = &mut self.state.identity else { return Ok(()) };
        let epoch = trust.message.renew_epoch;
        if epoch > identity.epoch && self.state.renew_by.is_none() {
            let wait = link::jittered(EPOCH_SPREAD).saturating_sub(EPOCH_SPREAD / 2);
            self.state.renew_by = Instant::now().checked_add(wait);
        }
        let changed = trust.message != identity.trust.message;
        identity.trust = trust;
        if changed {
            self.keep_identity();
            self.reapply().await?;
        }
        Ok(())
    }

    /// Brings a snapshot into force on every data thread.
    async fn apply(&mut self, snapshot: Arc<Snapshot>) -> Result<(), RefuseChangeError> {
        self.certify_listeners(&snapshot).await?;
        let Some(identity) = &self.state.identity else { return Ok(()) };
        let parts = LiveParts {
            credentials: identity.credentials(&self.tls),
            endpoints: self.state.endpoints.clone(),
            public: self.public_settings(identity, &snapshot)?,
            snapshot: Arc::clone(&snapshot),
        };
        if let Some(plane) = &mut self.state.plane {
            plane.apply(&parts).await?;
        } else {
            let plane = DataPlane::start(&self.plane_options, &parts).await?;
            self.board.view.store(Some(Arc::new(plane.view())));
            self.state.plane = Some(plane);
        }
        self.state.snapshot = Some(snapshot);
        self.keep_port();
        Ok(())
    }

    /// Applies the same snapshot with what changed beside it.
    async fn reapply(&mut self) -> Result<(), RefuseChangeError> {
        match self.state.snapshot.as_ref().map(Arc::clone) {
            Some(snapshot) => self.apply(snapshot).await,
            None => Ok(()),
        }
    }

    /// Gets the certificates that the fleet's own authority gives to public listeners.
    async fn certify_listeners(&mut self, snapshot: &Snapshot) -> Result<(), RefuseChangeError> {
        let Role::Gateway(gateway) = &snapshot.role else { return Ok(()) };
        let now = self.clock.now();
        let wanted = identity::internal_listeners(gateway).filter(|listener| {
            let identity = self.state.identity.as_ref();
            let held = identity.and_then(|identity| identity.public.get(&listener.bind));
            !held.is_some_and(|held| held.serves(&listener.hosts, now))
        });
        let wanted: Vec<&Listener> = wanted.collect();
        for listener in &wanted {
            self.certify(listener.bind, &listener.hosts).await?;
        }
        if !wanted.is_empty() {
            self.keep_identity();
        }
        Ok(())
    }

    async fn certify(
        &mut self,
        bind: SocketAddr,
        hosts: &[String],
    ) -> Result<(), RefuseChangeError> {
        let refused = |reason: String| RefuseChangeError::Public { bind, reason };
        let key = KeyPair::generate().map_err(ReadIdentityError::from)?;
        let csr = key.csr_der().map_err(ReadIdentityError::from)?;
        let Some(link) = &self.state.link else {
            return Err(refused("no server answers".to_owned()));
        };
        let mut calls = link.calls.clone();
        let request = v1::PublicCertificateRequest { hosts: hosts.to_vec(), csr_der: csr.into() };
        let answer = link::call(calls.public_certificate(request)).await;
        let answer = answer.map_err(|status| refused(status.message().to_owned()))?;
        let public = Public::signed(hosts.to_vec(), key, answer)?;
        if let Some(identity) = &mut self.state.identity {
            identity.public.insert(bind, public);
        }
        Ok(())
    }

    /// TLS settings of each public listener.
    fn public_settings(
        &self,
        identity: &Identity,
        snapshot: &Snapshot,
    ) -> Result<BTreeMap<SocketAddr, Arc<ServerConfig>>, RefuseChangeError> {
        let Role::Gateway(gateway) = &snapshot.role else { return Ok(BTreeMap::new()) };
        let mut settings = BTreeMap::new();
        for listener in &gateway.listeners {
            let bind = listener.bind;
            let refused = |reason: String| RefuseChangeError::Public { bind, reason };
            let (certificate, min) = match &listener.tls {
                None => continue,
                Some(ListenerTls::Internal { min }) => {
                    let held = identity.public.get(&bind);
                    let held = held.ok_or_else(|| refused("none was issued".to_owned()))?;
                    (held.certificate()?, *min)
                }
                Some(ListenerTls::Files { chain, key, min }) => {
                    (from_files(chain, key).map_err(refused)?, *min)
                }
            };
            let settings_of = self.tls.public_server_config(PublicOptions {
                certificates: vec![certificate],
                min: min.max(TlsVersion::V1_2),
                alpn: &["h2", "http/1.1"],
            });
            let settings_of = settings_of.map_err(|error| refused(with_cause(&error)))?;
            settings.insert(bind, settings_of);
        }
        Ok(settings)
    }

    /// Asks for a new certificate when it is time, and for the first one at once.
    async fn renew_if_due(&mut self) {
        let now = Instant::now();
        let due = match (&self.state.identity, self.state.renew_by) {
            (_, Some(by)) => by <= now,
            (None, None) => true,
            (Some(identity), None) => {
                let wall = self.clock.now();
                identity.renew_at <= wall || identity.public.values().any(|it| it.renew_at <= wall)
            }
        };
        if !due || self.state.link.is_none() || self.state.draining {
            return;
        }
        self.state.renew_by = None;
        match self.renew().await {
            Ok(()) => self.subscribe(),
            Err(reason) => {
                tracing::warn!(reason, "no new certificate; the old one is used while it lasts");
                let pause = link::jittered(RENEWAL_PAUSE);
                self.state.renew_by = now.checked_add(pause);
            }
        }
        self.report();
    }

    async fn renew(&mut self) -> Result<(), String> {
        let key = KeyPair::generate().map_err(|error| with_cause(&error))?;
        let csr = key.csr_der().map_err(|error| with_cause(&error))?;
        let Some(link) = &self.state.link else { return Err("no server answers".to_owned()) };
        let mut calls = link.calls.clone();
        let request = v1::SignRequest { csr_der: csr.into(), for_foreign: false };
        let answer = link::call(calls.sign(request)).await;
        let answer = answer.map_err(|status| status.message().to_owned())?;
        let now = self.clock.now();
        let mut identity =
            Identity::signed(&self.name, key, answer, now).map_err(|error| with_cause(&error))?;
        if let Some(old) = self.state.identity.take() {
            // A raised epoch renews public certificates too; otherwise they live their own lives.
            let same_epoch = old.epoch == identity.epoch;
            let fresh = |public: &Public| same_epoch && now < public.renew_at;
            identity.public = old.public.into_iter().filter(|(_, it)| fresh(it)).collect();
        }
        self.hold(identity);
        self.keep_identity();
        self.reapply().await.map_err(|error| with_cause(&error))
    }

    fn hold(&mut self, identity: Identity) {
        let class = identity.svid.id();
        tracing::info!(%class, not_after = %identity.svid.not_after(), "identity held");
        let same = self.state.identity.as_ref().is_some_and(|old| old.svid.id() == class);
        if self.state.assembly.is_none() || (self.state.identity.is_some() && !same) {
            self.state.assembly = Some(Assembly::new(class.clone(), Revision::NONE));
        }
        self.state.identity = Some(identity);
    }

    /// Asks for everything of this class, naming what is here already.
    fn subscribe(&mut self) {
        if self.state.subscribed || self.state.identity.is_none() {
            return;
        }
        let Some(assembly) = &self.state.assembly else { return };
        let node =
            Node { id: self.instance.clone(), cluster: self.name.to_string(), ..Node::default() };
        let wanted = resource::ALL.into_iter().map(|type_url| DeltaDiscoveryRequest {
            node: Some(node.clone()),
            type_url: type_url.to_owned(),
            initial_resource_versions: assembly.versions(type_url),
            ..DeltaDiscoveryRequest::default()
        });
        let wanted: Vec<_> = wanted.collect();
        self.state.subscribed = true;
        for request in wanted {
            self.say(request);
        }
    }

    fn say(&mut self, request: DeltaDiscoveryRequest) {
        let Some(link) = &self.state.link else { return };
        if link.ads.try_send(request).is_err() {
            // A link that takes no messages is not up; dropping it makes a new one.
            tracing::warn!("the control link takes no messages");
            self.state.link = None;
        }
    }

    /// Tells the server what is in force here.
    fn report(&mut self) {
        let Some(link) = &self.state.link else { return };
        let in_force = self.state.assembly.as_ref().and_then(Assembly::in_force);
        let identity = self.state.identity.as_ref();
        let request = v1::ReportRequest {
            instance: self.instance.clone(),
            address: self.inbound().map_or_else(String::new, |address| address.to_string()),
            draining: self.state.draining,
            revision: in_force.map_or(0, |(revision, _)| revision.number()),
            digest: in_force.map_or_else(Vec::new, |(_, it)| it.as_bytes().to_vec()).into(),
            certificate_not_after_ms: identity
                .map_or(0, |identity| identity::millis(identity.svid.not_after())),
            state: self.word().to_owned(),
            nack: self.state.nack.chars().take(1000).collect(),
            labels: BTreeMap::new(),
        };
        if link.reports.try_send(request).is_err() {
            tracing::debug!("a report was left out");
        }
    }

    /// Where callers reach this sidecar.
    fn inbound(&self) -> Option<SocketAddr> {
        self.state.plane.as_ref()?.address(Socket::Inbound)
    }

    fn word(&self) -> &'static str {
        let now = self.clock.now();
        let valid = |identity: &Identity| now < identity.svid.not_after();
        match (&self.state.plane, &self.state.identity) {
            _ if self.state.draining => "draining",
            (Some(_), Some(identity)) if valid(identity) => "serving",
            (Some(_), _) => "refusing",
            (None, _) => "waiting",
        }
    }

    /// Shows the state on the admin socket.
    fn show(&self) {
        let in_force = self.state.assembly.as_ref().and_then(Assembly::in_force);
        let identity = self.state.identity.as_ref();
        let listeners = self.state.plane.as_ref().map(DataPlane::addresses).unwrap_or_default();
        let listeners = listeners
            .into_iter()
            .map(|(purpose, address)| ListenerStatus { purpose, address: address.to_string() });
        let listeners: Vec<_> = listeners.collect();
        self.board.show(|status| {
            status.state = self.word();
            status.revision = in_force.map_or(0, |(revision, _)| revision.number());
            status.digest = in_force.map_or_else(String::new, |(_, digest)| digest.to_string());
            status.spiffe_id = identity.map(|identity| identity.svid.id().to_string());
            status.certificate_not_after_ms =
                identity.map(|identity| identity::millis(identity.svid.not_after()));
            status.stale_seconds = self.stale_seconds();
            status.nack.clone_from(&self.state.nack);
            status.address = self.inbound().map(|address| address.to_string());
            status.registered = self.state.registration.registered;
            status.listeners = listeners;
            status.waiting_for = self.waiting_for();
        });
    }

    /// Callees that no endpoint is known of.
    fn waiting_for(&self) -> Vec<String> {
        let Some(snapshot) = &self.state.snapshot else { return Vec::new() };
        let reachable = |peer: &Peer| {
            let found = self.state.endpoints.get(&peer.name);
            !peer.static_endpoints.is_empty() || found.is_some_and(|found| !found.is_empty())
        };
        let waiting = snapshot.peers.values().filter(|peer| !reachable(peer));
        waiting.map(|peer| peer.name.to_string()).collect()
    }

    fn stale_seconds(&self) -> u64 {
        if self.state.link.is_some() {
            return 0;
        }
        self.state.last_up.map_or(0, |at| Instant::now().duration_since(at).as_secs())
    }

    fn count_stale_seconds(&mut self) {
        if self.state.link.is_some() {
            self.state.last_up = Some(Instant::now());
        }
        self.set(|plain| &plain.config_stale_seconds, self.stale_seconds());
    }

    fn keep_identity(&self) {
        let Some(identity) = &self.state.identity else { return };
        let written = identity.to_file().map_err(|error| with_cause(&error)).and_then(|content| {
            files::replace(&self.files.identity, content.expose())
                .map_err(|error| error.to_string())
        });
        self.note_persisted(written, "identity");
    }

    fn persist(&self) {
        let stored = self.state.assembly.as_ref().and_then(Assembly::stored);
        let Some(stored) = stored else { return };
        let written = match disk::write(&stored, &Sha256Digester) {
            Some(content) => {
                files::replace(&self.files.snapshot, &content).map_err(|error| error.to_string())
            }
            None => Err("it is too large".to_owned()),
        };
        self.note_persisted(written, "snapshot");
    }

    fn keep_port(&self) {
        let Some(inbound) = self.inbound() else { return };
        if self.files.kept_port() == inbound.port() {
            return;
        }
        let content = format!("{}\n", inbound.port());
        let written = files::replace(&self.files.port, content.as_bytes());
        self.note_persisted(written.map_err(|error| error.to_string()), "port");
    }

    fn note_persisted(&self, written: Result<(), String>, what: &str) {
        if let Err(reason) = written {
            tracing::error!(reason, what, "not kept: a restart without a server will lack it");
            self.count(|plain| &plain.persist_failures, 1);
        }
    }

    fn count(
        &self,
        of: fn(&crate::witness::metrics::Plain) -> &std::sync::atomic::AtomicU64,
        by: u64,
    ) {
        if let Some(view) = self.board.view.load_full() {
            of(&view.metrics().plain).fetch_add(by, Ordering::Relaxed);
        }
    }

    fn set(
        &self,
        of: fn(&crate::witness::metrics::Plain) -> &std::sync::atomic::AtomicU64,
        to: u64,
    ) {
        if let Some(view) = self.board.view.load_full() {
            of(&view.metrics().plain).store(to, Ordering::Relaxed);
        }
    }

    /// Leaves without a failed request: out of the lists, then quiet, then no new connections, then the end.
    async fn drain(&mut self, happening: &mut mpsc::Receiver<Event>) -> u64 {
        self.state.draining = true;
        self.show();
        self.report();
        if self.state.registration.registered && self.state.registration.others > 0 {
            self.wait_until_callers_moved(happening).await;
        }
        let Some(plane) = self.state.plane.take() else { return 0 };
        let cut = plane.drain(DRAIN_MAX).await;
        if cut > 0 {
            tracing::warn!(cut, "connections were cut at the end of the drain");
        }
        cut
    }

    /// Goes on serving until no request has been in flight for a while.
    async fn wait_until_callers_moved(&mut self, happening: &mut mpsc::Receiver<Event>) {
        let now = Instant::now();
        let deadline = now.checked_add(MOVE_MAX).unwrap_or(now);
        let mut quiet_since = None;
        let mut look = tokio::time::interval(QUIET / 10);
        loop {
            tokio::select! {
                // All arms only wait for something that stays until it is taken.
                () = tokio::time::sleep_until(deadline) => return,
                event = happening.recv() => match event {
                    Some(Event::Registration(answer)) => self.state.registration = answer,
                    Some(Event::Configuration(_) | Event::Up(_)) => {}
                    Some(Event::Down(_)) | None => return,
                },
                _ = look.tick() => {
                    let active = self.board.view.load_full().map_or(0, |view| {
                        view.metrics().plain.active_requests.load(Ordering::Relaxed)
                    });
                    if active > 0 || self.state.registration.registered {
                        quiet_since = None;
                        continue;
                    }
                    let since = *quiet_since.get_or_insert_with(Instant::now);
                    if Instant::now().duration_since(since) >= QUIET {
                        return;
                    }
                }
            }
        }
    }
}

/// The digest and the keys that configuration is checked with.
fn checks(keys: &ConfigKeys) -> Checks<'_> {
    Checks { digester: &Sha256Digester, verifier: keys }
}

/// A certificate of another authority: the chain travels in the snapshot, the key stays in its file.
fn from_files(chain: &str, key: &str) -> Result<PublicCertificate, String> {
    let read = files::read(std::path::Path::new(key), KEY_BYTES_MAX);
    let bytes = read.map_err(|error| format!("cannot read `{key}`: {error}"))?;
    let bytes = bytes.ok_or_else(|| format!("there is no file `{key}`"))?;
    let text = String::from_utf8(bytes).map_err(|_binary| format!("`{key}` is no PEM"))?;
    PublicCertificate::from_pem(chain, &Secret::new(text)).map_err(|error| with_cause(&error))
}
