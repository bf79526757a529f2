//! Constructs the channels from the settings. A new channel is added here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use fanfare_contract::{Channel, Memo, Templates};

use crate::config::{Config, Security};
use crate::delivery::StackOptions;
use crate::delivery::layers::Observer;
use crate::flow::CHANNEL_WAIT;
use crate::tenant::Channels;

/// The channels, configured by the settings.
pub fn channels(
    config: &Config,
    templates: Arc<dyn Templates>,
    memo: Arc<dyn Memo>,
    observer: Arc<dyn Observer>,
) -> anyhow::Result<Channels> {
    let resolver = Arc::new(fanfare_dns::Resolver::new(&dns_options(config)));
    let webhook = fanfare_webhook::WebhookChannel::new(webhook_config(config)?, resolver.clone())?;
    let email = fanfare_email::EmailChannel::new(
        email_config(config)?,
        templates.clone(),
        resolver.clone(),
    )?;
    let slack = fanfare_slack::Config {
        api_url: config.slack.api_url.clone(),
        development: config.development,
        ..fanfare_slack::Config::default()
    };
    let slack = fanfare_slack::SlackChannel::new(slack, templates, memo, resolver)?;
    let channels: Vec<Arc<dyn Channel>> = vec![
        Arc::new(webhook),
        Arc::new(email),
        Arc::new(slack),
        Arc::new(fanfare_poll::PollChannel),
    ];
    let options = StackOptions { observer, channel_rate: None, longest_wait: CHANNEL_WAIT };
    Ok(Channels::new(channels, &options))
}

fn dns_options(config: &Config) -> fanfare_dns::Options {
    let dns = &config.dns;
    fanfare_dns::Options {
        servers: dns.servers.iter().map(|server| server.0).collect(),
        timeout: dns.timeout.0,
        lookups: dns.lookups,
        lookups_per_tenant: dns.lookups_per_tenant,
        cached_names: dns.cached_names,
        cached_for: dns.cached_for.0,
    }
}

fn webhook_config(config: &Config) -> anyhow::Result<fanfare_webhook::Config> {
    Ok(fanfare_webhook::Config {
        development: config.development,
        allowed_networks: config.webhook.allowed_networks.clone(),
        user_agent: config.webhook.user_agent.clone(),
        answer_limit_bytes: config.webhook.answer_limit_bytes,
        connect_timeout: config.webhook.connect_timeout.0,
        idle_per_host: config.webhook.idle_per_host,
        extra_roots: read_all("webhook.extra_roots", &config.webhook.extra_roots)?,
    })
}

fn email_config(config: &Config) -> anyhow::Result<fanfare_email::Config> {
    let email = &config.email;
    let credentials = match (&email.username, &email.password) {
        (Some(user), Some(password)) => Some((user.clone(), password.clone())),
        (None, None) => None,
        _ => anyhow::bail!("settings, [email]: set both `username` and `password`, or neither"),
    };
    let dkim = email
        .dkim
        .as_ref()
        .map(|dkim| {
            let key = read_text("email.dkim.key_file", &dkim.key_file)?;
            anyhow::Ok(fanfare_email::DkimConfig {
                domain: dkim.domain.clone(),
                selector: dkim.selector.clone(),
                private_key_pem: key,
            })
        })
        .transpose()?;
    let roots = email.extra_roots.iter().map(|path| read_text("email.extra_roots", path));
    Ok(fanfare_email::Config {
        host: email.host.clone(),
        port: email.port,
        security: match email.security {
            Security::None => fanfare_email::Security::None,
            Security::Starttls => fanfare_email::Security::StartTls,
            Security::Tls => fanfare_email::Security::Tls,
        },
        credentials,
        from: email.from.clone(),
        allowed_from_domains: email.allowed_from_domains.clone(),
        reply_to: email.reply_to.clone(),
        hello_name: email.hello_name.clone(),
        connections: email.connections,
        dkim,
        unsubscribe_url: email.unsubscribe_url.clone(),
        development: config.development,
        extra_roots_pem: roots.collect::<Result<_, _>>()?,
        ..fanfare_email::Config::default()
    })
}

fn read_all(key: &str, paths: &[PathBuf]) -> anyhow::Result<Vec<Vec<u8>>> {
    paths.iter().map(|path| read_text(key, path).map(String::into_bytes)).collect()
}

fn read_text(key: &str, path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path)
        .with_context(|| format!("settings, {key}: {} cannot be read", path.display()))
}

/// The settings of a channel that are kept encrypted.
pub(super) fn secret_fields(channel: &str) -> &'static [&'static str] {
    match channel {
        "webhook" => &fanfare_webhook::SECRET_FIELDS,
        "slack" => &fanfare_slack::SECRET_FIELDS,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::app::{LiveTemplates, engine};

    struct Forgetful;

    #[async_trait::async_trait]
    impl Memo for Forgetful {
        async fn get(&self, _: &str) -> Option<String> {
            None
        }
        async fn put(&self, _: &str, _: &str, _: Duration) {}
    }

    #[test]
    fn the_secrets_of_every_channel_are_known_before_there_are_channels() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = Config::default();
        let templates = LiveTemplates::new(engine(&config, &BTreeMap::new()).unwrap());
        let templates = Arc::new(templates);
        let quiet = Arc::new(crate::delivery::layers::Quiet);
        let channels = channels(&config, templates, Arc::new(Forgetful), quiet).unwrap();
        for name in channels.names().split(", ") {
            let channel = &channels.get(name).unwrap().channel;
            assert_eq!(channel.secret_fields(), secret_fields(name), "{name}");
        }
    }
}
