//! One host of a fleet as `up` and `demo` run it: server, agent, proxies and programs, from files to a clean end.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use ringfort_agent::{
    Children, Supervisor,
    supervise::{ChildKey, ChildSpec, ChildState, OutputLine, Role, UserIds},
};
use ringfort_fleet::{
    Fleet, FleetFile,
    plan::{HostPlan, RunPlan},
    render,
};
use ringfort_model::{Name, Revision};
use ringfort_wire::v1::Applied;
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admin,
    clock::SystemClock,
    commands::apply::{self, ApplyOutcome},
    folders::Places,
    terminal,
};

/// Lines of children that may wait to be printed; more are dropped and counted.
const LINES_MAX: usize = 4096;
/// How long the server may take to answer for the first time.
const SERVER_READY_MAX: Duration = Duration::from_secs(30);
/// How long all children may take to serve.
const READY_MAX: Duration = Duration::from_secs(45);
/// How long proxies may take to learn where their callees are.
const FOUND_MAX: Duration = Duration::from_secs(5);
/// Pause between two looks at something that is not ready.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// A proxy's own drain limit is 30 s; it ends by itself before this.
const PROXY_GRACE: Duration = Duration::from_secs(35);
/// How long a program may take to end.
const PROGRAM_GRACE: Duration = Duration::from_secs(10);

/// A running host.
pub(crate) struct Host {
    places: Places,
    supervisor: Supervisor,
    tracker: TaskTracker,
    shutdown: CancellationToken,
    lines: tokio::task::JoinHandle<()>,
    /// Name of this machine, as `runs_on` writes it.
    host: Name,
    /// This program, for the roles it plays as children.
    program: PathBuf,
    /// Where relative paths of `run:` begin: the fleet folder.
    folder: PathBuf,
}

/// A fleet that was refused: its rendered problems. Nothing changed.
#[derive(Debug)]
pub(crate) struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// Reads a fleet that `up` can enforce.
///
/// # Errors
/// The rendered problems: faults of the fleet, or demands of rings this build does not have.
pub(crate) fn enforceable(files: &[FleetFile]) -> Result<Fleet, String> {
    let loaded = ringfort_fleet::load(files);
    let coloured = terminal::stderr_is_coloured();
    let Some(fleet) = loaded.fleet else { return Err(render::text(&loaded.problems, coloured)) };
    let demands = fleet.unbuilt_demands();
    if demands.is_empty() { Ok(fleet) } else { Err(render::text(demands, coloured)) }
}

impl Host {
    /// Starts the agent and the server; nothing of a fleet runs yet.
    ///
    /// # Errors
    /// Fails when another ringfort uses the same folders, or the server does not come up.
    pub(crate) async fn start(
        places: Places,
        folder: PathBuf,
        metrics: std::net::SocketAddr,
        output: Output,
    ) -> anyhow::Result<Self> {
        places.prepare()?;
        let tracker = TaskTracker::new();
        let shutdown = CancellationToken::new();
        let (sender, receiver) = mpsc::channel(LINES_MAX);
        let lines = tracker.spawn(write_lines(receiver, output));
        let children = Children::new();
        let supervisor = Supervisor::new(children.clone(), sender, tracker.clone());
        let agent = ringfort_agent::Agent::start(ringfort_agent::AgentOptions {
            run_dir: places.run.clone(),
            server_socket: places.server_socket(),
            metrics: Some(metrics),
            clock: Arc::new(SystemClock),
            children,
            tracker: tracker.clone(),
            shutdown: shutdown.clone(),
        });
        agent.await.context("cannot start the agent")?;
        let program = std::env::current_exe().context("cannot find the ringfort program")?;
        let host = Self {
            places,
            supervisor,
            tracker,
            shutdown,
            lines,
            host: host_name()?,
            program,
            folder,
        };
        host.supervisor.set_plan(vec![host.server_spec()?]).await?;
        host.server_answers().await?;
        Ok(host)
    }

