//! The templates of one owner, by event type and part. Each is compiled when it is first used.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock};

use fanfare_contract::Part;

use super::compile::{Compiled, compile, expanded};
use super::error::TemplateError;
use super::sources::{File, Layer, Name, Origin};

/// The built-in templates. All engines share them, so a reload of tenants does not compile them
/// again. Compiling at first use keeps the start fast. This crate's tests compile and render all of
/// them.
pub(super) static BUILTIN: LazyLock<TemplateSet> = LazyLock::new(|| {
    let (layer, _) = Layer::builtin();
    let files = layer.templates.clone();
    TemplateSet::new(vec![Arc::new(layer)], files)
});

/// A template that may not be compiled yet.
pub(super) struct Slot {
    pub(super) name: Name,
    file: File,
    compiled: OnceLock<Result<Compiled, TemplateError>>,
}

/// Templates, and the layers that hold their partials.
#[derive(Default)]
pub(super) struct TemplateSet {
    /// The owner's layer first.
    pub(super) layers: Vec<Arc<Layer>>,
    slots: HashMap<String, [Option<Slot>; 4]>,
}

impl TemplateSet {
    pub(super) fn new(
        layers: Vec<Arc<Layer>>,
        files: impl IntoIterator<Item = (Name, File)>,
    ) -> Self {
        let mut set = Self { layers, slots: HashMap::new() };
        for (name, file) in files {
            let parts = set.slots.entry(name.kind.clone()).or_default();
            let at = place(name.part);
            parts[at] = Some(Slot { name, file, compiled: OnceLock::new() });
        }
        set
    }

    /// The compiled template of this type and part, if the set has one.
    pub(super) fn get(&self, kind: &str, part: Part) -> Option<Result<&Compiled, TemplateError>> {
        let slot = self.slots.get(kind)?[place(part)].as_ref()?;
        Some(self.compiled(slot).map_err(Clone::clone))
    }

    /// Whether there is a template of this name.
    pub(super) fn has(&self, name: &Name) -> bool {
        self.slots.get(&name.kind).is_some_and(|parts| parts[place(name.part)].is_some())
    }

    /// The template in this slot, which is compiled now if it was not before.
    pub(super) fn compiled<'a>(
        &'a self,
        slot: &'a Slot,
    ) -> Result<&'a Compiled, &'a TemplateError> {
        slot.compiled.get_or_init(|| compile(&self.layers, &slot.name, &slot.file)).as_ref()
    }

    /// Removes a template, so that the one in the next set applies.
    pub(super) fn remove(&mut self, name: &Name) {
        if let Some(parts) = self.slots.get_mut(&name.kind) {
            parts[place(name.part)] = None;
        }
    }

    /// The source of a template as it was written, and its origin.
    pub(super) fn source(&self, name: &Name) -> Option<(&str, Origin)> {
        let slot = self.slots.get(&name.kind)?[place(name.part)].as_ref()?;
        Some((&slot.file.source, slot.file.origin))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.slots.values().flatten().flatten()
    }

    /// The templates that use a partial which `layer` replaces.
    pub(super) fn that_use<'a>(
        &'a self,
        layer: &'a Layer,
    ) -> impl Iterator<Item = (Name, File)> + 'a {
        let uses = |slot: &&Slot| {
            let source = expanded(&self.layers, &slot.name, &slot.file);
            source.is_ok_and(|source| source.partials().into_iter().any(|p| layer.has_partial(p)))
        };
        self.iter().filter(uses).map(|slot| (slot.name.clone(), slot.file.clone()))
    }
}

impl Slot {
    pub(super) fn origin(&self) -> Origin {
        self.file.origin
    }
}

fn place(part: Part) -> usize {
    match part {
        Part::Subject => 0,
        Part::Html => 1,
        Part::Text => 2,
        Part::Slack => 3,
    }
}
