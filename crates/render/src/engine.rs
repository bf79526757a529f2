//! The engine finds the template for a delivery by tenant and event type, and renders it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use fanfare_contract::{Content, Delivery, Event, Part, RenderError};

use super::compile::{Compiled, Size};
use super::context::context;
use super::error::TemplateError;
use super::limits::{BRIEF, Budget, CHECK_STEPS, RENDER, SHALLOW};
use super::links::Links;
use super::pool::on_large_stack;
use super::samples;
use super::set::{BUILTIN, Slot, TemplateSet};
use super::sources::{DEFAULT, DIGEST, Layer, Name, Origin, Sources, Tenant};

/// The templates of the server and of every tenant. Rendering takes `&self` and does no I/O, so
/// threads can share one engine in an `Arc`.
pub struct Engine {
    server: Arc<Server>,
    tenants: HashMap<String, TenantTemplates>,
}

/// What all tenants share. Engines with different tenants share it too.
struct Server {
    /// The templates of the server's folder. Empty if there is no folder.
    folder: TemplateSet,
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
        let (engine, errors) = on_large_stack(|| Self::loaded(sources))?;
        if errors.is_empty() { Ok(engine) } else { Err(errors) }
    }

    /// Like [`Engine::load`], but sets aside the templates of tenants that cannot be used, so that
    /// the others stay in force. Returns what is wrong with them. Where a template is set aside,
    /// messages use the server's or the built-in one. A mistake in the server's folder is an error.
    pub fn load_usable(
        sources: &Sources,
    ) -> Result<(Self, Vec<TemplateError>), Vec<TemplateError>> {
        let (engine, errors) = on_large_stack(|| Self::loaded(sources))?;
        if errors.iter().any(|error| error.tenant.is_none()) {
            return Err(errors);
        }
        Ok((engine, errors))
    }

    /// An engine with the same server and with this tenant alone. It shares what is compiled. Sets
    /// aside the templates that cannot be used, and returns what is wrong with them.
    pub fn with_tenant(&self, id: &str, tenant: &Tenant) -> (Self, Vec<TemplateError>) {
        let load = || {
            let mut engine = Self { server: self.server.clone(), tenants: HashMap::new() };
            let errors = engine.add(id, tenant);
            (engine, errors)
        };
        if tenant.overrides.is_empty() {
            return load();
        }
        let load = on_large_stack(load);
        load.unwrap_or_else(|errors| {
            let none = Tenant { overrides: BTreeMap::new(), ..tenant.clone() };
            (self.with_tenant(id, &none).0, errors)
        })
    }

    /// The engine without the templates that cannot be used, and what is wrong with those.
    pub(super) fn loaded(sources: &Sources) -> (Self, Vec<TemplateError>) {
        let (layer, mut errors) =
            sources.dir.as_deref().map_or_else(Default::default, Layer::folder);
        let (folder, links) = (replacing(layer, &[&BUILTIN]), sources.links.clone());
        let server = Arc::new(Server { folder, links });
        let mut engine = Self { server, tenants: HashMap::new() };
        let (_, faults) = engine.check(None, &engine.server.folder);
        errors.extend(faults);
        for (id, tenant) in &sources.tenants {
            errors.extend(engine.add(id, tenant));
        }
        (engine, errors)
    }

    /// Adds a tenant without the templates that cannot be used. Returns what is wrong with those.
    fn add(&mut self, id: &str, tenant: &Tenant) -> Vec<TemplateError> {
        let (layer, faults) = Layer::tenant(&tenant.overrides);
        let mut errors: Vec<_> =
            faults.into_iter().map(|fault| fault.of_tenant(Some(id))).collect();
        let templates = replacing(layer, &[&self.server.folder, &BUILTIN]);
        let (name, links) = (tenant.name.clone(), tenant.links.or(&self.server.links));
        self.tenants.insert(id.to_owned(), TenantTemplates { name, links, templates });
        let Some(added) = self.tenants.get(id) else { return errors };
        let (bad, faults) = self.check(Some(id), &added.templates);
        errors.extend(faults);
        if let Some(added) = self.tenants.get_mut(id) {
            for name in &bad {
                added.templates.remove(name);
            }
        }
        errors
    }

    /// Compiles every template of a set and renders it on the samples. Returns the templates that
    /// cannot be used, and what is wrong with them.
    fn check(&self, tenant: Option<&str>, set: &TemplateSet) -> (Vec<Name>, Vec<TemplateError>) {
        let mut slots: Vec<&Slot> = set.iter().collect();
        if slots.is_empty() {
            return (Vec::new(), Vec::new());
        }
        slots.sort_by(|a, b| a.name.cmp(&b.name));
        let id = tenant.unwrap_or("acme");
        let samples = samples::all_of(id);
        let mut checker = Checker { engine: self, tenant: id, samples, used: Used::default() };
        let (mut bad, mut errors) = (Vec::new(), Vec::new());
        for slot in slots {
            if let Err(error) = checker.check(set, slot) {
                bad.push(slot.name.clone());
                errors.push(error.of_tenant(tenant));
            }
        }
        // A mistake in a partial appears in every template that uses it. Report it once.
        errors
            .sort_by(|a, b| (&a.template, a.line, &a.field).cmp(&(&b.template, b.line, &b.field)));
        errors.dedup_by(|a, b| {
            a.line.is_some() && (&a.template, a.line, &a.field) == (&b.template, b.line, &b.field)
        });
        (bad, errors)
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
        own.into_iter().chain([&self.server.folder, &*BUILTIN])
    }

    pub(super) fn context(&self, delivery: &Delivery) -> handlebars::Context {
        let id = &*delivery.destination.tenant;
        let tenant = self.tenants.get(id);
        let name = tenant.and_then(|tenant| tenant.name.as_deref()).unwrap_or(id);
        context(delivery, name, tenant.map_or(&self.server.links, |tenant| &tenant.links))
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

/// What the templates of one owner take together.
#[derive(Default)]
struct Used {
    size: Size,
    steps: u64,
}

impl Used {
    fn too_much(&self) -> Option<String> {
        let steps = || format!("more than {CHECK_STEPS} steps on the sample events");
        self.size.too_much().or_else(|| (self.steps > CHECK_STEPS).then(steps))
    }
}

/// Checks the templates of one owner, one after the other.
struct Checker<'e> {
    engine: &'e Engine,
    tenant: &'e str,
    samples: Vec<Arc<Event>>,
    used: Used,
}

