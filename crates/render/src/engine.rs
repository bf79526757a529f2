//! The engine finds the template for a delivery by tenant and event type, and renders it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use fanfare_contract::{Content, Delivery, Event, Part, RenderError, Templates};

use super::compile::Compiled;
use super::context::context;
use super::error::TemplateError;
use super::links::Links;
use super::samples;
use super::set::{BUILTIN, Slot, TemplateSet};
use super::sources::{DEFAULT, DIGEST, Layer, Name, Origin, Sources, Tenant};

/// The templates of the server and of every tenant. Rendering takes `&self` and does no I/O, so
/// threads can share one engine in an `Arc`.
pub struct Engine {
    /// The templates of the server's folder. Empty if there is no folder.
    folder: TemplateSet,
    tenants: HashMap<String, TenantTemplates>,
    links: Links,
}

/// One template in the list of [`Engine::names`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// For example `email/kyc.session.created/html`.
    pub name: String,
    /// The event type, `_default` or `_digest`.
    pub kind: String,
    /// The part of the message.
    pub part: Part,
    /// Where the template comes from.
    pub origin: Origin,
}

/// What a tenant sets for its messages.
struct TenantTemplates {
    name: Option<String>,
    links: Links,
    templates: TemplateSet,
}

impl Engine {
    /// An engine with the built-in templates only.
    pub fn builtin() -> Result<Self, Vec<TemplateError>> {
        Self::load(&Sources::default())
    }

    /// An engine in which tenants replace built-in templates: tenant → path in the layout of
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

    /// An engine in which the files of a folder with the layout of `templates/` replace built-in
    /// templates.
    pub fn with_dir(dir: &Path) -> Result<Self, Vec<TemplateError>> {
        Self::load(&Sources { dir: Some(dir.to_owned()), ..Sources::default() })
    }

    /// An engine with everything that `sources` names.
    ///
    /// Compiles every template that is not built in and renders it on the samples of its type,
    /// because handlebars finds a missing field only while it renders. Returns all errors at once.
    pub fn load(sources: &Sources) -> Result<Self, Vec<TemplateError>> {
        let (layer, mut errors) =
            sources.dir.as_deref().map_or_else(Default::default, Layer::folder);
        let folder = replacing(layer, &[&BUILTIN]);
        let mut engine = Self { folder, tenants: HashMap::new(), links: sources.links.clone() };
        for (id, tenant) in &sources.tenants {
            let (layer, faults) = Layer::tenant(&tenant.overrides);
            errors.extend(faults.into_iter().map(|fault| fault.of_tenant(Some(id))));
            let templates = replacing(layer, &[&engine.folder, &BUILTIN]);
            let (name, links) = (tenant.name.clone(), tenant.links.or(&engine.links));
            engine.tenants.insert(id.clone(), TenantTemplates { name, links, templates });
        }
        errors.extend(engine.check(None, &engine.folder));
        for id in sources.tenants.keys() {
            errors.extend(engine.check(Some(id), &engine.tenants[id].templates));
        }
        if errors.is_empty() { Ok(engine) } else { Err(errors) }
    }

    /// Compiles every template of a set and renders it on the samples.
    fn check(&self, tenant: Option<&str>, set: &TemplateSet) -> Vec<TemplateError> {
        let mut errors = Vec::new();
        if set.iter().next().is_none() {
            return errors;
        }
        let id = tenant.unwrap_or("acme");
        let events = samples::all_of(id);
        for slot in set.iter() {
            let checked = set.compiled(slot).map_err(Clone::clone).and_then(|compiled| {
                self.check_one(&slot.name, compiled, id, &events).map_err(TemplateError::from)
            });
            errors.extend(checked.err().map(|error| error.of_tenant(tenant)));
        }
        // A mistake in a partial appears in every template that uses it. Report it once.
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

    /// All templates of `tenant`, each once, from where the tenant's messages take it.
    pub fn names(&self, tenant: &str) -> Vec<Listed> {
        let mut all = BTreeMap::new();
        for slot in self.sets(tenant).rev().flat_map(TemplateSet::iter) {
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

    /// The source of the tenant's template of exactly this type and part, and its origin.
    pub fn source(&self, tenant: &str, kind: &str, part: Part) -> Option<(&str, Origin)> {
        let name = Name { kind: kind.to_owned(), part };
        self.sets(tenant).find_map(|set| set.source(&name))
    }

    /// The sets in which a tenant's templates are looked up, in this order.
    fn sets(&self, tenant: &str) -> impl DoubleEndedIterator<Item = &TemplateSet> {
        let own = self.tenants.get(tenant).map(|tenant| &tenant.templates);
        own.into_iter().chain([&self.folder, &*BUILTIN])
    }

    pub(super) fn context(&self, delivery: &Delivery) -> handlebars::Context {
        let id = &*delivery.destination.tenant;
        let tenant = self.tenants.get(id);
        let name = tenant.and_then(|tenant| tenant.name.as_deref()).unwrap_or(id);
        context(delivery, name, tenant.map_or(&self.links, |tenant| &tenant.links))
    }

    /// The first template of this type among the tenant's own, the folder's, and the built-in ones.
    /// If there is none, the first `_default` in the same order.
    fn find(
        &self,
        tenant: &str,
        kind: &str,
        part: Part,
    ) -> Option<Result<&Compiled, TemplateError>> {
        [kind, DEFAULT]
            .into_iter()
            .find_map(|kind| self.sets(tenant).find_map(|set| set.get(kind, part)))
    }
}

/// The templates of `layer`, and those of the sets `below` that use a partial which `layer`
/// replaces.
fn replacing(layer: Layer, below: &[&TemplateSet]) -> TemplateSet {
    let mut files = BTreeMap::new();
    for (at, set) in below.iter().enumerate().filter(|_| layer.has_partials()) {
        let replaced = |name: &Name| below[..at].iter().any(|above| above.has(name));
        files.extend(set.that_use(&layer).filter(|(name, _)| !replaced(name)));
    }
    files.extend(layer.templates.clone());
    let mut layers = below.first().map_or_else(Vec::new, |set| set.layers.clone());
    layers.insert(0, Arc::new(layer));
    TemplateSet::new(layers, files)
}

impl Templates for Engine {
    fn render(&self, delivery: &Delivery, parts: &[Part]) -> Result<Vec<String>, RenderError> {
        let context = self.context(delivery);
        let kind = match &delivery.content {
            // An event of the type `_digest` must not be rendered with the template for digests.
            Content::Event(event) if event.kind.starts_with('_') => DEFAULT,
            Content::Event(event) => &*event.kind,
            Content::Digest(_) => DIGEST,
        };
        let render = |&part: &Part| {
            let absent = || {
                let name = Name { kind: kind.to_owned(), part };
                let message = "there is no template for this part, not even a default";
                TemplateError::new(name.display(), message)
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
