//! Compares a tree with the table of the language: fields, shapes, single values, references, files.
//!
//! Also notes which written fields this build cannot enforce, and which files of the folder are used. Does not compare
//! fields with each other.

use std::collections::{BTreeMap, BTreeSet};

use ringfort_model::Ring;

use crate::{
    language::{Field, Kind, Need, Object, Space, Text},
    problem::{Problem, Problems},
    scalar,
    source::Span,
    suggest,
    yaml::{Entry, Node, Value},
};

/// Every name of the fleet by space, gathered before references are resolved.
pub(crate) type Names = BTreeMap<Space, BTreeSet<String>>;

/// The structural check of one fleet.
pub(crate) struct Structure<'c, 's> {
    names: &'c Names,
    /// Paths of all files in the folder.
    files: &'c BTreeSet<&'c str>,
    problems: &'c mut Problems<'s>,
    /// Files some field refers to.
    used: BTreeSet<String>,
    /// What was written and cannot be enforced by this build.
    demands: Vec<Problem>,
    /// Places of the keys of named items that have problems.
    broken: BTreeSet<Span>,
    /// The place of the key or item whose object is being read.
    at: Option<Span>,
}

impl<'c, 's> Structure<'c, 's> {
    pub(crate) const fn new(
        names: &'c Names,
        files: &'c BTreeSet<&'c str>,
        problems: &'c mut Problems<'s>,
    ) -> Self {
        Self {
            names,
            files,
            problems,
            used: BTreeSet::new(),
            demands: Vec::new(),
            broken: BTreeSet::new(),
            at: None,
        }
    }

    /// Files that some field names, demands that cannot be met, and the places of the names of faulty items.
    pub(crate) fn finish(self) -> (BTreeSet<String>, Vec<Problem>, BTreeSet<Span>) {
        (self.used, self.demands, self.broken)
    }

    /// Checks the fields of `node` against `object`; `path` names the node in sentences and is empty at the top.
    pub(crate) fn object(&mut self, object: &'static Object, node: &Node, path: &str) {
        let Value::Map(entries) = &node.value else {
            self.shape(node, path, "a map of fields", None);
            return;
        };
        for entry in entries {
            match object.field(&entry.key) {
                Some(field) => self.field(field, entry, &join(path, &entry.key)),
                None => self.unknown(object, entry, path),
            }
        }
        for field in object.fields {
            if matches!(field.need, Need::Required) && node.entry(field.name).is_none() {
                self.missing(object, field, node, path);
            }
        }
        for group in object.exactly_one {
            self.one_of(group, node, path);
        }
    }

    fn field(&mut self, field: &'static Field, entry: &Entry, path: &str) {
        if entry.value.is_blank() {
            let message = format!("`{path}` is empty");
            let help = "write a value, or remove the field to leave it out";
            self.problems.error("RF0011", entry.key_span, message).help(help).done();
            return;
        }
        if let Some(lacks) = field.unbuilt {
            self.demand(entry.key_span, path, lacks);
        }
        self.within(entry.key_span, &field.kind, &entry.value, path);
    }

    /// Notes a written demand that this build cannot enforce.
    fn demand(&mut self, span: Span, path: &str, lacks: &str) {
        let mut problem = Problem::new(
            "RF1004",
            format!("`{path}` needs {lacks}, which this build does not have"),
        );
        problem.spot = Some(self.problems.sources().spot(span));
        problem.help = Some("remove it: nothing would enforce it".to_owned());
        self.demands.push(problem);
    }

    /// Reads what stands under a key or in an item.
    fn within(&mut self, at: Span, kind: &'static Kind, node: &Node, path: &str) {
        let outer = self.at.replace(at);
        self.kind(kind, node, path);
        self.at = outer;
    }

