//! The engine: finds a delivery's template by tenant and event type, and renders it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use fanfare_contract::{Content, Delivery, Event, Part, RenderError, Templates};

use super::compile::Compiled;
use super::context::context;
use super::error::TemplateError;
use super::links::Links;
use super::samples;
use super::sources::{DEFAULT, DIGEST, Layer, Name, Origin, Sources, Tenant};
use super::table::{BUILTIN, Slot, Table};

/// The templates of the server and of every tenant. Rendering is pure and takes `&self`; share it in
/// an `Arc`.
pub struct Engine {
    /// The server's folder, if it has one.
    folder: Table,
    tenants: HashMap<String, Entry>,
    links: Links,
}

/// A line of [`Engine::names`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// For example `email/kyc.session.created/html`.
    pub name: String,
    /// The event type, `_default` or `_digest`.
    pub kind: String,
    /// The part of the message.
    pub part: Part,
    /// Whose it is.
    pub origin: Origin,
}

/// A tenant that has something of its own.
struct Entry {
    name: Option<String>,
    links: Links,
    table: Table,
}

impl Engine {
    /// The built-in templates alone.
    pub fn builtin() -> Result<Self, Vec<TemplateError>> {
        Self::load(&Sources::default())
    }

    /// The built-in templates, and over them the tenants' own: tenant → path in the layout of
    /// `templates/` → source.
    pub fn with_overrides(
        overrides: BTreeMap<String, BTreeMap<String, String>>,
    ) -> Result<Self, Vec<TemplateError>> {
        let tenants = overrides
            .into_iter()
            .map(|(tenant, overrides)| (tenant, Tenant { overrides, ..Tenant::default() }))
            .collect();
        Self::load(&Sources { tenants, ..Sources::default() })
    }

    /// The built-in templates, and over them those of a folder with the same layout.
    pub fn with_dir(dir: &Path) -> Result<Self, Vec<TemplateError>> {
        Self::load(&Sources { dir: Some(dir.to_owned()), ..Sources::default() })
    }

    /// Takes everything in. What is not built in is compiled, and rendered on the samples of its
    /// type, here and now: strict mode finds a missing field only when it runs. All errors at once.
    pub fn load(sources: &Sources) -> Result<Self, Vec<TemplateError>> {
        let (layer, mut errors) =
            sources.dir.as_deref().map_or_else(Default::default, Layer::folder);
        let folder = cover(layer, &[&BUILTIN]);
        let mut engine = Self { folder, tenants: HashMap::new(), links: sources.links.clone() };
        for (id, tenant) in &sources.tenants {
            let (layer, faults) = Layer::tenant(&tenant.overrides);
            errors.extend(faults.into_iter().map(|fault| fault.of_tenant(Some(id))));
            let table = cover(layer, &[&engine.folder, &BUILTIN]);
            let (name, links) = (tenant.name.clone(), tenant.links.or(&engine.links));
            engine.tenants.insert(id.clone(), Entry { name, links, table });
        }
        errors.extend(engine.check(None, &engine.folder));
        for id in sources.tenants.keys() {
            errors.extend(engine.check(Some(id), &engine.tenants[id].table));
        }
        if errors.is_empty() { Ok(engine) } else { Err(errors) }
    }

    /// Compiles and tries every template of a table.
    fn check(&self, tenant: Option<&str>, table: &Table) -> Vec<TemplateError> {
        let mut errors = Vec::new();
        if table.iter().next().is_none() {
            return errors;
        }
        let id = tenant.unwrap_or("acme");
        let events = samples::all_of(id);
        for slot in table.iter() {
            let checked = table.compiled(slot).map_err(Clone::clone).and_then(|compiled| {
                self.check_one(&slot.name, compiled, id, &events).map_err(TemplateError::from)
            });
            errors.extend(checked.err().map(|error| error.of_tenant(tenant)));
        }
        // A fault of a partial shows in every template that uses it; once is enough.
        errors
            .sort_by(|a, b| (&a.template, a.line, &a.field).cmp(&(&b.template, b.line, &b.field)));
        errors.dedup_by(|a, b| {
            a.line.is_some() && (&a.template, a.line, &a.field) == (&b.template, b.line, &b.field)
        });
        errors
    }