impl Checker<'_> {
    /// Compiles and renders one template. When those before it have used everything, it is not even
    /// compiled.
    fn check(&mut self, set: &TemplateSet, slot: &Slot) -> Result<(), TemplateError> {
        self.within_limits(slot)?;
        let compiled = set.compiled(slot).map_err(Clone::clone)?;
        self.used.size += compiled.size();
        self.within_limits(slot)?;
        self.render(&slot.name, compiled).map_err(TemplateError::from)?;
        self.within_limits(slot)
    }

    fn within_limits(&self, slot: &Slot) -> Result<(), TemplateError> {
        let Some(what) = self.used.too_much() else { return Ok(()) };
        let message = format!(
            "the templates have {what} together, with their partials; use fewer or shorter ones"
        );
        Err(TemplateError::new(slot.name.display(), message))
    }

    /// Renders a template on the samples of its type.
    fn render(&mut self, name: &Name, compiled: &Compiled) -> Result<(), RenderError> {
        let mut steps = self.used.steps;
        let mut render = |delivery: &Delivery| {
            if steps > CHECK_STEPS {
                return Ok(());
            }
            let (result, used) = compiled.render(&self.engine.context(delivery), RENDER);
            steps += used.steps;
            result.map(drop)
        };
        let result = if name.kind == DIGEST {
            render(&samples::digest(self.tenant, self.samples.clone()))
                .and_then(|()| render(&samples::digest(self.tenant, Vec::new())))
        } else {
            let wanted = |event: &&Arc<Event>| name.kind == DEFAULT || *event.kind == *name.kind;
            self.samples
                .iter()
                .filter(wanted)
                .try_for_each(|event| render(&samples::delivery(Arc::clone(event))))
        };
        self.used.steps = steps;
        result
    }
}

/// A rendering that takes longer than a shared thread can wait.
struct TakesLong;

impl Engine {
    /// Renders the given parts, in that order, with the tenant's own template or the built-in one.
    /// Each part takes at most about 100 ms. A template may be deep, so the thread should have a
    /// large stack, as those of [`Pool`](super::Pool) have.
    pub fn render(&self, delivery: &Delivery, parts: &[Part]) -> Result<Vec<String>, RenderError> {
        let context = self.context(delivery);
        parts
            .iter()
            .map(|&part| self.template(delivery, part)?.render(&context, RENDER).0)
            .collect()
    }

    /// Likewise, if that takes a few milliseconds and little stack. `None` if it does not. Then the
    /// caller renders on another thread.
    pub fn render_in_place(
        &self,
        delivery: &Delivery,
        parts: &[Part],
    ) -> Option<Result<Vec<String>, RenderError>> {
        let context = self.context(delivery);
        let mut left = BRIEF.steps;
        let mut render = |&part: &Part| {
            let compiled = match self.template(delivery, part) {
                Ok(compiled) if compiled.depth() <= SHALLOW => compiled,
                Ok(_) => return Err(TakesLong),
                Err(error) => return Ok(Err(error)),
            };
            let (result, used) = compiled.render(&context, Budget { steps: left, ..BRIEF });
            left -= used.steps;
            if used.over.is_some() { Err(TakesLong) } else { Ok(result) }
        };
        let rendered: Result<Result<Vec<_>, _>, TakesLong> =
            parts.iter().map(&mut render).collect();
        rendered.ok()
    }

    /// The template for a part of a delivery's message.
    fn template(&self, delivery: &Delivery, part: Part) -> Result<&Compiled, RenderError> {
        let kind = match &delivery.content {
            // An event of the type `_digest` must not be rendered with the template for digests.
            Content::Event(event) if event.kind.starts_with('_') => DEFAULT,
            Content::Event(event) => &*event.kind,
            Content::Digest(_) => DIGEST,
        };
        let found = self.find(&delivery.destination.tenant, kind, part).unwrap_or_else(|| {
            let name = Name { kind: kind.to_owned(), part };
            let message = "there is no template for this part, not even a default";
            Err(TemplateError::new(name.display(), message))
        });
        Ok(found?)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("folder", &self.server.folder.iter().count())
            .field("tenants", &self.tenants.len())
            .finish_non_exhaustive()
    }
}
