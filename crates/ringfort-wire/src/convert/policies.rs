//! The policies one class evaluates.

use std::collections::BTreeMap;

use ringfort_model::snapshot::{Place, PolicyRoute, PolicyService, PolicySlice, PolicySource};

use super::{ConvertError, scalar};
use crate::v1;

fn texts(names: &[ringfort_model::Name]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

impl From<&Place> for v1::Place {
    fn from(place: &Place) -> Self {
        Self { file: place.file.clone(), line: place.line }
    }
}

impl From<v1::Place> for Place {
    fn from(place: v1::Place) -> Self {
        Self { file: place.file, line: place.line }
    }
}

impl From<&PolicySlice> for v1::Policies {
    fn from(slice: &PolicySlice) -> Self {
        Self {
            policies: slice
                .policies
                .iter()
                .map(|policy| v1::Policy {
                    id: policy.id.clone(),
                    text: policy.text.clone(),
                    place: Some((&policy.place).into()),
                    generated: policy.generated,
                })
                .collect(),
            workloads: slice
                .workload_labels
                .iter()
                .map(|(name, labels)| v1::WorkloadLabels {
                    name: name.to_string(),
                    labels: texts(labels),
                })
                .collect(),
            services: slice
                .services
                .iter()
                .map(|(name, service)| v1::PolicyService {
                    name: name.to_string(),
                    protocol: v1::Protocol::from(service.protocol).into(),
                    labels: texts(&service.labels),
                })
                .collect(),
            routes: slice
                .routes
                .iter()
                .map(|(name, route)| v1::PolicyRoute {
                    name: name.to_string(),
                    service: route.service.as_ref().map(ToString::to_string),
                    gateway: route.gateway.to_string(),
                })
                .collect(),
        }
    }
}

impl TryFrom<v1::Policies> for PolicySlice {
    type Error = ConvertError;

    fn try_from(wire: v1::Policies) -> Result<Self, ConvertError> {
        let policies = wire.policies.into_iter().map(|policy| {
            Ok(PolicySource {
                id: policy.id,
                text: policy.text,
                place: scalar::required("policy.place", policy.place)?.into(),
                generated: policy.generated,
            })
        });
        let mut slice = Self { policies: policies.collect::<Result<_, _>>()?, ..Self::default() };
        for workload in wire.workloads {
            let labels = scalar::names("policies.workload.labels", &workload.labels)?;
            let name = scalar::name("policies.workload", &workload.name)?;
            scalar::insert("policies.workload", &mut slice.workload_labels, name, labels)?;
        }
        for service in wire.services {
            let value = PolicyService {
                protocol: scalar::protocol("policies.service.protocol", service.protocol)?,
                labels: scalar::names("policies.service.labels", &service.labels)?,
            };
            let name = scalar::name("policies.service", &service.name)?;
            scalar::insert("policies.service", &mut slice.services, name, value)?;
        }
        slice.routes = routes(wire.routes)?;
        Ok(slice)
    }
}

fn routes(
    wire: Vec<v1::PolicyRoute>,
) -> Result<BTreeMap<ringfort_model::Name, PolicyRoute>, ConvertError> {
    let mut routes = BTreeMap::new();
    for route in wire {
        let service =
            route.service.as_deref().map(|name| scalar::name("policies.route.service", name));
        let value = PolicyRoute {
            service: service.transpose()?,
            gateway: scalar::name("policies.route.gateway", &route.gateway)?,
        };
        let name = scalar::name("policies.route", &route.name)?;
        scalar::insert("policies.route", &mut routes, name, value)?;
    }
    Ok(routes)
}
