//! Reports for people, drawn by annotate-snippets.

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};

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
        let main = snippet(spot).annotation(mark(spot, AnnotationKind::Primary));
        match &problem.second {
            Some((second, label)) if is_same_line(spot, second) => {
                let also = mark(second, AnnotationKind::Context).label(label.as_str());
                group = group.element(main.annotation(also));
            }
            Some((second, label)) => {
                let also = mark(second, AnnotationKind::Context).label(label.as_str());
                group = group.element(main).element(snippet(second).annotation(also));
            }
            None => group = group.element(main),
        }
    }
    if let Some(help) = &problem.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group]).to_string()
}

fn is_same_line(a: &Spot, b: &Spot) -> bool {
    a.file == b.file && a.line == b.line && a.cut == b.cut
}

fn snippet(spot: &Spot) -> Snippet<'_, Annotation<'_>> {
    Snippet::source(spot.text.as_str()).line_start(wide(spot.line)).path(spot.file.as_ref())
}

fn mark(spot: &Spot, kind: AnnotationKind) -> Annotation<'_> {
    let from = wide(spot.column).saturating_sub(1).saturating_sub(wide(spot.cut));
    let to = from.saturating_add(wide(spot.length));
    let byte = |character: usize| {
        spot.text.char_indices().nth(character).map_or(spot.text.len(), |(at, _)| at)
    };
    kind.span(byte(from)..byte(to))
}
