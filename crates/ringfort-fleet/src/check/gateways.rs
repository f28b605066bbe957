//! Sockets of gateways: none speaks plaintext to strangers, and each host has one owner.

use std::collections::BTreeMap;

use ringfort_model::{Name, snapshot::ListenerTls};

use super::Checker;
use crate::{
    document::{Gateway, Listener, Tls},
    source::Span,
};

/// Most hosts of a certificate that the fleet's own CA issues.
const HOSTS_MAX: usize = 100;

impl Checker<'_, '_> {
    /// Checks all gateways and returns the certificate chains their listeners name.
    pub(super) fn gateways(&mut self) -> BTreeMap<String, String> {
        let document = self.document;
        let mut chains = BTreeMap::new();
        let mut owners: BTreeMap<&str, (&Name, Span)> = BTreeMap::new();
        for (name, gateway) in &document.gateways {
            for listener in &gateway.listeners {
                self.listener(gateway, listener);
                self.chain(listener, &mut chains);
                for (host, span) in &listener.hosts {
                    match owners.get(host.as_str()) {
                        Some((owner, first)) if *owner != name => {
                            let message = format!(
                                "`{host}` is answered by the gateways `{owner}` and `{name}`"
                            );
                            let problem = self.problems.error("RF0314", *span, message);
                            problem
                                .second(*first, "first here")
                                .help("a host has one owner")
                                .done();
                        }
                        Some(_) => {}
                        None => {
                            owners.insert(host, (name, *span));
                        }
                    }
                }
            }
            if self.is_complete && document.routes_of(name).next().is_none() {
                let message = format!("no route belongs to gateway `{name}`: it answers 404");
                self.problems.error("RF0313", gateway.span, message).warning().done();
            }
        }
        self.firewall();
        chains
    }

    fn listener(&mut self, gateway: &Gateway, listener: &Listener) {
        let is_plain = matches!(listener.tls, Tls::None);
        if is_plain && !listener.redirect_to_https && !listener.bind.ip().is_loopback() {
            let message = format!("{} would serve strangers in plaintext", listener.bind);
            let help = "add `tls:`, or `redirect_to_https: true`, or bind it to 127.0.0.1";
            self.problems.error("RF0306", listener.span, message).help(help).done();
        }
        if let Tls::Built(ListenerTls::Internal { .. }) = &listener.tls
            && listener.hosts.len() > HOSTS_MAX
        {
            let message = format!("{} hosts do not fit into one certificate", listener.hosts.len());
            let help = format!("at most {HOSTS_MAX} a listener");
            self.problems.error("RF0014", listener.span, message).help(help).done();
        }
        if !is_plain && listener.redirect_to_https {
            let message = format!("{} speaks TLS and redirects to https: a loop", listener.bind);
            let help = "remove `redirect_to_https`, or `tls`";
            self.problems.error("RF0311", listener.span, message).help(help).done();
        }
        if !listener.redirect_to_https {
            return;
        }
        let secure = || gateway.listeners.iter().filter(|other| !matches!(other.tls, Tls::None));
        for (host, span) in &listener.hosts {
            let serves = |other: &Listener| other.hosts.iter().any(|(known, _)| known == host);
            if !secure().any(serves) {
                let message =
                    format!("`{host}` is redirected to https, but no listener serves it there");
                let help = format!("add `{host}` to the `hosts` of a listener with `tls`");
                self.problems.error("RF0309", *span, message).help(help).done();
            }
        }
    }

    /// Takes the certificate chain of a listener from the folder.
    fn chain(&mut self, listener: &Listener, chains: &mut BTreeMap<String, String>) {
        let Tls::Built(ListenerTls::Files { chain, .. }) = &listener.tls else { return };
        let Some(bytes) = self.folder.files.get(chain.as_str()) else { return };
        let text = std::str::from_utf8(bytes).ok().filter(|text| {
            text.contains("-----BEGIN CERTIFICATE-----") && !text.contains("PRIVATE KEY-----")
        });
        match text {
            Some(text) => {
                chains.insert(chain.clone(), text.to_owned());
            }
            None => {
                let message = format!("`{chain}` is no certificate chain in PEM");
                let help = "certificates only; a private key never enters the folder";
                self.problems.error("RF0312", listener.span, message).help(help).done();
            }
        }
    }

    /// A host-wide default deny must leave a way in.
    fn firewall(&mut self) {
        let Some(firewall) = self.section(&["firewall"]) else { return };
        let scope = firewall.entry("scope");
        if let Some(scope) = scope.filter(|scope| scope.value.text() == Some("host"))
            && firewall.entry("management").is_none()
        {
            let message = "`scope: host` without `management` would cut off SSH on every host";
            let help = "`management: [10.0.0.0/24]`, the network you administer from";
            self.problems.error("RF0101", scope.value.span, message).help(help).done();
        }
    }
}
