//! The templates of email and Slack messages, with those of the tenants' own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use fanfare_contract::{Delivery, Part, RenderError, Templates};

use crate::config::Config;
use crate::tenant::{Problem, Snapshot, TenantSpec, Wording};
use fanfare_render::{Engine, Links, Sources, TemplateError};

/// The templates of all tenants. Replaced as a whole when a tenant changes.
pub struct LiveTemplates(pub(super) ArcSwap<Engine>);

impl LiveTemplates {
    /// The current engine.
    pub fn engine(&self) -> Arc<Engine> {
        self.0.load_full()
    }
}

impl Templates for LiveTemplates {
    fn render(&self, delivery: &Delivery, parts: &[Part]) -> Result<Vec<String>, RenderError> {
        self.0.load().render(delivery, parts)
    }
}

/// The sources that come from the settings alone.
pub(super) fn base_sources(config: &Config) -> anyhow::Result<Sources> {
    let links = Links::parse(&config.links)
        .map_err(|errors| anyhow::anyhow!("settings, [links]: {}", errors.join("\n")))?;
    Ok(Sources { dir: config.templates.clone(), links, tenants: BTreeMap::new() })
}

/// An engine with the templates and links of `tenants`.
pub fn engine(
    config: &Config,
    tenants: &BTreeMap<String, fanfare_render::Tenant>,
) -> anyhow::Result<Engine> {
    let sources = Sources { tenants: tenants.clone(), ..base_sources(config)? };
    Engine::load(&sources).map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", lines.join("\n"))
    })
}

/// Compiles the templates of one tenant's document, or returns what is wrong with them.
pub type TenantEngines = Arc<dyn Fn(&TenantSpec) -> Result<Engine, Vec<Problem>> + Send + Sync>;

/// For the API, which checks and previews templates.
pub fn tenant_engines(config: &Config) -> anyhow::Result<TenantEngines> {
    let base = base_sources(config)?;
    Ok(Arc::new(move |spec| {
        let problem =
            |place: &str, field: &str, message: String| Problem::new(place, field, message);
        let own = render_tenant(&spec.wording()).map_err(|errors| {
            errors.into_iter().map(|error| problem("links", "", error)).collect::<Vec<_>>()
        })?;
        let tenants = BTreeMap::from([(spec.id.clone(), own)]);
        Engine::load(&Sources { tenants, ..base.clone() }).map_err(|errors| {
            let problem_of =
                |error: &TemplateError| problem("templates", &error.template, error.to_string());
            errors.iter().map(problem_of).collect()
        })
    }))
}

/// What the templates need from a tenant.
pub fn render_tenant(wording: &Wording) -> Result<fanfare_render::Tenant, Vec<String>> {
    Ok(fanfare_render::Tenant {
        name: Some(wording.name.clone()),
        links: Links::parse(&wording.links)?,
        overrides: wording.templates.clone(),
    })
}

/// Rebuilds the templates when a tenant's own have changed. Templates that do not compile are
/// logged, and only that tenant keeps its previous ones.
pub(super) fn follow_templates(
    base: Sources,
    templates: Arc<LiveTemplates>,
) -> Box<dyn Fn(&Snapshot) + Send + Sync> {
    let good = Mutex::new(BTreeMap::<String, fanfare_render::Tenant>::new());
    Box::new(move |tenants| {
        // Every change under the lock is complete by itself, so a panic elsewhere does no harm.
        let mut good = good.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sources = base.clone();
        for tenant in tenants.values() {
            match render_tenant(&tenant.wording) {
                Ok(own) => _ = sources.tenants.insert(tenant.id.to_string(), own),
                Err(errors) => {
                    let errors = errors.join("; ");
                    tracing::error!(
                        tenant = &*tenant.id,
                        errors,
                        "the links of a tenant cannot be used"
                    );
                }
            }
        }
        if let Some(engine) = load_without_bad(&mut sources, &good) {
            templates.0.store(Arc::new(engine));
            *good = sources.tenants;
        } else {
            tracing::error!(
                "the templates cannot be rebuilt; all tenants keep their previous ones"
            );
        }
    })
}

/// Loads the templates. A tenant whose templates cannot be used gets those in `good` back, or none
/// of its own.
fn load_without_bad(
    sources: &mut Sources,
    good: &BTreeMap<String, fanfare_render::Tenant>,
) -> Option<Engine> {
    let errors = match Engine::load(sources) {
        Ok(engine) => return Some(engine),
        Err(errors) => errors,
    };
    for error in errors {
        tracing::error!(%error, "a template cannot be used; the tenant keeps its previous ones");
        let Some(bad) = error.tenant else { continue };
        let before = good.get(&bad).cloned().unwrap_or_default();
        sources.tenants.insert(bad, before);
    }
    Engine::load(sources).ok()
}
