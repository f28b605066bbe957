//! Endpoints: where a service's sidecars accept mTLS, beside the revision.

use ringfort_model::{Name, snapshot::Endpoint};

use super::{ConvertError, scalar};
use crate::v1;

impl From<&Endpoint> for v1::Endpoint {
    fn from(endpoint: &Endpoint) -> Self {
        Self { address: endpoint.address.to_string(), labels: endpoint.labels.clone() }
    }
}

impl TryFrom<v1::Endpoint> for Endpoint {
    type Error = ConvertError;

    fn try_from(endpoint: v1::Endpoint) -> Result<Self, ConvertError> {
        let address = scalar::address("endpoint.address", &endpoint.address)?;
        Ok(Self { address, labels: endpoint.labels })
    }
}

impl TryFrom<v1::Endpoints> for (Name, Vec<Endpoint>) {
    type Error = ConvertError;

    fn try_from(endpoints: v1::Endpoints) -> Result<Self, ConvertError> {
        let service = scalar::name("endpoints.service", &endpoints.service)?;
        let list = endpoints.endpoints.into_iter().map(TryInto::try_into);
        Ok((service, list.collect::<Result<_, _>>()?))
    }
}
