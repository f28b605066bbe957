//! Who may log in where: demands on users that nobody could ever meet.

use crate::{
    document::{KnownUser, Route, User},
    scalar,
    source::Span,
    yaml::Node,
};

use super::Checker;

impl Checker<'_, '_> {
    pub(super) fn users(&mut self) {
        let document = self.document;
        for (name, route) in &document.routes {
            if let User::Known(user) = &route.user {
                self.scopes(name.as_str(), user);
                self.sender(name.as_str(), route, user);
            }
        }
        let clients = self.section(&["identity", "clients"]).map_or(&[][..], Node::entries);
        for client in clients {
            let auth = client.value.entry("auth").and_then(|entry| entry.value.text());
            if auth == Some("private_key_jwt") && client.value.entry("jwks").is_none() {
                let message =
                    format!("client `{}` proves itself by a key, but has no `jwks`", client.key);
                let help = "`jwks: { file: keys/NAME.jwks.json }`";
                self.problems.error("RF0405", client.key_span, message).help(help).done();
            }
        }
        if self.is_complete {
            self.issuer();
        }
    }

    fn scopes(&mut self, route: &str, user: &KnownUser) {
        let Some(client) = self.section(&["identity", "clients", &user.client]) else { return };
        let texts = |field: &str| -> Option<Vec<&str>> {
            let items = client.entry(field)?.value.items();
            Some(items.iter().filter_map(Node::text).collect())
        };
        let offered = texts("scopes").unwrap_or_default();
        for (scope, span) in &user.scopes {
            if !offered.contains(&scope.as_str()) {
                let message = format!(
                    "route `{route}` needs scope `{scope}`, which client `{}` can never get: always 403",
                    user.client
                );
                let help = format!("add `{scope}` to the `scopes` of client `{}`", user.client);
                self.problems.error("RF0402", *span, message).help(help).done();
            }
        }
        let can_log_in = texts("grants")
            .is_none_or(|grants| grants.contains(&"authorization_code"))
            && client.entry("redirect_uris").is_some();
        if user.is_login && !can_log_in {
            let message = format!(
                "nobody can log in at client `{}`: it has no redirect or no code grant",
                user.client
            );
            let help = "`redirect_uris` and the grant `authorization_code`";
            self.problems.error("RF0405", user.client_span, message).help(help).done();
        }
    }

    /// A token bound to a certificate needs a listener that asks for one.
    fn sender(&mut self, name: &str, route: &Route, user: &KnownUser) {
        let Some((gateway_name, gateway)) = self.document.gateway_of(route) else { return };
        for condition in &route.matches {
            let mut listeners = gateway.listeners.iter().filter(|listener| {
                listener.hosts.iter().any(|(host, _)| *host == condition.rule.host)
                    && !listener.redirect_to_https
            });
            if user.by_mtls && !listeners.all(|listener| listener.has_client_ca) {
                let message = format!(
                    "route `{name}` wants tokens bound to a certificate, but `{gateway_name}` asks for none on `{}`",
                    condition.rule.host
                );
                let help = "`client_ca` on every listener of that host";
                self.problems.error("RF0403", condition.host_span, message).help(help).done();
            }
        }
    }

    fn issuer(&mut self) {
        let Some(issuer) = self.section(&["identity", "issuer"]) else { return };
        let Some(host) = issuer.text().and_then(scalar::authority) else { return };
        let host = host.split(':').next().unwrap_or(host);
        let leads =
            |route: &Route| route.matches.iter().any(|condition| condition.rule.host == host);
        if !self.document.routes.values().any(leads) {
            let span: Span = issuer.span;
            let message = format!("no route leads to `issuer` host `{host}`: nobody could log in");
            let help =
                format!("a route with `host: {host}` to a service with `builtin: openid-provider`");
            self.problems.error("RF0404", span, message).help(help).done();
        }
    }
}