    /// Applies files: checks them, makes them the head revision, and runs what they plan for this host.
    ///
    /// # Errors
    /// The rendered problems, or what kept the server from applying; nothing changed then.
    pub(crate) async fn apply(
        &mut self,
        files: Vec<FleetFile>,
        message: &str,
    ) -> anyhow::Result<Applied> {
        let fleet = match enforceable(&files) {
            Ok(fleet) => fleet,
            Err(problems) => return Err(Refused(problems).into()),
        };
        // What this host cannot run is found before the server makes a revision of it.
        let mut specs = vec![self.server_spec()?];
        specs.extend(
            self.fleet_specs(&fleet.compile(Revision::NONE).host_plan.of_host(&self.host))?,
        );
        let files = files.into_iter().filter(|file| fleet.files().contains(&file.path)).collect();
        let mut client = admin::server(&self.places.server_socket()).await?;
        let applied = match apply::send(&mut client, files, message, None).await? {
            ApplyOutcome::Applied(applied) => applied,
            ApplyOutcome::Rejected(problems) => return Err(Refused(problems).into()),
        };
        self.supervisor.set_plan(specs).await?;
        Ok(applied)
    }

    /// Waits until every child serves.
    ///
    /// # Errors
    /// Names the children that do not.
    pub(crate) async fn ready(&self) -> anyhow::Result<usize> {
        let mut table = self.supervisor.watch();
        let all = |table: &ringfort_agent::supervise::Table| {
            table.values().all(|status| status.state == ChildState::Ready)
        };
        let waited = tokio::time::timeout(READY_MAX, table.wait_for(all)).await;
        match waited {
            Ok(Ok(table)) => {
                let count = table.len();
                drop(table);
                self.everyone_is_found().await;
                Ok(count)
            }
            Ok(Err(_)) => bail!("the supervisor has ended"),
            Err(_) => {
                let late = self
                    .supervisor
                    .status()
                    .into_iter()
                    .filter(|(_, status)| status.state != ChildState::Ready);
                let late: Vec<String> = late
                    .map(|(key, status)| match status.last_end {
                        Some(end) => format!("{key} ({end})"),
                        None => key.to_string(),
                    })
                    .collect();
                bail!("not serving after {} s: {}", READY_MAX.as_secs(), late.join(", "))
            }
        }
    }

    /// Waits until every proxy knows an endpoint of each of its callees; a service of another host may stay away, so
    /// this says what is missing and goes on.
    async fn everyone_is_found(&self) {
        let all_found = async {
            while let Some(missing) = self.missing().await {
                tracing::debug!(%missing, "endpoints are not known yet");
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        if tokio::time::timeout(FOUND_MAX, all_found).await.is_err()
            && let Some(missing) = self.missing().await
        {
            tracing::warn!(%missing, "no instance is registered yet");
        }
    }

    /// The callees some proxy waits for; `None` when there is none.
    async fn missing(&self) -> Option<String> {
        let mut missing = std::collections::BTreeSet::new();
        for (key, _) in self.supervisor.status() {
            let socket = self.places.proxies().join(format!("{}.sock", key.name));
            if !matches!(key.role, Role::Gateway | Role::Sidecar) {
                continue;
            }
            let Ok(Some(status)) = admin::proxy(&socket, "/status").await else {
                missing.insert(key.to_string());
                continue;
            };
            let status: serde_json::Value = serde_json::from_slice(&status).unwrap_or_default();
            let names = status.get("waiting_for").and_then(serde_json::Value::as_array);
            missing.extend(
                names.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)),
            );
        }
        let list: Vec<String> = missing.into_iter().collect();
        (!list.is_empty()).then(|| list.join(", "))
    }

    /// The folders this host uses.
    pub(crate) const fn places(&self) -> &Places {
        &self.places
    }

    /// How many processes run.
    pub(crate) fn children(&self) -> usize {
        self.supervisor.status().len()
    }

    /// Ends everything in order: gateways drain first, then sidecars, programs, and the server last.
    pub(crate) async fn stop(self) {
        self.supervisor.shutdown().await;
        self.shutdown.cancel();
        drop(self.supervisor);
        self.tracker.close();
        self.tracker.wait().await;
        if let Err(error) = self.lines.await {
            tracing::warn!(%error, "output of children ended early");
        }
    }

