//! `fanfare keys`: make, list and revoke keys. The first key of all is made on the store, before any
//! server would let anybody in.

use std::str::FromStr;

use clap::{Args as ClapArgs, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::remote::{Api, Ask, Page, Target, Use};
use super::{Done, Failure, output, show};
use crate::access::{Environment, Role};
use crate::agenda::Clock;
use crate::config::Period;

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
    /// Lists keys, without what is secret of them
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
    target: Target,
}

#[derive(ClapArgs)]
struct List {
    /// Only those of one tenant
    #[arg(long, env = "FANFARE_TENANT")]
    tenant: Option<String>,
    #[command(flatten)]
    page: Page,
    #[command(flatten)]
    target: Target,
}

#[derive(ClapArgs)]
struct Revoke {
    /// Their ids, as `fanfare keys list` shows them
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// The tenant whose keys they are; an operator need not say it
    #[arg(long)]
    tenant: Option<String>,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: Args) -> Done {
    match args.what {
        What::Create(create) => {
            // FANFARE_TENANT is a help for those who work on one tenant; an operator's has none.
            let tenant = match create.role {
                Role::Operator => None,
                _ => Some(create.tenant.as_deref().unwrap_or("me")),
            };
            let body = json!({
                "role": create.role.word(), "environment": create.environment.word(),
                "label": create.label,
            });
            make(&create.target, tenant, body, create.expires).await
        }
        What::Portal(portal) => {
            let body = json!({
                "role": portal.role.word(), "environment": portal.environment.word(),
                "portal": true,
            });
            make(&portal.target, Some(&portal.tenant), body, Some(portal.expires)).await
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

async fn make(
    target: &Target,
    tenant: Option<&str>,
    mut body: Value,
    expires: Option<Period>,
) -> Done {
    if let Some(Period(expires)) = expires {
        body["expires_in_seconds"] = json!(expires.as_secs());
    }
    let api = Api::open(target, Use::Begin).await?;
    let mut made = api.data(ask(Method::POST, tenant, &["keys"]).body(body)).await?;
    let key = made.as_object_mut().and_then(|made| made.remove("key")).unwrap_or_default();
    if target.json {
        made["secret"] = key;
        output::json(&made);
        return Ok(());
    }
    output::line(key.as_str().unwrap_or_default());
    let [id, role, environment] = ["id", "role", "environment"].map(|name| show::word(&made[name]));
    let of = made["tenant"].as_str().map(|tenant| format!(" of {tenant}")).unwrap_or_default();
    let until = match made["expires_ms"].as_i64() {
        Some(expires) => format!("good until {}", output::time(expires)),
        None => format!("good until `fanfare keys revoke {id}`"),
    };
    output::note(format!("{id}: {role}{of}, {environment}, {until}. It is not shown again."));
    Ok(())
}

async fn list(args: List) -> Done {
    let api = Api::open(&args.target, Use::Plain).await?;
    let tenant = args.tenant.as_deref();
    let asked = ask(Method::GET, tenant, &["keys"]).page(&args.page);
    let keys = api.data(asked.with("all", tenant.is_none().then_some(true))).await?;
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
    for key in keys["data"].as_array().into_iter().flatten() {
        let expires = match key["expires_ms"].as_i64() {
            Some(expires) if expires <= now => "expired".to_owned(),
            Some(expires) => output::time(expires),
            None => "never".to_owned(),
        };
        table.add_row([
            show::word(&key["id"]),
            show::word(&key["hint"]),
            show::word(&key["role"]),
            key["tenant"].as_str().unwrap_or("all").to_owned(),
            show::word(&key["environment"]),
            show::word(&key["label"]),
            expires,
            key["last_used_ms"].as_i64().map_or_else(|| "never".to_owned(), output::time),
        ]);
    }
    output::print_table(&table);
    super::events::more(keys["next_cursor"].as_str());
    Ok(())
}

async fn revoke(args: Revoke) -> Done {
    let api = Api::open(&args.target, Use::Plain).await?;
    let mut missing = Vec::new();
    let mut rows = Vec::new();
    for id in args.ids {
        let asked = ask(Method::DELETE, args.tenant.as_deref(), &["keys", &id]);
        let revoked = api.find(asked).await?.is_some();
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
