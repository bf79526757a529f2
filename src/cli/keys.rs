//! `fanfare keys`: make, list and revoke keys. On the store directly, for the first key of all is made
//! before any server would let anybody in; the others also with --server.

use std::str::FromStr;

use clap::{Args as ClapArgs, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::remote::{Api, Ask, Target, Use};
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
    #[command(
        after_help = "Example:\n  fanfare keys create --role publisher --tenant acme --expires 90d"
    )]
    Create(Create),
    /// Lists keys, without what is secret of them; of a server, those of one tenant or the operators'
    #[command(after_help = "Example:\n  fanfare keys list --tenant acme")]
    List(List),
    /// Ends keys at once
    #[command(after_help = "Example:\n  fanfare keys revoke key_4fK2mXq9Zb7LwT1cVn3R")]
    Revoke(Revoke),
    /// Makes the short-lived key of a portal link: one tenant, its role, nothing that outlives it
    #[command(after_help = "Example:\n  fanfare keys portal --tenant acme --role reader")]
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
    target: Target,
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
    settings: Settings,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(ClapArgs)]
struct List {
    /// Only those of one tenant
    #[arg(long, env = "FANFARE_TENANT")]
    tenant: Option<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(ClapArgs)]
struct Revoke {
    /// Their ids, as `fanfare keys list` shows them
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// With --server: the tenant whose keys they are; the operators' when left out
    #[arg(long)]
    tenant: Option<String>,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: Args) -> Done {
    match args.what {
        What::Create(create) => {
            // FANFARE_TENANT is a help for those who work on one tenant; an operator's has none.
            let tenant = create.tenant.as_deref().filter(|_| create.role != Role::Operator);
            if create.target.server.is_some() {
                return make_over_http(&create, tenant).await;
            }
            let new = NewKey {
                environment: create.environment,
                label: create.label,
                ttl: create.expires.map(|period| period.0),
                ..NewKey::new(create.role, tenant)
            };
            make(new, &create.target.settings, create.target.json).await
        }
        What::Portal(portal) => {
            let new = NewKey {
                environment: portal.environment,
                ttl: Some(portal.expires.0),
                ..NewKey::portal(portal.role, &portal.tenant)
            };
            make(new, &portal.settings, portal.json).await
        }
        What::List(args) => list(args).await,
        What::Revoke(args) => revoke(args).await,
    }
}

/// Below the tenant's path, or that of the operators.
fn ask(method: Method, tenant: Option<&str>, rest: &[&str]) -> Ask {
    match tenant {
        Some(tenant) => Ask::of(method, &[&["tenants", tenant], rest].concat()),
        None => Ask::of(method, rest),
    }
}

async fn make_over_http(create: &Create, tenant: Option<&str>) -> Done {
    let mut body = json!({
        "role": create.role.word(), "environment": create.environment.word(),
        "label": create.label,
    });
    if let Some(Period(expires)) = create.expires {
        body["expires_in_seconds"] = json!(expires.as_secs());
    }
    let api = Api::open(&create.target, Use::Plain).await?;
    let mut made = api.data(ask(Method::POST, tenant, &["keys"]).body(body)).await?;
    // As it is called when the store is asked.
    let key = made.as_object_mut().and_then(|made| made.remove("key")).unwrap_or_default();
    if create.target.json {
        made["secret"] = key;
        output::json(&made);
        return Ok(());
    }
    output::line(key.as_str().unwrap_or_default());
    let id = made["id"].as_str().unwrap_or_default();
    output::note(format!("{id}: {}. It is not shown again.", create.role));
    Ok(())
}

async fn make(new: NewKey, settings: &Settings, as_json: bool) -> Done {
    let (_, store) = settings.open().await?;
    if let Some(tenant) = &new.tenant {
        known_tenant(&store, tenant).await?;
    }
    let made = keys::create(&*store.records, new, Clock::System.now_ms()).await;
    let made = made.map_err(|error| match error {
        MakeError::Wrong(_) => Failure::Because(error.to_string()),
        MakeError::Store(error) => error.into(),
        MakeError::NoRandomness(_) => Failure::Unreachable(error.into()),
    })?;
    if as_json {
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

/// Keys, as they stand in the store or as a server shows them.
async fn listed(args: &List) -> Result<Value, Failure> {
    let tenant = args.tenant.as_deref();
    if args.target.server.is_some() {
        let api = Api::open(&args.target, Use::Plain).await?;
        let mut page =
            api.data(ask(Method::GET, tenant, &["keys"]).with("limit", Some(1000))).await?;
        return Ok(page["data"].take());
    }
    let (_, store) = args.target.settings.open_existing().await?;
    Ok(json!(keys::list(&*store.records, tenant).await?))
}

async fn list(args: List) -> Done {
    let keys = listed(&args).await?;
    if args.target.json {
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
    for key in keys.as_array().into_iter().flatten() {
        let word = |name: &str| key[name].as_str().unwrap_or_default().to_owned();
        let expires = match key["expires_ms"].as_i64() {
            Some(expires) if expires <= now => "expired".to_owned(),
            Some(expires) => output::time(expires),
            None => "never".to_owned(),
        };
        table.add_row([
            word("id"),
            word("hint"),
            word("role"),
            key["tenant"].as_str().unwrap_or("all").to_owned(),
            word("environment"),
            word("label"),
            expires,
            key["last_used_ms"].as_i64().map_or_else(|| "never".to_owned(), output::time),
        ]);
    }
    output::print_table(&table);
    Ok(())
}

async fn revoke(args: Revoke) -> Done {
    if args.target.server.is_some() {
        return revoke_over_http(&args).await;
    }
    let (_, store) = args.target.settings.open_existing().await?;
    let mut missing = Vec::new();
    let mut rows = Vec::new();
    for id in args.ids {
        let revoked = keys::revoke(&*store.records, &id).await?;
        rows.push(json!({"id": id, "revoked": revoked}));
        if revoked && !args.target.json {
            output::line(format!("{id}: revoked"));
        } else if !revoked {
            missing.push(id);
        }
    }
    if args.target.json {
        output::json(&rows);
    }
    if missing.is_empty() {
        return Ok(());
    }
    let missing = missing.join(", ");
    Err(Failure::Because(format!("there is no key {missing}; `fanfare keys list` shows them")))
}

async fn revoke_over_http(args: &Revoke) -> Done {
    let api = Api::open(&args.target, Use::Plain).await?;
    let mut rows = Vec::new();
    for id in &args.ids {
        api.call(ask(Method::DELETE, args.tenant.as_deref(), &["keys", id])).await?;
        rows.push(json!({"id": id, "revoked": true}));
        if !args.target.json {
            output::line(format!("{id}: revoked"));
        }
    }
    if args.target.json {
        output::json(&rows);
    }
    Ok(())
}
