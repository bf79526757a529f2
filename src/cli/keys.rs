//! `fanfare keys`: make, list and revoke keys, on the store directly: the first key of all is made
//! before any server would let anybody in.

use std::str::FromStr;

use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;

use super::settings::Settings;
use super::{Done, Failure, output};
use crate::access::keys::{self, Key, MakeError, NewKey};
use crate::access::{Environment, Role};
use crate::agenda::Clock;
use crate::config::Period;
use crate::store::Store;

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare keys create --role operator
  KEY=$(fanfare keys create --role publisher --tenant acme --label shop)
  fanfare keys create --role reader --tenant acme --environment test --expires 90d
  fanfare keys portal --tenant acme
  fanfare keys list --tenant acme
  fanfare keys revoke key_4fK2mXq9Zb7LwT1cVn3R

A key is shown once, alone on standard output, and kept as a hash. A new key is good, and a revoked
one is refused, on all running servers within a second.")]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Makes a key and shows it, this once
    Create(Create),
    /// Lists keys, without what is secret of them
    List(List),
    /// Ends keys at once
    Revoke(Revoke),
    /// Makes the short-lived key of a portal link: one tenant, its role, nothing that outlives it
    Portal(Portal),
}

#[derive(ClapArgs)]
struct Create {
    /// operator (everything, all tenants), admin, publisher (sends events), reader
    #[arg(long, value_parser = Role::from_str)]
    role: Role,
    /// The one tenant it is for; all roles but operator need one
    #[arg(long, env = "FANFARE_TENANT")]
    tenant: Option<String>,
    /// live or test: test events reach test destinations alone
    #[arg(long, default_value = "live", value_parser = Environment::from_str)]
    environment: Environment,
    /// What it is for, for people
    #[arg(long, default_value = "", hide_default_value = true)]
    label: String,
    /// How long it is good, "90d" [default: until it is revoked]
    #[arg(long, value_name = "TIME")]
    expires: Option<Period>,
    #[command(flatten)]
    common: Common,
}

#[derive(ClapArgs)]
struct Portal {
    /// The tenant
    #[arg(long, env = "FANFARE_TENANT")]
    tenant: String,
    /// admin or reader
    #[arg(long, default_value = "admin", value_parser = Role::from_str)]
    role: Role,
    /// live or test
    #[arg(long, default_value = "live", value_parser = Environment::from_str)]
    environment: Environment,
    /// How long it is good, 24h at most
    #[arg(long, value_name = "TIME", default_value = "15m")]
    expires: Period,
    #[command(flatten)]
    common: Common,
}

#[derive(ClapArgs)]
struct List {
    /// Only those of one tenant
    #[arg(long, env = "FANFARE_TENANT")]
    tenant: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(ClapArgs)]
struct Revoke {
    /// Their ids, as `fanfare keys list` shows them
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(ClapArgs)]
struct Common {
    #[command(flatten)]
    settings: Settings,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Done {
    match args.what {
        What::Create(create) => {
            // FANFARE_TENANT is a help for those who work on one tenant; an operator's has none.
            let tenant = create.tenant.as_deref().filter(|_| create.role != Role::Operator);
            let new = NewKey {
                environment: create.environment,
                label: create.label,
                ttl: create.expires.map(|period| period.0),
                ..NewKey::new(create.role, tenant)
            };
            make(new, &create.common).await
        }
        What::Portal(portal) => {
            let new = NewKey {
                environment: portal.environment,
                ttl: Some(portal.expires.0),
                ..NewKey::portal(portal.role, &portal.tenant)
            };
            make(new, &portal.common).await
        }
        What::List(args) => list(args).await,
        What::Revoke(args) => revoke(args).await,
    }
}

async fn make(new: NewKey, common: &Common) -> Done {
    let (_, store) = common.settings.open().await?;
    if let Some(tenant) = &new.tenant {
        known_tenant(&store, tenant).await?;
    }
    let made = keys::create(&*store.records, new, Clock::System.now_ms()).await;
    let made = made.map_err(|error| match error {
        MakeError::Wrong(_) => Failure::Because(error.to_string()),
        MakeError::Store(error) => error.into(),
        MakeError::NoRandomness(_) => Failure::Unreachable(error.into()),
    })?;
    if common.json {
        let mut json = serde_json::to_value(&made.key).unwrap_or_default();
        json["secret"] = made.secret.reveal().into();
        output::json(&json);
        return Ok(());
    }
    output::line(made.secret.reveal());
    let Key { id, role, environment, .. } = &made.key;
    let of = made.key.tenant.as_deref().map_or_else(String::new, |tenant| format!(" of {tenant}"));
    let until = match made.key.expires_ms {
        Some(expires) => format!("good until {}", output::time(expires)),
        None => format!("good until `fanfare keys revoke {id}`"),
    };
    output::note(format!("{id}: {role}{of}, {environment}, {until}. It is not shown again."));
    Ok(())
}

async fn known_tenant(store: &Store, tenant: &str) -> Done {
    let (_, tenants) = store.directory.all().await?;
    if tenants.iter().any(|known| known.id == tenant) {
        return Ok(());
    }
    Err(Failure::Because(format!("there is no tenant `{tenant}`; add it with `fanfare apply`")))
}

async fn list(args: List) -> Done {
    let (_, store) = args.common.settings.open_existing().await?;
    let keys = keys::list(&*store.records, args.tenant.as_deref()).await?;
    if args.common.json {
        output::json(&keys);
        return Ok(());
    }
    let now = Clock::System.now_ms();
    let mut table = output::table(&[
        "ID",
        "KEY",
        "ROLE",
        "TENANT",
        "ENVIRONMENT",
        "LABEL",
        "EXPIRES",
        "LAST USED",
    ]);
    for key in keys {
        let expires = match key.expires_ms {
            Some(expires) if expires <= now => "expired".to_owned(),
            Some(expires) => output::time(expires),
            None => "never".to_owned(),
        };
        table.add_row([
            key.id,
            key.hint,
            key.role.word().to_owned(),
            key.tenant.as_deref().unwrap_or("all").to_owned(),
            key.environment.word().to_owned(),
            key.label,
            expires,
            key.last_used_ms.map_or_else(|| "never".to_owned(), output::time),
        ]);
    }
    output::print_table(&table);
    Ok(())
}

async fn revoke(args: Revoke) -> Done {
    let (_, store) = args.common.settings.open_existing().await?;
    let mut missing = Vec::new();
    let mut rows = Vec::new();
    for id in args.ids {
        let revoked = keys::revoke(&*store.records, &id).await?;
        rows.push(json!({"id": id, "revoked": revoked}));
        if revoked && !args.common.json {
            output::line(format!("{id}: revoked"));
        } else if !revoked {
            missing.push(id);
        }
    }
    if args.common.json {
        output::json(&rows);
    }
    if missing.is_empty() {
        return Ok(());
    }
    let missing = missing.join(", ");
    Err(Failure::Because(format!("there is no key {missing}; `fanfare keys list` shows them")))
}