    fn check_one(
        &self,
        name: &Name,
        compiled: &Compiled,
        tenant: &str,
        events: &[Arc<Event>],
    ) -> Result<(), RenderError> {
        let render = |delivery: &Delivery| compiled.render(&self.context(delivery)).map(drop);
        if name.kind == DIGEST {
            render(&samples::digest(tenant, events.to_vec()))?;
            return render(&samples::digest(tenant, Vec::new()));
        }
        let wanted = |event: &&Arc<Event>| name.kind == DEFAULT || *event.kind == *name.kind;
        events
            .iter()
            .filter(wanted)
            .try_for_each(|event| render(&samples::delivery(Arc::clone(event))))
    }

    /// The templates that `tenant` has, its own in the place of those they cover.
    pub fn names(&self, tenant: &str) -> Vec<Listed> {
        let own = self.tenants.get(tenant).map(|entry| &entry.table);
        let mut all = BTreeMap::new();
        for slot in
            [Some(&*BUILTIN), Some(&self.folder), own].into_iter().flatten().flat_map(Table::iter)
        {
            all.insert(slot.name.display(), slot);
        }
        let listed = |(name, slot): (String, &Slot)| Listed {
            name,
            kind: slot.name.kind.clone(),
            part: slot.name.part,
            origin: slot.origin(),
        };
        all.into_iter().map(listed).collect()
    }

    /// The source of a tenant's template of exactly this type and part, and whose it is.
    pub fn source(&self, tenant: &str, kind: &str, part: Part) -> Option<(&str, Origin)> {
        let own = self.tenants.get(tenant).map(|entry| &entry.table);
        let name = Name { kind: kind.to_owned(), part };
        let mut tables = [own, Some(&self.folder), Some(&*BUILTIN)].into_iter().flatten();
        tables.find_map(|table| table.source(&name))
    }

    pub(super) fn context(&self, delivery: &Delivery) -> handlebars::Context {
        let id = &*delivery.destination.tenant;
        let entry = self.tenants.get(id);
        let name = entry.and_then(|entry| entry.name.as_deref()).unwrap_or(id);
        context(delivery, name, entry.map_or(&self.links, |entry| &entry.links))
    }

    /// The tenant's own for this type, the folder's, the built-in one; then likewise the default.
    fn find(
        &self,
        tenant: &str,
        kind: &str,
        part: Part,
    ) -> Option<Result<&Compiled, TemplateError>> {
        let own = self.tenants.get(tenant).map(|entry| &entry.table);
        let tables = [own, Some(&self.folder), Some(&*BUILTIN)];
        [kind, DEFAULT]
            .into_iter()
            .find_map(|kind| tables.into_iter().flatten().find_map(|table| table.get(kind, part)))
    }
}

/// The templates of `layer`, and those of the tables `below` that use a partial which it changes.
fn cover(layer: Layer, below: &[&Table]) -> Table {
    let mut files = BTreeMap::new();
    for (at, table) in below.iter().enumerate().filter(|_| layer.has_partials()) {
        let covered = |name: &Name| below[..at].iter().any(|above| above.has(name));
        files.extend(table.that_use(&layer).filter(|(name, _)| !covered(name)));
    }
    files.extend(layer.templates.clone());
    let mut layers = below.first().map_or_else(Vec::new, |table| table.layers.clone());
    layers.insert(0, Arc::new(layer));
    Table::new(layers, files)
}

impl Templates for Engine {
    fn render(&self, delivery: &Delivery, parts: &[Part]) -> Result<Vec<String>, RenderError> {
        let context = self.context(delivery);
        let kind = match &delivery.content {
            // No producer can ask for a digest's template by what it calls its event.
            Content::Event(event) if event.kind.starts_with('_') => DEFAULT,
            Content::Event(event) => &*event.kind,
            Content::Digest(_) => DIGEST,
        };
        let render = |&part: &Part| {
            let absent = || {
                let name = Name { kind: kind.to_owned(), part };
                TemplateError::new(name.display(), "there is no such template")
            };
            let found = self.find(&delivery.destination.tenant, kind, part);
            found.unwrap_or_else(|| Err(absent()))?.render(&context)
        };
        parts.iter().map(render).collect()
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("folder", &self.folder.iter().count())
            .field("tenants", &self.tenants.len())
            .finish_non_exhaustive()
    }
}
