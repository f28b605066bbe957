//! `ringfort demo`: the built-in shop behind its walls, on free loopback ports, and the guided tour.

use std::{net::TcpListener, path::Path, process::ExitCode, time::Instant};

use anyhow::{Context, bail};
use ringfort_demo::{ShopPorts, fleet_files};

use crate::{
    cli::DemoArgs,
    commands::roles::{runtime, until_signal},
    folders::Places,
    host::{self, Host},
};

pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let ports = match args.base_port {
        Some(base) => ShopPorts::from_base(base).context("--base-port leaves no room below 65536")?,
        None => free_ports()?,
    };
    let temporary;
    let dir = match &args.dir {
        Some(dir) => std::path::absolute(dir)?,
        None => {
            temporary = tempfile::Builder::new().prefix("ringfort-demo-").tempdir()?;
            temporary.path().to_path_buf()
        }
    };
    runtime()?.block_on(serve(args, &dir, ports))
}

async fn serve(args: &DemoArgs, dir: &Path, ports: ShopPorts) -> anyhow::Result<ExitCode> {
    todo
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
