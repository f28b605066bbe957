//! Reports for people, drawn by annotate-snippets.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::{Problem, Severity, Spot, source::wide};

/// Draws all problems, in colours if asked.
#[must_use]
pub fn text(problems: &[Problem], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let reports: Vec<String> = problems.iter().map(|problem| one(problem, &renderer)).collect();
    let mut all = reports.join("\n\n");
    if !all.is_empty() {
        all.push('\n');
    }
    all
}

fn one(problem: &Problem, renderer: &Renderer) -> String {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group =
        Group::with_title(level.primary_title(problem.message.as_str()).id(problem.code));
    if let Some(spot) = &problem.spot {
        let near = problem.second.as_ref().filter(|(second, _)| *second.file == *spot.file);
        group = group.element(snippet(spot, AnnotationKind::Primary, None));
        if let Some((second, label)) = &problem.second {
            if near.is_none() {
                group = group.element(Origin::path(second.file.as_ref()).line(wide(second.line)));
            }
            group = group.element(snippet(second, AnnotationKind::Context, Some(label)));
        }
    }
    if let Some(help) = &problem.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group]).to_string()
}

fn snippet<'p>(
    spot: &'p Spot,
    kind: AnnotationKind,
    label: Option<&'p String>,
) -> Snippet<'p, annotate_snippets::Annotation<'p>> {
    let from = wide(spot.column).saturating_sub(1).saturating_sub(wide(spot.cut));
    let to = from.saturating_add(wide(spot.length));
    let byte = |character: usize| {
        spot.text.char_indices().nth(character).map_or(spot.text.len(), |(at, _)| at)
    };
    let annotation = kind.span(byte(from)..byte(to)).label(label.map(String::as_str));
    Snippet::source(spot.text.as_str())
        .line_start(wide(spot.line))
        .path(spot.file.as_ref())
        .annotation(annotation)
}
