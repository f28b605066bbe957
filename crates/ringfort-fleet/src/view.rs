//! Reads a checked tree by field name; what is not written has the default of the language's table.

use std::{collections::BTreeSet, time::Duration};

use ringfort_model::{ByteCount, Name, Percent};

use crate::{
    decode::object_in,
    language::{Need, Object},
    scalar,
    source::Span,
    structure::head,
    yaml::Node,
};

/// The fields of one object; the node is missing when the object was not written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'n> {
    node: Option<&'n Node>,
    object: &'static Object,
}

impl<'n> View<'n> {
    pub(crate) const fn new(node: Option<&'n Node>, object: &'static Object) -> Self {
        Self { node, object }
    }

    /// The value written for a field.
    pub(crate) fn node(&self, name: &str) -> Option<&'n Node> {
        debug_assert!(self.object.field(name).is_some(), "{name} is in the table");
        self.node?.entry(name).map(|entry| &entry.value)
    }

    /// The place of the value written for a field.
    pub(crate) fn span(&self, name: &str) -> Option<Span> {
        self.node(name).map(head)
    }

    /// The place of a field's name.
    pub(crate) fn key_span(&self, name: &str) -> Option<Span> {
        self.node?.entry(name).map(|entry| entry.key_span)
    }

    /// An object written, or not, for a field.
    pub(crate) fn child(&self, name: &str, object: &'static Object) -> Self {
        Self::new(self.node(name), object)
    }

    /// The object behind a field: itself, or the long form of its value or items.
    pub(crate) fn object_of(&self, name: &str) -> Option<&'static Object> {
        object_in(&self.object.field(name)?.kind)
    }

    /// The single value of a field: as written, else its default.
    pub(crate) fn text(&self, name: &str) -> Option<&'n str> {
        if let Some(node) = self.node(name) {
            return node.text();
        }
        match self.object.field(name)?.need {
            Need::Default { value, .. } => Some(value),
            Need::Required | Need::Optional => None,
        }
    }

    pub(crate) fn name(&self, name: &str) -> Option<Name> {
        self.text(name)?.parse().ok()
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        scalar::flag(self.text(name)?, true).ok()
    }

    pub(crate) fn count(&self, name: &str) -> Option<u32> {
        scalar::count(self.text(name)?, 0, u32::MAX).ok()
    }

    pub(crate) fn port(&self, name: &str) -> Option<u16> {
        self.text(name)?.parse().ok()
    }

    pub(crate) fn duration(&self, name: &str) -> Option<Duration> {
        scalar::duration(self.text(name)?).ok()
    }

    pub(crate) fn bytes(&self, name: &str) -> Option<ByteCount> {
        scalar::byte_count(self.text(name)?).ok()
    }

    pub(crate) fn percent(&self, name: &str) -> Option<Percent> {
        scalar::percent(self.text(name)?).ok()
    }

    /// The items of a list; none when it was not written.
    pub(crate) fn items(&self, name: &str) -> &'n [Node] {
        self.node(name).map_or(&[], Node::items)
    }

    /// The texts of a list.
    pub(crate) fn texts(&self, name: &str) -> Vec<&'n str> {
        self.items(name).iter().filter_map(Node::text).collect()
    }

    /// The names of a list; `None` when it was not written.
    pub(crate) fn names(&self, name: &str) -> Option<BTreeSet<Name>> {
        self.node(name)?;
        self.texts(name).into_iter().map(|text| text.parse().ok()).collect()
    }
}
