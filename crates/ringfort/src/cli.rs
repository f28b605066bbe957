//! What can be typed: every command, flag and example. Meaning is given in [`crate::commands`].

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Concentric walls around every microservice of a fleet, from one file that says who may call whom.
#[derive(Debug, Parser)]
#[command(name = "ringfort", version, about, disable_help_subcommand = true, max_term_width = 110)]
#[command(after_help = "\
Examples:
  ringfort demo                    a five-service shop behind its walls, on this machine
  ringfort check fleet/            every problem of a fleet folder, with file, line and mend
  ringfort up fleet/               run the services of this host behind one gateway
  ringfort explain 1f0c...         why a request was refused: ring by ring, file and line

Exit codes: 0 good, 1 findings or failure, 2 usage or bad configuration.")]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands, in the order of a first afternoon.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the built-in five-service shop behind its walls.
    #[command(after_help = "\
Examples:
  ringfort demo                    run until Ctrl-C, with URLs and curl lines to try
  ringfort demo --tour             the guided tour: every wall is attacked and must hold; then ends")]
    Demo(DemoArgs),
    /// Check a fleet folder offline: all problems at once, with file, line and mend.
    #[command(after_help = "\
Examples:
  ringfort check fleet/
  ringfort check fleet/ --format sarif > ringfort.sarif     for code scanning
  ringfort check fleet/ --format github                     annotations in a workflow

Exit codes: 0 no errors, 1 errors, 2 the folder cannot be read.")]
    Check(CheckArgs),
    /// Run everything of a fleet that belongs to this host: server, agent, gateways, sidecars, programs.
    #[command(after_help = "\
Examples:
  ringfort up fleet/
  ringfort up shop.yaml --state ./state --run ./run     without root, beside other fleets

The folder is watched: a good edit is applied, a bad one is reported and changes nothing.")]
    Up(UpArgs),
    /// Apply a fleet folder to the running server, once.
    #[command(
        after_help = "Example:\n  ringfort apply fleet/ --message 'orders may reserve stock'"
    )]
    Apply(ApplyArgs),
    /// Show every proxy: revision in force, digest, certificate expiry, and what lags behind.
    #[command(
        after_help = "Examples:\n  ringfort status\n  ringfort status --format json | jq '.proxies[].revision'"
    )]
    Status(StatusArgs),
    /// Explain a diagnostic code, a decision, or what would happen to a request.
    #[command(after_help = "\
Examples:
  ringfort explain RF0401
  ringfort explain 3b1f1e0c7a5d4e6f0000000000000042
  ringfort explain request --as orders --to payments POST /charge")]
    Explain(ExplainArgs),
    /// Print the JSON Schema of the fleet file, or the Cedar schema of a fleet.
    #[command(after_help = "\
Examples:
  ringfort schema > ringfort.schema.json
  ringfort schema --cedar fleet/ > fleet.cedarschema")]
    Schema(SchemaArgs),
    /// Look at and renew certificates.
    Ca(CaArgs),
    /// The control plane alone: store, CA, distribution.
    Server(ServerArgs),
    /// The agent alone: attests workloads and serves the SPIFFE Workload API.
    Agent(AgentArgs),
    /// One data-plane proxy: the gateway or sidecar of one workload.
    Proxy(ProxyArgs),
    /// Print a shell's completion script.
    #[command(
        after_help = "Example:\n  ringfort completions bash > /etc/bash_completion.d/ringfort"
    )]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Become a program that ends with the process that started it.
    #[command(hide = true)]
    Launch(LaunchArgs),
    /// One program of the demo's shop.
    #[command(hide = true)]
    DemoService(DemoServiceArgs),
}

/// Where state and sockets live.
#[derive(Debug, Clone, Args)]
pub(crate) struct Folders {
    /// Folder for what must survive: store, keys, snapshots [default: /var/lib/ringfort as root, else
    /// $XDG_STATE_HOME/ringfort].
    #[arg(long, value_name = "DIR", env = "RINGFORT_STATE")]
    pub(crate) state: Option<PathBuf>,
    /// Folder for sockets and cached identities [default: /run/ringfort as root, else
    /// $XDG_RUNTIME_DIR/ringfort].
    #[arg(long, value_name = "DIR", env = "RINGFORT_RUN")]
    pub(crate) run: Option<PathBuf>,
}

/// `ringfort demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Walk through every wall, attack it, and end; exit 0 only if every step held.
    #[arg(long)]
    pub(crate) tour: bool,
    /// First of the loopback ports the shop uses [default: free ports].
    #[arg(long, value_name = "PORT")]
    pub(crate) base_port: Option<u16>,
    /// Keep state and sockets in this folder instead of a temporary one.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// `ringfort check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Folder of *.yaml and *.cedar, or one .yaml file.
    #[arg(default_value = ".", value_name = "FLEET")]
    pub(crate) fleet: PathBuf,
    /// How to print problems.
    #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
    pub(crate) format: CheckFormat,
    /// Treat warnings as errors.
    #[arg(long)]
    pub(crate) strict: bool,
}

