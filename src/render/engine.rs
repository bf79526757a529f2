//! The engine: every template compiled and tried once, found by tenant and event type when sending.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use fanfare_contract::{Content, Delivery, Event, Part, RenderError, Templates};

use super::compile::{Compiled, Registries, compile};
use super::context::context;
use super::error::TemplateError;
use super::links::Links;
use super::samples;
use super::sources::{DEFAULT, DIGEST, Layer, Name, Origin, Sources, Tenant};

/// Compiled templates of the server and of every tenant. Rendering is pure and takes `&self`;
/// share it in an `Arc`.
pub struct Engine {
    registries: Registries,
    base: Table,
    tenants: HashMap<String, Entry>,
    links: Links,
}

/// A line of [`Engine::names`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// For example `email/kyc.session.created/html`.
    pub name: String,
    /// Whose it is.
    pub origin: Origin,
}

/// A tenant that has something of its own.
struct Entry {
    name: Option<String>,
    links: Links,
    table: Table,
}

/// The compiled templates of one owner, by event type; the parts by [`place`].
#[derive(Default)]
struct Table(HashMap<String, [Option<Compiled>; 4]>);

impl Table {
    fn get(&self, kind: &str, part: Part) -> Option<&Compiled> {
        self.0.get(kind)?[place(part)].as_ref()
    }

    fn insert(&mut self, compiled: Compiled) {
        let parts = self.0.entry(compiled.name.kind.clone()).or_default();
        let at = place(compiled.name.part);
        parts[at] = Some(compiled);
    }