    fn kind(&mut self, kind: &'static Kind, node: &Node, path: &str) {
        match kind {
            Kind::Text(text) => self.text(*text, node, path),
            Kind::Object(object) => self.object(object, node, path),
            Kind::List(item) => self.list(item, node, path),
            Kind::Map { key, value } => self.map(*key, value, node, path),
            Kind::Forms(forms) => match forms.iter().find(|form| fits(form, node)) {
                Some(form) => self.kind(form, node, path),
                None => {
                    let shapes = forms.iter().map(shape_of).collect::<Vec<_>>().join(" or ");
                    self.shape(node, path, &shapes, None);
                }
            },
        }
    }

    fn list(&mut self, item: &'static Kind, node: &Node, path: &str) {
        let Value::List(items) = &node.value else {
            let help = node.text().map(|text| format!("`[{text}]`"));
            self.shape(node, path, "a list", help);
            return;
        };
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        for node in items {
            if node.is_blank() {
                let message = format!("an item of `{path}` is empty");
                self.problems.error("RF0011", node.span, message).help("remove it").done();
                continue;
            }
            if let Some(text) = node.text()
                && let Some(first) = seen.insert(text, node.span)
                && !path.ends_with(".run.command")
            {
                let message = format!("`{text}` is listed twice in `{path}`");
                let problem = self.problems.error("RF0003", node.span, message);
                problem.second(first, "first here").help("remove one of the two").done();
            }
            self.within(head(node), item, node, path);
        }
    }

    fn map(&mut self, key: Text, value: &'static Kind, node: &Node, path: &str) {
        let Value::Map(entries) = &node.value else {
            self.shape(node, path, "a map of names", None);
            return;
        };
        for entry in entries {
            let inner = join(path, &entry.key);
            let before = self.problems.count();
            if let Err(fault) = scalar::check(key, &entry.key, true) {
                let problem = self.problems.error(fault.code, entry.key_span, fault.message);
                problem.help_if(fault.help).done();
            }
            if entry.value.is_blank() {
                let message = format!("`{inner}` is empty");
                let help = "say something about it, or remove it";
                self.problems.error("RF0011", entry.key_span, message).help(help).done();
            } else {
                self.within(entry.key_span, value, &entry.value, &inner);
            }
            if self.problems.count() > before {
                self.broken.insert(entry.key_span);
            }
        }
    }

    fn text(&mut self, kind: Text, node: &Node, path: &str) {
        let Value::Scalar { text, plain } = &node.value else {
            self.shape(node, path, "a single value", None);
            return;
        };
        if let Err(fault) = scalar::check(kind, text, *plain) {
            let field = path.rsplit('.').next().unwrap_or(path);
            let message = fault.message.replace(
                &format!("`{text}` has no unit"),
                &format!("`{field}: {text}` has no unit"),
            );
            let problem = self.problems.error(fault.code, node.span, message);
            problem.help_if(fault.help).done();
            return;
        }
        if let Text::Reference(space) = kind {
            self.reference(space, text, node.span);
        } else if kind == Text::File {
            self.file(text, node.span);
        } else if kind == Text::Operation && matches!(scalar::operation(text), Ok(None)) {
            let lacks = format!("the ring `{}` to know what an operationId covers", Ring::Contract);
            self.demand(node.span, path, &lacks);
        }
    }

    fn reference(&mut self, space: Space, text: &str, span: Span) {
        let known = self.names.get(&space);
        if known.is_some_and(|known| known.contains(text)) {
            return;
        }
        let noun = space.noun();
        let known = known.into_iter().flatten().map(String::as_str);
        let other = self.names.iter().find(|(_, names)| names.contains(text));
        let help = if let Some(near) = suggest::nearest(text, known) {
            format!("there is a {noun} named `{near}`")
        } else if let Some((other, _)) = other {
            format!("`{text}` is a {}", other.noun())
        } else {
            "define it, or remove what names it".to_owned()
        };
        self.problems.error("RF0004", span, format!("no {noun} named `{text}`")).help(help).done();
    }

    fn file(&mut self, text: &str, span: Span) {
        if self.files.contains(text) {
            self.used.insert(text.to_owned());
            return;
        }
        let near = suggest::nearest(text, self.files.iter().copied());
        let help = match near {
            Some(near) => format!("there is a file `{near}`"),
            None => "put the file into the folder".to_owned(),
        };
        let message = format!("no file `{text}` in the fleet folder");
        self.problems.error("RF0015", span, message).help(help).done();
    }