    /// The children's states, and the means to hurry their end.
    pub(crate) fn supervisor(&self) -> Supervisor {
        self.supervisor.clone()
    }

    async fn server_answers(&self) -> anyhow::Result<()> {
        let socket = self.places.server_socket();
        let answers = async {
            while let Err(error) = admin::server(&socket).await {
                tracing::debug!(%error, "server is not up yet");
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        tokio::time::timeout(SERVER_READY_MAX, answers).await.with_context(|| {
            format!(
                "the server does not answer at `{}` after {} s",
                socket.display(),
                SERVER_READY_MAX.as_secs()
            )
        })
    }

    fn server_spec(&self) -> anyhow::Result<ChildSpec> {
        let name: Name = "server".parse()?;
        Ok(self.own_spec(ChildKey { role: Role::Server, name }, &["server"], None))
    }

    /// A child that is this same program in another role.
    fn own_spec(
        &self,
        key: ChildKey,
        command: &[&str],
        ready_socket: Option<PathBuf>,
    ) -> ChildSpec {
        let mut args: Vec<OsString> = command.iter().map(OsString::from).collect();
        args.extend([
            "--state".into(),
            self.places.state.clone().into(),
            "--run".into(),
            self.places.run.clone().into(),
        ]);
        args.extend(["--parent".into(), std::process::id().to_string().into()]);
        ChildSpec {
            key,
            program: self.program.clone(),
            args,
            env: inherited(&["RINGFORT_LOG", "RUST_BACKTRACE"]),
            dir: None,
            user: None,
            ready_socket,
            grace: PROXY_GRACE,
        }
    }

    fn fleet_specs(&self, plan: &HostPlan) -> anyhow::Result<Vec<ChildSpec>> {
        let mut specs = Vec::new();
        for (name, gateway) in &plan.gateways {
            if user_ids(gateway.unix_user.as_deref(), gateway.unix_group.as_deref())?.is_some() {
                bail!(
                    "gateway `{name}` is written to run as another user, and `up` runs proxies as its own: start \
                     `ringfort up` as that user, or leave `unix_user` out"
                );
            }
            specs.push(self.proxy_spec(Role::Gateway, name));
        }
        for (name, service) in &plan.services {
            if service.needs_sidecar {
                specs.push(self.proxy_spec(Role::Sidecar, name));
            }
            if let Some(run) = &service.run {
                let user = user_ids(service.unix_user.as_deref(), service.unix_group.as_deref())?;
                specs.push(self.program_spec(name, run, user)?);
            }
        }
        Ok(specs)
    }

    fn proxy_spec(&self, role: Role, name: &Name) -> ChildSpec {
        let socket = self.places.proxies().join(format!("{name}.sock"));
        let key = ChildKey { role, name: name.clone() };
        self.own_spec(key, &["proxy", name.as_str()], Some(socket))
    }

    /// The command, by way of `ringfort launch`, so that the program ends with this process however that ends; as it is
    /// for a user who may not run this binary.
    fn launched(
        &self,
        name: &Name,
        command: &[String],
        user: Option<UserIds>,
    ) -> anyhow::Result<(PathBuf, Vec<OsString>)> {
        let Some((program, args)) = command.split_first() else {
            bail!("`{name}` has an empty command")
        };
        if user.is_some() && !anyone_may_run(&self.program) {
            return Ok((PathBuf::from(program), args.iter().map(OsString::from).collect()));
        }
        let own: [OsString; 4] = [
            "launch".into(),
            "--parent".into(),
            std::process::id().to_string().into(),
            "--".into(),
        ];
        let whole = own.into_iter().chain(command.iter().map(OsString::from)).collect();
        Ok((self.program.clone(), whole))
    }

    fn program_spec(
        &self,
        name: &Name,
        run: &RunPlan,
        user: Option<UserIds>,
    ) -> anyhow::Result<ChildSpec> {
        let (program, args) = self.launched(name, &run.command, user)?;
        let mut env = inherited(&["PATH", "HOME", "LANG", "TZ", "TMPDIR"]);
        let workload_api = format!("unix://{}", self.places.run.join("workload.sock").display());
        env.insert("SPIFFE_ENDPOINT_SOCKET".into(), workload_api.into());
        env.extend(run.env.iter().map(|(key, value)| (key.into(), value.into())));
        Ok(ChildSpec {
            key: ChildKey { role: Role::Program, name: name.clone() },
            program,
            args,
            env,
            dir: Some(
                run.dir.as_ref().map_or_else(|| self.folder.clone(), |dir| self.folder.join(dir)),
            ),
            user,
            ready_socket: None,
            grace: PROGRAM_GRACE,
        })
    }
}

/// The first label of this machine's name, lower case: what `runs_on` writes.
///
/// # Errors
/// Fails when the machine's name is no name of the language.
pub(crate) fn host_name() -> anyhow::Result<Name> {
    let uname = rustix::system::uname();
    let node = uname.nodename().to_str().context("this machine's name is not UTF-8")?;
    let label = node.split('.').next().unwrap_or_default().to_ascii_lowercase();
    label
        .parse()
        .with_context(|| format!("this machine's name `{label}` cannot stand in `runs_on`"))
}

/// The ids to run as; `None` when no user is named, or this process already is that user.
///
/// # Errors
/// Fails when the host does not know the name, or only root could become that user.
fn user_ids(user: Option<&str>, group: Option<&str>) -> anyhow::Result<Option<UserIds>> {
    let Some(user) = user else { return Ok(None) };
    let passwd = std::fs::read_to_string("/etc/passwd").context("cannot read `/etc/passwd`")?;
    let entry = entry(&passwd, user)
        .with_context(|| format!("this host has no user `{user}`: create it"))?;
    let (Some(uid), Some(mut gid)) = (number(&entry, 2), number(&entry, 3)) else {
        bail!("user `{user}` has no ids in `/etc/passwd`")
    };
    if let Some(group) = group {
        let groups = std::fs::read_to_string("/etc/group").context("cannot read `/etc/group`")?;
        let entry = self::entry(&groups, group).and_then(|entry| number(&entry, 2));
        gid = entry.with_context(|| format!("this host has no group `{group}`: create it"))?;
    }
    let own = rustix::process::geteuid();
    if own.as_raw() == uid {
        return Ok(None);
    }
    if !own.is_root() {
        bail!("only root can run a program as `{user}`: start ringfort as root or as `{user}`")
    }
    Ok(Some(UserIds { uid, gid }))
}

/// The fields of a line of `/etc/passwd` or `/etc/group`.
fn entry<'a>(text: &'a str, name: &str) -> Option<Vec<&'a str>> {
    text.lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&name))
}

