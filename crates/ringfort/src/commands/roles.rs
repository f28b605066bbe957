//! The single roles: server, agent, proxy, and the demo's programs. Each runs until it is told to end.

use std::{os::unix::process::CommandExt as _, process::ExitCode, sync::Arc};

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    cli::{AgentArgs, DemoServiceArgs, LaunchArgs, ProxyArgs, ServerArgs},
    clock::SystemClock,
    folders::Places,
};

pub(crate) fn server(args: &ServerArgs) -> anyhow::Result<ExitCode> {
    bind_to_parent(args.parent)?;
    let places = Places::resolve(&args.folders)?;
    places.prepare()?;
    runtime()?.block_on(async {
        let shutdown = until_signal()?;
        let options = ringfort_control::ServerOptions {
            socket: places.server_socket(),
            database: places.state.join("server.db"),
            sealing_key: places.state.join("server.key"),
            host: crate::host::host_name()?,
            agent: args.parent,
            clock: Arc::new(SystemClock),
            shutdown,
        };
        ringfort_control::run(options).await.context("the server ended")
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn agent(args: &AgentArgs) -> anyhow::Result<ExitCode> {
    let places = Places::resolve(&args.folders)?;
    places.prepare()?;
    runtime()?.block_on(async {
        let tracker = TaskTracker::new();
        let options = ringfort_agent::AgentOptions {
            run_dir: places.run.clone(),
            server_socket: places.server_socket(),
            metrics: Some(args.metrics),
            clock: Arc::new(SystemClock),
            children: ringfort_agent::Children::new(),
            tracker: tracker.clone(),
            shutdown: until_signal()?,
        };
        ringfort_agent::Agent::start(options).await.context("cannot start the agent")?;
        tracing::info!(run = %places.run.display(), "agent serves");
        tracker.close();
        tracker.wait().await;
        anyhow::Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn proxy(args: &ProxyArgs) -> anyhow::Result<ExitCode> {
    bind_to_parent(args.parent)?;
    let places = Places::resolve(&args.folders)?;
    let name = args
        .workload
        .parse()
        .with_context(|| format!("`{}` is no workload name", args.workload))?;
    let threads = match args.threads {
        Some(threads) => threads.max(1),
        None => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let shutdown = until_signal()?;
        let options = ringfort_proxy::ProxyOptions {
            name,
            control_socket: places.control_socket(),
            state_dir: places.state.join("proxies"),
            run_dir: places.proxies(),
            threads,
            clock: Arc::new(SystemClock),
            shutdown,
        };
        ringfort_proxy::run(options).await.context("the proxy ended")
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Becomes a program of `run:`. The kernel's order to end with the supervisor outlives the change, so nothing holds the
/// program's port after a supervisor that was killed.
pub(crate) fn launch(args: &LaunchArgs) -> anyhow::Result<ExitCode> {
    bind_to_parent(Some(args.parent))?;
    let (program, rest) = args.command.split_first().context("no program to start")?;
    let error = std::process::Command::new(program).args(rest).exec();
    Err(error).with_context(|| format!("cannot start `{}`", program.display()))
}

pub(crate) fn demo_service(args: &DemoServiceArgs) -> anyhow::Result<ExitCode> {
    let program = args.name.parse().context("no such program")?;
    let options = ringfort_demo::ServeOptions::read(variable)?;
    runtime()?.block_on(async {
        let shutdown = until_signal()?;
        ringfort_demo::serve(program, args.port, options, shutdown)
            .await
            .context("the program ended")
    })?;
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::disallowed_methods, reason = "the command is where the environment is read (I7)")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn bind_to_parent(parent: Option<u32>) -> anyhow::Result<()> {
    let Some(parent) = parent else { return Ok(()) };
    Ok(ringfort_agent::supervise::end_with_parent(parent)?)
}

/// A runtime of one thread: roles outside the data plane wait far more than they work.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(64)
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

/// A token that is cancelled by SIGTERM or Ctrl-C.
///
/// # Errors
/// Fails when the signals cannot be watched.
pub(crate) fn until_signal() -> anyhow::Result<CancellationToken> {
    let token = CancellationToken::new();
    let cancelled = token.clone();
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch SIGINT")?;
    let watch = TaskTracker::new();
    watch.spawn(async move {
        tokio::select! {
            // Both arms end the process: losing one is safe.
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancelled.cancel();
    });
    Ok(token)
}
