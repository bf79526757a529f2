//! The templates of email and Slack messages, with those of the tenants' own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use fanfare_contract::{Delivery, Part, RenderError, Templates};

use crate::config::Config;
use crate::tenant::{Problem, Snapshot, TenantSpec, Wording};
use fanfare_render::{Engine, Links, Pool, Sources, TemplateError};

/// The templates of all tenants. Replaced as a whole when a tenant changes.
pub struct LiveTemplates {
    engine: ArcSwap<Engine>,
    /// Renders what is not quick.
    pool: Pool,
}

impl LiveTemplates {
    /// With these templates until the first change.
    pub fn new(engine: Engine) -> Self {
        Self { engine: ArcSwap::from_pointee(engine), pool: Pool::default() }
    }

    /// The current engine.
    pub fn engine(&self) -> Arc<Engine> {
        self.engine.load_full()
    }
}

/// A message that is rendered quickly is rendered in place, because handing it to another thread
/// and back takes longer than most messages do. The others are interrupted and start over on the
/// pool, where tenants take turns.
#[async_trait]
impl Templates for LiveTemplates {
    async fn render(
        &self,
        delivery: &Delivery,
        parts: &[Part],
    ) -> Result<Vec<String>, RenderError> {
        let engine = self.engine();
        if let Some(rendered) = engine.render_in_place(delivery, parts) {
            return rendered;
        }
        let (owned, parts) = (delivery.clone(), parts.to_vec());
        let render = move || engine.render(&owned, &parts);
        let rendered = self.pool.run(&delivery.destination.tenant, render).await;
        rendered.unwrap_or_else(|not_run| {
            let (template, message) = ("of the message".to_owned(), not_run.to_string());
            Err(RenderError { template, line: None, field: None, message })
        })
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

/// Rebuilds the templates when a tenant's own have changed.
///
/// A tenant whose change does not compile keeps its previous templates. At the start there are no
/// previous ones, for example if the document was written by a version without today's limits.
/// Then only the templates that cannot be used are set aside.
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
            templates.engine.store(Arc::new(engine));
            *good = sources.tenants;
        } else {
            tracing::error!(
                "the templates cannot be rebuilt; all tenants keep their previous ones"
            );
        }
    })
}

/// Loads the templates. A tenant whose templates cannot be used gets those in `good` back. If there
/// are none, its templates that cannot be used are set aside.
fn load_without_bad(
    sources: &mut Sources,
    good: &BTreeMap<String, fanfare_render::Tenant>,
) -> Option<Engine> {
    let refused = match Engine::load_usable(sources) {
        Ok((engine, refused)) if refused.is_empty() => return Some(engine),
        Ok((engine, refused)) => {
            let tenants = refused.iter().filter_map(|error| error.tenant.as_deref());
            if tenants.clone().all(|tenant| !good.contains_key(tenant)) {
                report(&refused, good);
                return Some(engine);
            }
            refused
        }
        Err(errors) => {
            report(&errors, good);
            return None;
        }
    };
    report(&refused, good);
    for bad in refused.into_iter().filter_map(|error| error.tenant) {
        if let Some(before) = good.get(&bad) {
            sources.tenants.insert(bad, before.clone());
        }
    }
    Engine::load_usable(sources).ok().map(|(engine, _)| engine)
}

fn report(refused: &[TemplateError], good: &BTreeMap<String, fanfare_render::Tenant>) {
    for error in refused {
        if error.tenant.as_ref().is_some_and(|tenant| good.contains_key(tenant)) {
            tracing::error!(%error, "a template cannot be used; the tenant keeps its previous ones");
        } else {
            tracing::error!(
                %error,
                "a template cannot be used and is set aside; the server's or the built-in one applies"
            );
        }
    }
}
