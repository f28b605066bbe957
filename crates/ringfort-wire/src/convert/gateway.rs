//! Gateways: listeners and routes.

use std::{net::IpAddr, str::FromStr as _, sync::Arc, time::Duration};

use ringfort_model::snapshot::{
    Cidr, Gateway, HeaderEdit, HeaderEdits, Listener, ListenerTls, Rewrite, Route, RouteAction,
    RouteMatch, TlsVersion,
};

use super::{ConvertError, scalar};
use crate::v1;

impl From<&Gateway> for v1::Gateway {
    fn from(gateway: &Gateway) -> Self {
        Self {
            listeners: gateway.listeners.iter().map(Into::into).collect(),
            routes: gateway.routes.iter().map(|route| route.as_ref().into()).collect(),
            trusted_proxies: gateway
                .trusted_proxies
                .iter()
                .map(|cidr| format!("{}/{}", cidr.address, cidr.prefix))
                .collect(),
        }
    }
}

impl TryFrom<v1::Gateway> for Gateway {
    type Error = ConvertError;

    fn try_from(gateway: v1::Gateway) -> Result<Self, ConvertError> {
        let routes = gateway.routes.into_iter().map(|route| Ok(Arc::new(Route::try_from(route)?)));
        Ok(Self {
            listeners: gateway
                .listeners
                .into_iter()
                .map(TryInto::try_into)
                .collect::<Result<_, ConvertError>>()?,
            routes: routes.collect::<Result<_, ConvertError>>()?,
            trusted_proxies: gateway
                .trusted_proxies
                .iter()
                .map(|text| cidr(text))
                .collect::<Result<_, _>>()?,
        })
    }
}

fn cidr(text: &str) -> Result<Cidr, ConvertError> {
    let field = "gateway.trusted_proxies";
    let (address, prefix) = text.split_once('/').ok_or(ConvertError::Range { field })?;
    let address =
        IpAddr::from_str(address).map_err(|source| ConvertError::Address { field, source })?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.parse().ok().filter(|prefix| *prefix <= bits);
    Ok(Cidr { address, prefix: prefix.ok_or(ConvertError::Range { field })? })
}

impl From<&Listener> for v1::Listener {
    fn from(listener: &Listener) -> Self {
        Self {
            bind: listener.bind.to_string(),
            hosts: listener.hosts.clone(),
            tls: listener.tls.as_ref().map(Into::into),
            redirect_to_https: listener.redirect_to_https,
            limits: Some(listener.limits.into()),
        }
    }
}

impl TryFrom<v1::Listener> for Listener {
    type Error = ConvertError;

    fn try_from(listener: v1::Listener) -> Result<Self, ConvertError> {
        Ok(Self {
            bind: scalar::address("listener.bind", &listener.bind)?,
            hosts: listener.hosts,
            tls: listener.tls.map(TryInto::try_into).transpose()?,
            redirect_to_https: listener.redirect_to_https,
            limits: scalar::required("listener.limits", listener.limits)?.into(),
        })
    }
}

impl From<&ListenerTls> for v1::ListenerTls {
    fn from(tls: &ListenerTls) -> Self {
        let (min, source) = match tls {
            ListenerTls::Internal { min } => {
                (*min, v1::listener_tls::Source::Internal(v1::InternalCertificate {}))
            }
            ListenerTls::Files { chain, key, min } => {
                let files = v1::CertificateFiles { chain: chain.clone(), key: key.clone() };
                (*min, v1::listener_tls::Source::Files(files))
            }
        };
        let min = match min {
            TlsVersion::V1_2 => v1::TlsVersion::TlsVersion12,
            TlsVersion::V1_3 => v1::TlsVersion::TlsVersion13,
        };
        Self { min: min.into(), source: Some(source) }
    }
}

impl TryFrom<v1::ListenerTls> for ListenerTls {
    type Error = ConvertError;