fn number(fields: &[&str], index: usize) -> Option<u32> {
    fields.get(index)?.parse().ok()
}

/// Whether any user may run the file: all folders on the way open, the file readable and executable.
fn anyone_may_run(path: &Path) -> bool {
    let mode = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.permissions().mode());
    let open = path.ancestors().skip(1).all(|folder| mode(folder) & 0o001 != 0);
    open && mode(path) & 0o005 == 0o005
}

/// Variables of this process that children see too.
#[expect(clippy::disallowed_methods, reason = "the command is where the environment is read (I7)")]
fn inherited(names: &[&str]) -> BTreeMap<OsString, OsString> {
    names.iter().filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?))).collect()
}

/// Where the lines of children go.
#[derive(Debug)]
pub(crate) enum Output {
    /// To standard output, each with its child's name in front.
    Terminal,
    /// Into a file, the same way.
    File(std::fs::File),
}

/// Writes the lines of children with their names in front, colours only on a terminal.
async fn write_lines(mut lines: mpsc::Receiver<OutputLine>, mut output: Output) {
    let coloured = matches!(output, Output::Terminal) && terminal::stdout_is_coloured();
    while let Some(line) = lines.recv().await {
        let line = terminal::prefixed(&line.child.to_string(), &line.text, coloured);
        match &mut output {
            Output::Terminal => println!("{line}"),
            Output::File(file) => {
                if let Err(error) = writeln!(file, "{line}") {
                    tracing::warn!(%error, "a line of output is lost");
                }
            }
        }
    }
}
