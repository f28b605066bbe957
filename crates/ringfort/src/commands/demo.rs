//! `ringfort demo`: the built-in shop behind its walls, on free loopback ports, and the guided tour.

mod intruders;
mod walk;

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use ringfort_demo::{ShopPorts, fleet_files};
use ringfort_fleet::FleetFile;
use ringfort_model::Revision;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    cli::DemoArgs,
    commands::{
        FOUND,
        roles::{runtime, until_signal},
        up,
    },
    fleet_folder,
    folders::Places,
    host::{self, Host, Output},
    map,
};

pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let ports = match args.base_port {
        Some(base) => {
            ShopPorts::from_base(base).context("--base-port leaves no room below 65536")?
        }
        None => free_ports()?,
    };
    let temporary;
    let dir = match &args.dir {
        Some(dir) => std::path::absolute(dir)?,
        None => {
            temporary = tempfile::Builder::new().prefix("ringfort-").tempdir()?;
            temporary.path().to_path_buf()
        }
    };
    runtime()?.block_on(serve(args.tour, &dir, ports))
}

async fn serve(tour: bool, dir: &Path, ports: ShopPorts) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    let shutdown = until_signal()?;
    let places = Places { state: dir.join("state"), run: dir.join("run") };
    places.prepare()?;
    let folder = dir.join("fleet");
    write_fleet(&folder, &ports)?;
    let files = fleet_folder::read(&folder)?;
    let fleet = host::enforceable(&files).map_err(|problems| anyhow::anyhow!("{problems}"))?;
    let compiled = fleet.compile(Revision::NONE);

    let intruders = match tour {
        true => Some(intruders::prepare(&places, &files, fleet.trust_domain()).await?),
        false => None,
    };
    let log = dir.join("output.log");
    let output = match tour {
        true => {
            Output::File(fs::File::create(&log).context("cannot write the output of the shop")?)
        }
        false => Output::Terminal,
    };
    let mut host =
        Host::start(places, folder.clone(), compiled.host_plan.metrics_bind, output).await?;
    let shop = Shop { folder, files, ports, begun };
    let map = map::text(&compiled);
    let outcome = tokio::select! {
        // Whatever runs is stopped below in every case.
        outcome = shop.open(&mut host, intruders, &map, &shutdown) => outcome,
        () = shutdown.cancelled() => Ok(ExitCode::SUCCESS),
    };
    println!("stopping the shop");
    host.stop().await;
    if tour && !matches!(outcome, Ok(ExitCode::SUCCESS)) {
        println!("what the shop printed:\n{}", fs::read_to_string(&log).unwrap_or_default());
    }
    outcome
}

/// The running demo.
struct Shop {
    folder: PathBuf,
    files: Vec<FleetFile>,
    ports: ShopPorts,
    begun: Instant,
}

impl Shop {
    async fn open(
        self,
        host: &mut Host,
        intruders: Option<intruders::Intruders>,
        map: &str,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<ExitCode> {
        host.apply(self.files.clone(), "demo").await?;
        let count = host.ready().await?;
        let visitor = walk::Visitor::new(host, &self.folder, self.ports, intruders).await?;
        visitor.first_request().await?;
        println!(
            "first request after {:.1} s: 200 from https://localhost:{}/",
            self.begun.elapsed().as_secs_f32(),
            self.ports.https
        );
        print!("\n{map}\n");
        match visitor.has_intruders() {
            true => {
                println!(
                    "the guided tour: {count} processes, every wall is attacked and must hold\n"
                );
                let follow = up::follow(&self.folder, host, self.files, shutdown);
                tokio::select! {
                    // The tour ends the demo; edits are no longer followed then.
                    held = visitor.tour() => Ok(if held { ExitCode::SUCCESS } else { ExitCode::from(FOUND) }),
                    followed = follow => followed.map(|()| ExitCode::SUCCESS),
                }
            }
            false => {
                println!("{}", self.invitation(host));
                up::follow(&self.folder, host, self.files, shutdown).await?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }

    /// What to try, as lines to paste.
    fn invitation(&self, host: &Host) -> String {
        let (https, metrics) = (self.ports.https, self.ports.metrics);
        let run = host.places().run.display();
        let folder = self.folder.display();
        format!(
            "ready: {count} processes serve. Try:

  curl -k https://localhost:{https}/api/stock/tea%2Fgreen          allowed
  curl -k https://localhost:{https}/api/orders -d '{{\"sku\":\"tea/green\",\"quantity\":1}}'
  curl -k https://localhost:{https}/admin                          no route: refused
  curl -k --path-as-is https://localhost:{https}/api/stock/../orders   two readings: refused
  curl -k https://localhost:{https}/intruder/forge-order           web, captured, attacks orders: refused

  ringfort explain DECISION-ID --run {run}                why, with file and line
  ringfort explain request --as web --to payments POST /charge --run {run}
  ringfort status --run {run}
  curl http://127.0.0.1:{metrics}/metrics

The fleet is {folder}: edit it, a good edit is in force at once, a bad one changes nothing.
Open https://localhost:{https}/ in a browser. Ctrl-C ends everything.",
            count = host.children()
        )
    }
}

fn write_fleet(folder: &Path, ports: &ShopPorts) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("cannot find the ringfort program")?;
    let program = program.to_str().context("the path of the ringfort program is not UTF-8")?;
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make folder `{}`", folder.display()))?;
    for (path, bytes) in fleet_files(ports, program) {
        let path = folder.join(path);
        fs::write(&path, bytes).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}

/// Loopback ports nobody uses now, all different.
fn free_ports() -> anyhow::Result<ShopPorts> {
    let mut ports = [0; ShopPorts::COUNT];
    let mut held = Vec::with_capacity(ShopPorts::COUNT);
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free loopback port")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ShopPorts::of(ports))
}