    fn try_from(tls: v1::ListenerTls) -> Result<Self, ConvertError> {
        let min = match v1::TlsVersion::try_from(tls.min) {
            Ok(v1::TlsVersion::TlsVersion12) => TlsVersion::V1_2,
            Ok(v1::TlsVersion::TlsVersion13) => TlsVersion::V1_3,
            Ok(v1::TlsVersion::Unspecified) | Err(_) => {
                return Err(ConvertError::Range { field: "listener.tls.min" });
            }
        };
        Ok(match scalar::required("listener.tls.source", tls.source)? {
            v1::listener_tls::Source::Internal(v1::InternalCertificate {}) => {
                Self::Internal { min }
            }
            v1::listener_tls::Source::Files(files) => {
                Self::Files { chain: files.chain, key: files.key, min }
            }
        })
    }
}

impl From<&Route> for v1::Route {
    fn from(route: &Route) -> Self {
        let matches = route.matches.iter().map(|one| v1::RouteMatch {
            host: one.host.clone(),
            path: one.path.to_string(),
            methods: one.methods.clone(),
            headers: one.headers.clone(),
        });
        Self {
            name: route.name.to_string(),
            matches: matches.collect(),
            action: Some((&route.action).into()),
            limits: Some(route.limits.into()),
            timeout_ms: route.timeout.map(scalar::millis),
            upgrade: route.upgrade,
            request_headers: Some((&route.headers.request).into()),
            response_headers: Some((&route.headers.response).into()),
            cors_origins: route.cors_origins.clone(),
            place: Some((&route.place).into()),
        }
    }
}

impl TryFrom<v1::Route> for Route {
    type Error = ConvertError;

    fn try_from(route: v1::Route) -> Result<Self, ConvertError> {
        let matches = route.matches.into_iter().map(|one| {
            Ok(RouteMatch {
                host: one.host,
                path: scalar::path("route.match.path", &one.path)?,
                methods: one.methods,
                headers: one.headers,
            })
        });
        let headers = HeaderEdits {
            request: scalar::required("route.request_headers", route.request_headers)?.into(),
            response: scalar::required("route.response_headers", route.response_headers)?.into(),
        };
        Ok(Self {
            name: scalar::name("route.name", &route.name)?,
            matches: matches.collect::<Result<_, ConvertError>>()?,
            action: scalar::required("route.action", route.action)?.try_into()?,
            limits: scalar::required("route.limits", route.limits)?.into(),
            timeout: route.timeout_ms.map(Duration::from_millis),
            upgrade: route.upgrade,
            headers,
            cors_origins: route.cors_origins,
            place: scalar::required("route.place", route.place)?.into(),
        })
    }
}

impl From<&RouteAction> for v1::route::Action {
    fn from(action: &RouteAction) -> Self {
        match action {
            RouteAction::To { peer, rewrite } => Self::To(v1::RouteTo {
                peer: peer.to_string(),
                rewrite: rewrite.as_ref().map(|rewrite| v1::Rewrite {
                    strip_prefix: rewrite.strip_prefix.clone(),
                    add_prefix: rewrite.add_prefix.clone(),
                }),
            }),
            RouteAction::Redirect { to, status } => {
                Self::Redirect(v1::Redirect { to: to.clone(), status: (*status).into() })
            }
        }
    }
}

impl TryFrom<v1::route::Action> for RouteAction {
    type Error = ConvertError;

    fn try_from(action: v1::route::Action) -> Result<Self, ConvertError> {
        Ok(match action {
            v1::route::Action::To(to) => Self::To {
                peer: scalar::name("route.to.peer", &to.peer)?,
                rewrite: to.rewrite.map(|rewrite| Rewrite {
                    strip_prefix: rewrite.strip_prefix,
                    add_prefix: rewrite.add_prefix,
                }),
            },
            v1::route::Action::Redirect(redirect) => Self::Redirect {
                to: redirect.to,
                status: scalar::port("route.redirect.status", redirect.status)?,
            },
        })
    }
}

impl From<&HeaderEdit> for v1::HeaderEdit {
    fn from(edit: &HeaderEdit) -> Self {
        Self { set: edit.set.clone(), remove: edit.remove.clone() }
    }
}

impl From<v1::HeaderEdit> for HeaderEdit {
    fn from(edit: v1::HeaderEdit) -> Self {
        Self { set: edit.set, remove: edit.remove }
    }
}
