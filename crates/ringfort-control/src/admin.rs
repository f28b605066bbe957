//! What an operator asks: apply, status, renew, explain, export, history. Only the server's own user and root get here.

use std::{collections::BTreeMap, error::Error, fmt::Write as _, sync::Arc};

use ringfort_fleet::render;
use ringfort_model::Revision;
use ringfort_store::{ApplyRevisionError, ExportRevisionError, Files, QueryStoreError};
use ringfort_wire::v1::{self, admin_server::Admin, apply_response::Outcome as Answer};
use tonic::{Request, Response, Status};

use crate::{
    apply::{ApplyFleetError, Order, PrepareFleetError, rejected},
    explain,
    link::millis,
    server::Server,
    status,
};

/// The service.
#[derive(Debug, Clone)]
pub(crate) struct AdminService {
    pub(crate) server: Arc<Server>,
}

#[tonic::async_trait]
impl Admin for AdminService {
    async fn apply(
        &self,
        request: Request<v1::ApplyRequest>,
    ) -> Result<Response<v1::ApplyResponse>, Status> {
        let request = request.into_inner();
        let order = Order {
            files: files(request.files)?,
            base: request.base_revision.map(Revision::new),
            author: request.author,
            message: request.message,
        };
        // On the tracker: an operator who goes away cuts no apply in half.
        let server = Arc::clone(&self.server);
        let work = self.server.tracker.spawn(async move { server.apply(order).await });
        let done = work.await.map_err(|_panicked| Status::internal("the apply was cut off"))?;
        let outcome = match done {
            Ok(outcome) => Answer::Applied(v1::Applied {
                revision: outcome.record.revision.number(),
                digest: outcome.record.digest.as_bytes().to_vec().into(),
                unchanged: outcome.unchanged,
                classes: outcome.changed.iter().map(ToString::to_string).collect(),
                warnings_text: match outcome.warnings.as_slice() {
                    [] => String::new(),
                    warnings => render::text(warnings, false),
                },
                warnings_json: render::json(&outcome.warnings).to_string(),
            }),
            Err(ApplyFleetError::Prepare(PrepareFleetError::Problems(problems))) => {
                Answer::Rejected(rejected(&problems))
            }
            Err(error) => return Err(apply_status(&error)),
        };
        Ok(Response::new(v1::ApplyResponse { outcome: Some(outcome) }))
    }

    async fn status(
        &self,
        _request: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        Ok(Response::new(status::report(&self.server)))
    }

    async fn renew(
        &self,
        request: Request<v1::RenewRequest>,
    ) -> Result<Response<v1::RenewResponse>, Status> {
        if !request.into_inner().all {
            return Err(Status::invalid_argument(
                "say `all`: single workloads cannot be renewed yet",
            ));
        }
        let (epoch, classes) = self.server.renew().await.map_err(|error| failed(&error))?;
        Ok(Response::new(v1::RenewResponse { epoch, classes }))
    }

    async fn explain(
        &self,
        request: Request<v1::ExplainRequest>,
    ) -> Result<Response<v1::ExplainResponse>, Status> {
        let world = self.server.world();
        let Some(in_force) = &world.in_force else {
            return Err(Status::failed_precondition("no fleet is in force: run `ringfort apply`"));
        };
        let request = request.into_inner();
        let classes = in_force.classes.values();
        explain::explain(classes.map(|class| class.content.snapshot.as_ref()), &request)
            .map(Response::new)
            .map_err(|refusal| Status::invalid_argument(refusal.to_string()))
    }

    async fn export(
        &self,
        request: Request<v1::ExportRequest>,
    ) -> Result<Response<v1::ExportResponse>, Status> {
        let store = &self.server.keys.store;
        let head = match request.into_inner().revision {
            Some(number) => {
                let export = store.export(Revision::new(number)).await;
                export.map_err(|error| match error {
                    ExportRevisionError::Unknown(_) | ExportRevisionError::Compacted(_) => {
                        Status::not_found(error.to_string())
                    }
                    ExportRevisionError::Query(source) => store_failed(&source),
                })?
            }
            None => {
                let head = store.head().await.map_err(|error| store_failed(&error))?;
                head.ok_or_else(|| Status::not_found("nothing was applied yet"))?
            }
        };
        let files = head.files.into_iter();
        Ok(Response::new(v1::ExportResponse {
            revision: head.record.revision.number(),
            digest: head.record.digest.as_bytes().to_vec().into(),
            files: files.map(|(path, bytes)| v1::File { path, bytes: bytes.into() }).collect(),
        }))
    }

    async fn history(
        &self,
        request: Request<v1::HistoryRequest>,
    ) -> Result<Response<v1::HistoryResponse>, Status> {
        let limit = request.into_inner().limit;
        let history = self.server.keys.store.history(limit).await;
        let records = history.map_err(|error| store_failed(&error))?;
        let revisions = records.into_iter().map(|record| v1::RevisionInfo {
            revision: record.revision.number(),
            digest: record.digest.as_bytes().to_vec().into(),
            applied_at_ms: millis(record.applied_at),
            author: record.author,
            message: record.message,
        });
        Ok(Response::new(v1::HistoryResponse { revisions: revisions.collect() }))
    }
}

/// Takes the files of an apply; what their paths may be is for the fleet's own checks.
fn files(list: Vec<v1::File>) -> Result<Files, Status> {
    let mut files = BTreeMap::new();
    for file in list {
        if let Some(_twice) = files.insert(file.path.clone(), file.bytes.to_vec()) {
            let path = file.path.escape_debug();
            return Err(Status::invalid_argument(format!("the file `{path}` was given twice")));
        }
    }
    Ok(files)
}

fn apply_status(error: &ApplyFleetError) -> Status {
    match error {
        ApplyFleetError::Note => Status::invalid_argument(error.to_string()),
        ApplyFleetError::Store(ApplyRevisionError::Base { .. }) => {
            Status::failed_precondition(error.to_string())
        }
        ApplyFleetError::Prepare(PrepareFleetError::Oversize(_)) => {
            Status::invalid_argument(error.to_string())
        }
        ApplyFleetError::Compiler(_)
        | ApplyFleetError::Prepare(
            PrepareFleetError::Policies { .. } | PrepareFleetError::Problems(_),
        )
        | ApplyFleetError::Keys(_)
        | ApplyFleetError::Store(ApplyRevisionError::Query(_)) => failed(error),
    }
}

fn store_failed(error: &QueryStoreError) -> Status {
    failed(error)
}

/// A failure of the server's own, with its causes: the operator on this socket may read them.
fn failed(error: &dyn Error) -> Status {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        // Writing to a string cannot fail.
        let _infallible = write!(text, ": {source}");
        cause = source.source();
    }
    tracing::error!(error = text, "an operator's request failed");
    Status::internal(text)
}
