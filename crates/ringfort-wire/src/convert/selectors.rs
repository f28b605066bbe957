//! What an agent attested, on its way to the server.

use ringfort_model::{
    Digest, Selectors,
    selectors::{Part, StartedAs},
};

use super::{ConvertError, scalar};
use crate::v1;

impl From<&Selectors> for v1::Selectors {
    fn from(selectors: &Selectors) -> Self {
        Self {
            pid: selectors.pid,
            uid: selectors.uid,
            gid: selectors.gid,
            unix_user: selectors.unix_user.clone(),
            unix_group: selectors.unix_group.clone(),
            exe: selectors.exe.clone(),
            exe_sha256: selectors.exe_sha256.as_bytes().to_vec().into(),
            started_as: selectors.started_as.as_ref().map(|started| v1::StartedAs {
                workload: started.workload.to_string(),
                part: match started.part {
                    Part::Program => v1::Part::Program,
                    Part::Proxy => v1::Part::Proxy,
                }
                .into(),
            }),
        }
    }
}

impl TryFrom<v1::Selectors> for Selectors {
    type Error = ConvertError;

    fn try_from(selectors: v1::Selectors) -> Result<Self, ConvertError> {
        Ok(Self {
            pid: selectors.pid,
            uid: selectors.uid,
            gid: selectors.gid,
            unix_user: selectors.unix_user,
            unix_group: selectors.unix_group,
            exe: selectors.exe,
            exe_sha256: digest("selectors.exe_sha256", &selectors.exe_sha256)?,
            started_as: selectors.started_as.map(TryInto::try_into).transpose()?,
        })
    }
}

impl TryFrom<v1::StartedAs> for StartedAs {
    type Error = ConvertError;

    fn try_from(started: v1::StartedAs) -> Result<Self, ConvertError> {
        let part = match v1::Part::try_from(started.part) {
            Ok(v1::Part::Program) => Part::Program,
            Ok(v1::Part::Proxy) => Part::Proxy,
            Ok(v1::Part::Unspecified) | Err(_) => {
                return Err(ConvertError::Range { field: "selectors.started_as.part" });
            }
        };
        Ok(Self {
            workload: scalar::name("selectors.started_as.workload", &started.workload)?,
            part,
        })
    }
}

/// Reads 32 bytes as a digest.
///
/// # Errors
/// [`ConvertError::Range`] for any other length.
pub(crate) fn digest(field: &'static str, bytes: &[u8]) -> Result<Digest, ConvertError> {
    let bytes = <[u8; 32]>::try_from(bytes).map_err(|_length| ConvertError::Range { field })?;
    Ok(Digest::new(bytes))
}
