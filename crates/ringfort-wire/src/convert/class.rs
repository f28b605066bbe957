//! The class: what a sidecar or gateway is and does.

use std::{collections::BTreeMap, time::Duration};

use ringfort_model::{
    ByteCount, Limits, Operation, Resilience, Snapshot,
    limits::CertificateTerms,
    snapshot::{Caller, LocalService, Role, Sidecar},
};

use super::{ConvertError, scalar};
use crate::v1;

impl From<&Snapshot> for v1::Class {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            spiffe_id: snapshot.class.to_string(),
            trust_domain: snapshot.trust_domain.to_string(),
            workload: snapshot.workload.to_string(),
            role: Some(match &snapshot.role {
                Role::Sidecar(sidecar) => v1::class::Role::Sidecar(sidecar.into()),
                Role::Gateway(gateway) => v1::class::Role::Gateway(gateway.into()),
            }),
            certificates: Some(snapshot.certificates.into()),
            access_log_2xx_percent: snapshot.access_log_2xx.as_u8().into(),
        }
    }
}

impl TryFrom<v1::class::Role> for Role {
    type Error = ConvertError;

    fn try_from(role: v1::class::Role) -> Result<Self, ConvertError> {
        Ok(match role {
            v1::class::Role::Sidecar(sidecar) => Self::Sidecar(sidecar.try_into()?),
            v1::class::Role::Gateway(gateway) => Self::Gateway(gateway.try_into()?),
        })
    }
}

impl From<CertificateTerms> for v1::CertificateTerms {
    fn from(terms: CertificateTerms) -> Self {
        Self { ttl_ms: scalar::millis(terms.ttl), renew_at_percent: terms.renew_at.as_u8().into() }
    }
}

impl TryFrom<v1::CertificateTerms> for CertificateTerms {
    type Error = ConvertError;

    fn try_from(terms: v1::CertificateTerms) -> Result<Self, ConvertError> {
        Ok(Self {
            ttl: Duration::from_millis(terms.ttl_ms),
            renew_at: scalar::percent("certificates.renew_at_percent", terms.renew_at_percent)?,
        })
    }
}

impl From<&Sidecar> for v1::Sidecar {
    fn from(sidecar: &Sidecar) -> Self {
        Self {
            local: sidecar.local.as_ref().map(Into::into),
            callers: sidecar
                .callers
                .iter()
                .map(|(name, caller)| v1::Caller {
                    name: name.to_string(),
                    spiffe_id: caller.id.to_string(),
                    operations: caller.operations.as_ref().map(|operations| v1::OperationList {
                        operations: operations.iter().map(Into::into).collect(),
                    }),
                })
                .collect(),
            outbound: sidecar
                .outbound
                .iter()
                .map(|(name, port)| (name.to_string(), u32::from(*port)))
                .collect(),
            http_proxy: sidecar.http_proxy.map(u32::from),
        }
    }
}

impl TryFrom<v1::Sidecar> for Sidecar {
    type Error = ConvertError;

    fn try_from(sidecar: v1::Sidecar) -> Result<Self, ConvertError> {
        let mut callers = BTreeMap::new();
        for caller in sidecar.callers {
            let name = scalar::name("caller.name", &caller.name)?;
            scalar::insert("caller", &mut callers, name, caller.try_into()?)?;
        }
        let outbound = sidecar.outbound.iter().map(|(name, port)| {
            Ok((scalar::name("outbound", name)?, scalar::port("outbound", *port)?))
        });
        Ok(Self {
            local: sidecar.local.map(TryInto::try_into).transpose()?,
            callers,
            outbound: outbound.collect::<Result<_, ConvertError>>()?,
            http_proxy: sidecar
                .http_proxy
                .map(|port| scalar::port("http_proxy", port))
                .transpose()?,
        })
    }
}

impl TryFrom<v1::Caller> for Caller {
    type Error = ConvertError;