    fn unknown(&mut self, object: &'static Object, entry: &Entry, path: &str) {
        let place = if path.is_empty() { "a fleet file".to_owned() } else { format!("`{path}`") };
        let message = format!("unknown field `{}` in {place}", entry.key);
        let fields = object.fields.iter().map(|field| field.name);
        let help = match suggest::nearest(&entry.key, fields.clone()) {
            Some(near) => format!("`{near}`"),
            None => format!("fields here: {}", fields.collect::<Vec<_>>().join(", ")),
        };
        self.problems.error("RF0002", entry.key_span, message).help(help).done();
    }

    fn missing(&mut self, object: &Object, field: &Field, node: &Node, path: &str) {
        let span = self.at.unwrap_or_else(|| head(node));
        if object.name == "route" && field.name == "user" {
            let name = path.rsplit('.').next().unwrap_or(path);
            let message = format!("route `{name}` does not say who may use it");
            let help = "`user: none` makes it public";
            self.problems.error("RF0401", span, message).help(help).done();
            return;
        }
        let name = field.name;
        if path.is_empty() {
            let message = "the file does not say which language it is written in";
            self.problems
                .error("RF0016", span, message)
                .help("begin it with `ringfort: v1`")
                .done();
            return;
        }
        let message = format!("`{path}` has no `{name}`");
        self.problems.error("RF0009", span, message).help(format!("add `{name}:`")).done();
    }

    fn one_of(&mut self, group: &[&str], node: &Node, path: &str) {
        let written: Vec<&Entry> = group.iter().filter_map(|name| node.entry(name)).collect();
        let words = group.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
        match written.as_slice() {
            [] => {
                let message = format!("`{path}` says neither {}", words.replace(" or ", " nor "));
                let help = format!("add {words}");
                let span = self.at.unwrap_or_else(|| head(node));
                self.problems.error("RF0009", span, message).help(help).done();
            }
            [_] => {}
            [first, second, ..] => {
                let message = format!("`{}` and `{}` exclude each other", first.key, second.key);
                let problem = self.problems.error("RF0017", second.key_span, message);
                problem.second(first.key_span, "first here").help("keep one of the two").done();
            }
        }
    }

    fn shape(&mut self, node: &Node, path: &str, wanted: &str, help: Option<String>) {
        let place = if path.is_empty() { "a fleet file".to_owned() } else { format!("`{path}`") };
        let message = format!("{place} is {}, not {wanted}", node.shape());
        self.problems.error("RF0010", head(node), message).help_if(help).done();
    }
}

/// The part of a node worth underlining: its first key, or itself.
pub(crate) fn head(node: &Node) -> Span {
    match &node.value {
        Value::Map(entries) => entries.first().map_or(node.span, |entry| entry.key_span),
        Value::List(items) => items.first().map_or(node.span, head),
        Value::Scalar { .. } => node.span,
    }
}

fn fits(kind: &Kind, node: &Node) -> bool {
    match (kind, &node.value) {
        (Kind::Text(_), Value::Scalar { .. })
        | (Kind::Object(_) | Kind::Map { .. }, Value::Map(_))
        | (Kind::List(_), Value::List(_)) => true,
        (Kind::Forms(forms), _) => forms.iter().any(|form| fits(form, node)),
        (Kind::Text(_), Value::List(_) | Value::Map(_))
        | (Kind::Object(_) | Kind::Map { .. }, Value::Scalar { .. } | Value::List(_))
        | (Kind::List(_), Value::Scalar { .. } | Value::Map(_)) => false,
    }
}

fn shape_of(kind: &Kind) -> String {
    match kind {
        Kind::Text(_) => "a single value".to_owned(),
        Kind::Object(_) => "a map of fields".to_owned(),
        Kind::Map { .. } => "a map of names".to_owned(),
        Kind::List(_) => "a list".to_owned(),
        Kind::Forms(forms) => forms.iter().map(shape_of).collect::<Vec<_>>().join(" or "),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
