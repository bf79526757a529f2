//! The templates of email and Slack messages, with those of the tenants' own.
//!
//! The built-in templates and those of the server's folder are shared. A tenant's own are compiled
//! when its first message is rendered, and again when they change.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};

use async_trait::async_trait;
use fanfare_contract::{Delivery, Part, RenderError, Templates};
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use crate::config::Config;
use crate::flow::{TEMPLATE_BYTES_KEPT, TEMPLATE_BYTES_LEAST};
use crate::tenant::{Problem, Registry, TenantLocks, TenantSpec, TenantStatus, Wording};
use fanfare_render::{Engine, Links, Pool, Sources, TemplateError};

/// The templates of all tenants.
pub struct LiveTemplates {
    /// Without any tenant.
    server: Arc<Engine>,
    tenants: OnceLock<Weak<Registry>>,
    compiled: Cache<Arc<str>, Compiled, ByBytes>,
    /// Held while a tenant's templates are compiled, so that they are compiled once.
    locks: TenantLocks,
    /// Compiles templates. Apart from `pool`, so that messages do not wait for it.
    compiling: Pool,
    /// Renders what is not quick.
    pool: Pool,
}

/// The templates of one tenant.
#[derive(Clone)]
struct Compiled {
    /// What they were compiled from.
    wording: Arc<Wording>,
    engine: Arc<Engine>,
}

/// Compiled templates take memory in proportion to their sources.
#[derive(Clone)]
struct ByBytes;

impl Weighter<Arc<str>, Compiled> for ByBytes {
    fn weight(&self, _: &Arc<str>, compiled: &Compiled) -> u64 {
        let own = compiled.wording.templates.values().map(String::len).sum::<usize>();
        own as u64 + TEMPLATE_BYTES_LEAST
    }
}

impl LiveTemplates {
    /// With the templates of the server.
    pub fn new(server: Engine) -> Self {
        let mut options = OptionsBuilder::new();
        let items =
            usize::try_from(TEMPLATE_BYTES_KEPT / TEMPLATE_BYTES_LEAST).unwrap_or(usize::MAX);
        // Few shards: each must have room for the largest templates that a tenant may have.
        options.weight_capacity(TEMPLATE_BYTES_KEPT).estimated_items_capacity(items).shards(2);
        let options = options.build().expect("both capacities are set");
        Self {
            server: Arc::new(server),
            tenants: OnceLock::new(),
            compiled: Cache::with_options(
                options,
                ByBytes,
                DefaultHashBuilder::default(),
                <_>::default(),
            ),
            locks: TenantLocks::default(),
            compiling: Pool::default(),
            pool: Pool::default(),
        }
    }

    /// Uses the templates of these tenants from now on.
    pub fn follow(&self, tenants: &Arc<Registry>) {
        // There is one registry in a process.
        let _ = self.tenants.set(Arc::downgrade(tenants));
    }

    /// The engine that renders messages of a tenant.
    async fn engine(&self, tenant: &str) -> Arc<Engine> {
        // A tenant with a delivery in flight is in memory, unless it was removed.
        let registry = self.tenants.get().and_then(Weak::upgrade);
        let status = registry.and_then(|registry| registry.in_memory(tenant));
        let Some(wording) = status.and_then(TenantStatus::usable).map(|one| one.wording.clone())
        else {
            return self.server.clone();
        };
        if let Some(engine) = self.compiled(tenant, &wording) {
            return engine;
        }
        let _alone = self.locks.lock(tenant).await;
        if let Some(engine) = self.compiled(tenant, &wording) {
            return engine;
        }
        let engine = self.compile(tenant, &wording).await;
        self.compiled.insert(tenant.into(), Compiled { wording, engine: engine.clone() });
        engine
    }

    fn compiled(&self, tenant: &str, wording: &Arc<Wording>) -> Option<Arc<Engine>> {
        let found = self.compiled.get(tenant)?;
        Arc::ptr_eq(&found.wording, wording).then_some(found.engine)
    }

    /// Compiles a tenant's templates. If some cannot be used, the tenant keeps its previous ones. If
    /// there are none, for example because the document was written by a version without today's
    /// limits, only those that cannot be used are set aside.
    async fn compile(&self, tenant: &str, wording: &Arc<Wording>) -> Arc<Engine> {
        let (id, server, of) = (tenant.to_owned(), self.server.clone(), wording.clone());
        let compile = move || of_tenant(&server, &id, &of);
        let compiled = if wording.templates.is_empty() {
            Ok(compile())
        } else {
            self.compiling.run(tenant, compile).await
        };
        let previous = self.compiled.peek(tenant).map(|before| before.engine);
        let (engine, problems) = match compiled {
            Ok(Ok((engine, refused))) => {
                (Some(engine), refused.iter().map(ToString::to_string).collect())
            }
            Ok(Err(problems)) => (None, problems),
            Err(not_run) => (None, vec![not_run.to_string()]),
        };
        for problem in &problems {
            match (&engine, &previous) {
                (_, Some(_)) => tracing::error!(
                    tenant, %problem,
                    "a template cannot be used; the tenant keeps its previous ones"
                ),
                (Some(_), None) => tracing::error!(
                    tenant, %problem,
                    "a template cannot be used and is set aside; the server's or the built-in one \
                     applies"
                ),
                (None, None) => tracing::error!(
                    tenant, %problem,
                    "the tenant's templates and links cannot be used; the server's apply"
                ),
            }
        }
        match (engine, previous) {
            (Some(engine), _) if problems.is_empty() => Arc::new(engine),
            (_, Some(previous)) => previous,
            (Some(engine), None) => Arc::new(engine),
            (None, None) => self.server.clone(),
        }
    }
}

/// A tenant's engine and what is wrong with its templates, or what is wrong with its links.
fn of_tenant(
    server: &Engine,
    id: &str,
    wording: &Wording,
) -> Result<(Engine, Vec<TemplateError>), Vec<String>> {
    Ok(server.with_tenant(id, &render_tenant(wording)?))
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
        let engine = self.engine(&delivery.destination.tenant).await;
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

/// An engine with the templates and links of `tenants`.
pub fn engine(
    config: &Config,
    tenants: &BTreeMap<String, fanfare_render::Tenant>,
) -> anyhow::Result<Engine> {
    let links = Links::parse(&config.links)
        .map_err(|errors| anyhow::anyhow!("settings, [links]: {}", errors.join("\n")))?;
    let sources = Sources { dir: config.templates.clone(), links, tenants: tenants.clone() };
    Engine::load(&sources).map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", lines.join("\n"))
    })
}

/// Compiles the templates of one tenant's document, or returns what is wrong with them.
pub type TenantEngines = Arc<dyn Fn(&TenantSpec) -> Result<Engine, Vec<Problem>> + Send + Sync>;

/// For the API and for tenant files, which check and preview templates.
pub fn tenant_engines(config: &Config) -> anyhow::Result<TenantEngines> {
    let server = engine(config, &BTreeMap::new())?;
    Ok(Arc::new(move |spec| {
        let problem =
            |place: &str, field: &str, message: String| Problem::new(place, field, message);
        let compiled = of_tenant(&server, &spec.id, &spec.wording()).map_err(|errors| {
            errors.into_iter().map(|error| problem("links", "", error)).collect::<Vec<_>>()
        })?;
        let (engine, refused) = compiled;
        if refused.is_empty() {
            return Ok(engine);
        }
        let problem_of =
            |error: &TemplateError| problem("templates", &error.template, error.to_string());
        Err(refused.iter().map(problem_of).collect())
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