    fn try_from(caller: v1::Caller) -> Result<Self, ConvertError> {
        let operations = caller
            .operations
            .map(|list| list.operations.into_iter().map(TryInto::try_into).collect())
            .transpose()?;
        Ok(Self { id: scalar::spiffe_id("caller.spiffe_id", &caller.spiffe_id)?, operations })
    }
}

impl From<&Operation> for v1::Operation {
    fn from(operation: &Operation) -> Self {
        let kind = match operation {
            Operation::Http { method, pattern } => v1::operation::Kind::Http(v1::HttpOperation {
                method: method.clone(),
                pattern: pattern.to_string(),
            }),
            Operation::Grpc { service, method } => v1::operation::Kind::Grpc(v1::GrpcOperation {
                service: service.clone(),
                method: method.clone(),
            }),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<v1::Operation> for Operation {
    type Error = ConvertError;

    fn try_from(operation: v1::Operation) -> Result<Self, ConvertError> {
        Ok(match scalar::required("operation.kind", operation.kind)? {
            v1::operation::Kind::Http(http) => Self::Http {
                method: http.method,
                pattern: scalar::path("operation.pattern", &http.pattern)?,
            },
            v1::operation::Kind::Grpc(grpc) => {
                Self::Grpc { service: grpc.service, method: grpc.method }
            }
        })
    }
}

impl From<&LocalService> for v1::LocalService {
    fn from(local: &LocalService) -> Self {
        Self {
            address: local.address.to_string(),
            protocol: v1::Protocol::from(local.protocol).into(),
            normalization: v1::Normalization::from(local.normalization).into(),
            limits: Some(local.limits.into()),
            resilience: Some(local.resilience.into()),
            bind: local.bind.map(|bind| bind.to_string()),
        }
    }
}

impl TryFrom<v1::LocalService> for LocalService {
    type Error = ConvertError;

    fn try_from(local: v1::LocalService) -> Result<Self, ConvertError> {
        Ok(Self {
            address: scalar::address("local.address", &local.address)?,
            protocol: scalar::protocol("local.protocol", local.protocol)?,
            normalization: scalar::normalization("local.normalization", local.normalization)?,
            limits: scalar::required("local.limits", local.limits)?.into(),
            resilience: scalar::required("local.resilience", local.resilience)?.into(),
            bind: local
                .bind
                .as_deref()
                .map(|bind| scalar::address("local.bind", bind))
                .transpose()?,
        })
    }
}

impl From<Limits> for v1::Limits {
    fn from(limits: Limits) -> Self {
        Self {
            body_bytes: limits.body.as_u64(),
            url_bytes: limits.url.as_u64(),
            header_bytes: limits.header_bytes.as_u64(),
            header_count: limits.header_count,
            header_timeout_ms: scalar::millis(limits.header_timeout),
            body_idle_ms: scalar::millis(limits.body_idle),
            idle_ms: scalar::millis(limits.idle),
            streams: limits.streams,
            connections: limits.connections,
        }
    }
}

impl From<v1::Limits> for Limits {
    fn from(limits: v1::Limits) -> Self {
        Self {
            body: ByteCount::bytes(limits.body_bytes),
            url: ByteCount::bytes(limits.url_bytes),
            header_bytes: ByteCount::bytes(limits.header_bytes),
            header_count: limits.header_count,
            header_timeout: Duration::from_millis(limits.header_timeout_ms),
            body_idle: Duration::from_millis(limits.body_idle_ms),
            idle: Duration::from_millis(limits.idle_ms),
            streams: limits.streams,
            connections: limits.connections,
        }
    }
}

impl From<Resilience> for v1::Resilience {
    fn from(resilience: Resilience) -> Self {
        Self {
            timeout_ms: scalar::millis(resilience.timeout),
            connect_ms: scalar::millis(resilience.connect),
            concurrency: resilience.concurrency,
        }
    }
}

impl From<v1::Resilience> for Resilience {
    fn from(resilience: v1::Resilience) -> Self {
        Self {
            timeout: Duration::from_millis(resilience.timeout_ms),
            connect: Duration::from_millis(resilience.connect_ms),
            concurrency: resilience.concurrency,
        }
    }
}
