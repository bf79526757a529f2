//! `Debug` of the settings, without their secrets.

use std::fmt;

use super::{Config, Email, Ingest, IngestSource, Metrics};

/// A placeholder for a secret that is set.
fn hidden(secret: Option<&String>) -> Option<&'static str> {
    secret.map(|_| "…")
}

impl fmt::Debug for Config {
    // The URL of a Redis may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            store,
            tenants,
            listen,
            development,
            grace,
            retention,
            stats_retention,
            templates,
            links,
            log,
            metrics,
            tracing,
            http,
            dashboard,
            secrets,
            privacy,
            search,
            ingest,
            events,
            quotas,
            router,
            redis,
            dns,
            webhook,
            email,
            slack,
        } = self;
        let store = if store.contains("://") { "redis://…" } else { store };
        f.debug_struct("Config")
            .field("store", &store)
            .field("tenants", tenants)
            .field("listen", listen)
            .field("development", development)
            .field("grace", grace)
            .field("retention", retention)
            .field("stats_retention", stats_retention)
            .field("templates", templates)
            .field("links", links)
            .field("log", log)
            .field("metrics", metrics)
            .field("tracing", &tracing.sample)
            .field("http", http)
            .field("dashboard", dashboard)
            .field("secrets", secrets)
            .field("privacy", privacy)
            .field("search", search)
            .field("ingest", ingest)
            .field("events", events)
            .field("quotas", quotas)
            .field("router", router)
            .field("redis", redis)
            .field("dns", dns)
            .field("webhook", webhook)
            .field("email", email)
            .field("slack", slack)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Ingest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingest")
            .field("key", &hidden(self.key.as_ref()))
            .field("sources", &self.sources)
            .finish()
    }
}

impl fmt::Debug for IngestSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IngestSource")
            .field("type", &self.kind)
            .field("type_path", &self.type_path)
            .field("id_path", &self.id_path)
            .field("created_path", &self.created_path)
            .field("events_path", &self.events_path)
            .field("signature_header", &self.signature_header)
            .field("secret", &hidden(self.secret.as_ref()))
            .finish()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics")
            .field("enabled", &self.enabled)
            .field("per_tenant", &self.per_tenant)
            .field("key", &hidden(self.key.as_ref()))
            .field("open", &self.open)
            .finish()
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Email")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("security", &self.security)
            .field("username", &self.username)
            .field("password", &hidden(self.password.as_ref()))
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}