/// Formats of `ringfort check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Workflow annotations.
    Github,
}

/// Formats of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// `ringfort up`.
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Folder of *.yaml and *.cedar, or one .yaml file.
    #[arg(value_name = "FLEET")]
    pub(crate) fleet: PathBuf,
    /// State and sockets.
    #[command(flatten)]
    pub(crate) folders: Folders,
}

/// `ringfort apply`.
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// Folder of *.yaml and *.cedar, or one .yaml file.
    #[arg(value_name = "FLEET")]
    pub(crate) fleet: PathBuf,
    /// Why, for the history.
    #[arg(long, short, default_value = "")]
    pub(crate) message: String,
    /// Refuse unless this revision is head.
    #[arg(long, value_name = "REVISION")]
    pub(crate) base: Option<u64>,
    /// State and sockets.
    #[command(flatten)]
    pub(crate) folders: Folders,
}

/// `ringfort status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// How to print.
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
    /// State and sockets.
    #[command(flatten)]
    pub(crate) folders: Folders,
}

/// `ringfort explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// A code (RF0401), a decision id, or the word `request`.
    #[arg(value_name = "WHAT")]
    pub(crate) what: String,
    /// Method and path, after `request`; for a TCP service neither.
    #[arg(value_name = "METHOD PATH", num_args = 0..=2)]
    pub(crate) request: Vec<String>,
    /// Who calls: a service or gateway.
    #[arg(long = "as", value_name = "WORKLOAD")]
    pub(crate) caller: Option<String>,
    /// Whom: a service.
    #[arg(long = "to", value_name = "SERVICE")]
    pub(crate) callee: Option<String>,
    /// Explain against this folder instead of the running server.
    #[arg(long, value_name = "FLEET")]
    pub(crate) fleet: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
    /// State and sockets.
    #[command(flatten)]
    pub(crate) folders: Folders,
}

/// `ringfort schema`.
#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// Print the Cedar schema of this fleet instead.
    #[arg(long, value_name = "FLEET")]
    pub(crate) cedar: Option<PathBuf>,
}

/// `ringfort ca`.
#[derive(Debug, Args)]
pub(crate) struct CaArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: CaCommand,
}

/// `ringfort ca ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum CaCommand {
    /// Show root and issuing certificates, their expiry, and how many certificates were issued.
    Status(StatusArgs),
    /// Renew certificates now; connections survive.
    #[command(after_help = "Example:\n  ringfort ca renew --all")]
    Renew {
        /// Every workload.
        #[arg(long, required = true)]
        all: bool,
        /// State and sockets.
        #[command(flatten)]
        folders: Folders,
    },
}

/// `ringfort server`.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// End with this process, which started it.
    #[arg(long, hide = true, value_name = "PID")]
    pub(crate) parent: Option<u32>,
    /// State and sockets.
    #[command(flatten)]
    pub(crate) folders: Folders,
}

/// `ringfort agent`.
#[derive(Debug, Args)]
pub(crate) struct AgentArgs {
    /// Where the host's one metrics endpoint listens; loopback only.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9464")]
    pub(crate) metrics: std::net::SocketAddr,
    /// State and sockets.
    #[command(flatten)]
    pub(crate) folders: Folders,
}

/// `ringfort proxy`.
#[derive(Debug, Args)]
pub(crate) struct ProxyArgs {
    /// The service or gateway this proxy stands in front of.
    #[arg(value_name = "WORKLOAD")]
    pub(crate) workload: String,
    /// Data threads [default: one per core].
    #[arg(long, value_name = "COUNT")]
    pub(crate) threads: Option<usize>,
    /// End with this process, which started it.
    #[arg(long, hide = true, value_name = "PID")]
    pub(crate) parent: Option<u32>,
    /// State and sockets.
    #[command(flatten)]
    pub(crate) folders: Folders,
}

/// `ringfort demo-service`.
#[derive(Debug, Args)]
pub(crate) struct DemoServiceArgs {
    /// Which of the shop's programs.
    pub(crate) name: String,
    /// Loopback port to listen on.
    #[arg(long)]
    pub(crate) port: u16,
}

/// `ringfort launch`.
#[derive(Debug, Args)]
pub(crate) struct LaunchArgs {
    /// End with this process.
    #[arg(long, value_name = "PID")]
    pub(crate) parent: u32,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<std::ffi::OsString>,
}
