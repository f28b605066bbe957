//! The policies that lines of the fleet file stand for.
//!
//! Their texts are made here and nowhere else, so that an explanation knows what it may suggest about them.

use ringfort_model::{Name, Operation};

/// The permit of one `calls:` entry; `only` narrows it to these operations, and an empty list permits nothing.
#[must_use]
pub fn call_permit(caller: &Name, service: &Name, only: Option<&[Operation]>) -> String {
    let scope = call_scope(caller, service);
    match only {
        None => format!("permit ({scope});"),
        Some([]) => format!("permit ({scope}) when {{ false }};"),
        Some(operations) => {
            let list: Vec<String> =
                operations.iter().map(|operation| quoted(&operation.to_string())).collect();
            let list = list.join(", ");
            format!(
                "permit ({scope})\nwhen {{ context has operation && [{list}].contains(context.operation) }};"
            )
        }
    }
}

/// The permit of one route with `user: none`: anybody may visit it.
#[must_use]
pub fn visit_permit(route: &Name) -> String {
    format!("permit ({});", visit_scope(route))
}

pub(crate) fn call_scope(caller: &Name, service: &Name) -> String {
    format!(
        "principal == Workload::{}, action == Action::\"call\", resource == Service::{}",
        quoted(caller.as_str()),
        quoted(service.as_str())
    )
}

pub(crate) fn visit_scope(route: &Name) -> String {
    format!("principal, action == Action::\"visit\", resource == Route::{}", quoted(route.as_str()))
}

/// A Cedar string literal with exactly this value.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}

#[cfg(test)]
mod tests;