    fn iter(&self) -> impl Iterator<Item = &Compiled> {
        self.0.values().flatten().flatten()
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

    /// Compiles everything and renders every template on the samples of its type. All errors at
    /// once.
    pub fn load(sources: &Sources) -> Result<Self, Vec<TemplateError>> {
        let (mut base, mut errors) = Layer::builtin();
        if let Some(dir) = &sources.dir {
            let (folder, faults) = Layer::folder(dir);
            base.cover(folder);
            errors.extend(faults);
        }
        let mut engine = Self {
            registries: Registries::new(),
            base: Table::default(),
            tenants: HashMap::new(),
            links: sources.links.clone(),
        };
        engine.add_base(&base, &mut errors);
        for (id, tenant) in &sources.tenants {
            engine.add_tenant(id, tenant, &base, &mut errors);
        }
        engine.try_all(&mut errors);
        if errors.is_empty() { Ok(engine) } else { Err(errors) }
    }

    fn add_base(&mut self, base: &Layer, errors: &mut Vec<TemplateError>) {
        for (name, file) in &base.templates {
            match compile(&mut self.registries, &[base], "", name, file) {
                Ok(compiled) => self.base.insert(compiled),
                Err(error) => errors.push(error),
            }
        }
        for kind in [DEFAULT, DIGEST] {
            for part in [Part::Subject, Part::Html, Part::Text, Part::Slack] {
                let name = Name { kind: kind.to_owned(), part };
                if !base.templates.contains_key(&name) {
                    errors.push(TemplateError::new(name.display(), "there has to be one"));
                }
            }
        }
    }

    /// A tenant's own templates, and those of the server that use a partial which it has changed.
    fn add_tenant(
        &mut self,
        id: &str,
        tenant: &Tenant,
        base: &Layer,
        errors: &mut Vec<TemplateError>,
    ) {
        let (layer, mut faults) = Layer::tenant(&tenant.overrides);
        let mut table = Table::default();
        if !layer.is_empty() {
            let inherited = base.templates.iter().filter(|(name, _)| {
                let compiled = self.base.get(&name.kind, name.part);
                !layer.templates.contains_key(name)
                    && compiled.is_some_and(|compiled| {
                        compiled.partials().into_iter().any(|path| layer.has_partial(path))
                    })
            });
            let mut files: Vec<_> = layer.templates.iter().collect();
            files.extend(inherited);
            for (name, file) in files {
                match compile(&mut self.registries, &[&layer, base], id, name, file) {
                    Ok(compiled) => table.insert(compiled),
                    Err(error) => faults.push(error),
                }
            }
        }
        errors.extend(faults.into_iter().map(|fault| fault.of_tenant(Some(id))));
        let (name, links) = (tenant.name.clone(), tenant.links.or(&self.links));
        self.tenants.insert(id.to_owned(), Entry { name, links, table });
    }

    /// Renders every template on samples: strict mode finds a missing field only when it runs.
    fn try_all(&self, errors: &mut Vec<TemplateError>) {
        let tables = self.tenants.iter().map(|(id, entry)| (Some(id.as_str()), &entry.table));
        let mut found = Vec::new();
        for (tenant, table) in std::iter::once((None, &self.base)).chain(tables) {
            if table.0.is_empty() {
                continue;
            }
            let events = samples::all_of(tenant.unwrap_or("acme"));
            for compiled in table.iter() {
                let fault = self.try_one(compiled, tenant.unwrap_or("acme"), &events);
                found.extend(fault.err().map(|e| TemplateError::from(e).of_tenant(tenant)));
            }
        }
        found.sort_by(|a, b| (&a.tenant, &a.template).cmp(&(&b.tenant, &b.template)));
        found.dedup();
        errors.extend(found);
    }

    fn try_one(
        &self,
        compiled: &Compiled,
        tenant: &str,
        events: &[Arc<Event>],
    ) -> Result<(), RenderError> {
        let render = |delivery: &Delivery| {
            compiled.render(&self.registries, &self.context(delivery)).map(drop)
        };
        if compiled.name.kind == DIGEST {
            render(&samples::digest(tenant, events.to_vec()))?;
            return render(&samples::digest(tenant, Vec::new()));
        }
        let wanted = |event: &&Arc<Event>| {
            compiled.name.kind == DEFAULT || *event.kind == *compiled.name.kind
        };
        events
            .iter()
            .filter(wanted)
            .try_for_each(|event| render(&samples::delivery(Arc::clone(event))))
    }

    /// The templates that `tenant` has, its own in the place of those they cover.
    pub fn names(&self, tenant: &str) -> Vec<Listed> {
        let own = self.tenants.get(tenant).map(|entry| &entry.table);
        let mut all = BTreeMap::new();
        for compiled in self.base.iter().chain(own.into_iter().flat_map(Table::iter)) {
            all.insert(compiled.name.display(), compiled.origin);
        }
        all.into_iter().map(|(name, origin)| Listed { name, origin }).collect()
    }

    fn context(&self, delivery: &Delivery) -> handlebars::Context {
        let id = &*delivery.destination.tenant;
        let entry = self.tenants.get(id);
        let name = entry.and_then(|entry| entry.name.as_deref()).unwrap_or(id);
        context(delivery, name, entry.map_or(&self.links, |entry| &entry.links))
    }

    /// The tenant's own for this type, the server's for it, the tenant's default, the server's.
    fn find(&self, tenant: &str, kind: &str, part: Part) -> Option<&Compiled> {
        let own = self.tenants.get(tenant).map(|entry| &entry.table);
        let tables = [own, Some(&self.base)];
        [kind, DEFAULT].into_iter().find_map(|kind| {
            tables.into_iter().flatten().find_map(|table| table.get(kind, part))
        })
    }
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
            let found = self.find(&delivery.destination.tenant, kind, part);
            let compiled = found.ok_or_else(|| RenderError {
                template: Name { kind: kind.to_owned(), part }.display(),
                line: None,
                field: None,
                message: "there is no such template".to_owned(),
            })?;
            compiled.render(&self.registries, &context)
        };
        parts.iter().map(render).collect()
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let templates = self.base.iter().count();
        f.debug_struct("Engine")
            .field("templates", &templates)
            .field("tenants", &self.tenants.len())
            .finish_non_exhaustive()
    }
}
