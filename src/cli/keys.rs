//! `fanfare keys`: creates, lists, and revokes API keys. On a store it needs no key, which is how
//! an installation gets its first one.

use std::str::FromStr as _;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args as ClapArgs, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::options::{PageArgs, Target, environment};
use super::remote::{Api, ApiRequest, StoreUse};
use super::{CommandResult, Failure, output, show};
use crate::access::{Environment, Role};
use crate::agenda::Clock;
use crate::config::Period;

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare keys create --role operator
  KEY=$(fanfare keys create --role publisher --tenant acme --label shop)
  fanfare keys create --role reader --tenant acme --expires 90d
  fanfare keys portal --tenant acme
  fanfare keys list --tenant acme
  fanfare keys revoke key_4fK2mXq9Zb7LwT1cVn3R

The store contains only a hash of each key. A new key is valid, and a revoked key is refused, on \
all running servers within a second.")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create a key and print it, once
    #[command(after_help = "Examples:
  fanfare keys create --role operator
  fanfare keys create --role publisher --tenant acme --expires 90d

Roles:
  operator   Do everything, for all tenants
  admin      Do everything for one tenant
  publisher  Send events for one tenant
  reader     Read everything of one tenant, and change nothing
  consumer   Read the mailboxes of one tenant and commit messages

The key is printed on standard output, and its description on standard error.")]
    Create(Create),
    /// List keys, without the keys themselves
    #[command(after_help = "Example:\n  fanfare keys list --tenant acme")]
    List(List),
    /// Revoke keys
    #[command(after_help = "Example:\n  fanfare keys revoke key_4fK2mXq9Zb7LwT1cVn3R")]
    Revoke(Revoke),
    /// Create a short-lived key for a link to one tenant's portal; it cannot create keys
    #[command(after_help = "Example:\n  fanfare keys portal --tenant acme --role reader")]
    Portal(Portal),
}

#[derive(ClapArgs)]
struct Create {
    /// What the key may do
    #[arg(long, value_parser = role(["operator", "admin", "publisher", "reader", "consumer"]))]
    role: Role,
    /// Tenant id; required for all roles but operator, unless the --key you use has a tenant
    #[arg(long, env = "FANFARE_TENANT")]
    tenant: Option<String>,
    /// Environment of the key; a test key sees, changes, and sends test things only
    #[arg(long, default_value = "live", value_parser = environment())]
    environment: Environment,
    /// Description of the key, for people
    #[arg(long, default_value = "", hide_default_value = true)]
    label: String,
    /// How long the key is valid, such as 90d [default: until it is revoked]
    #[arg(long, value_name = "DURATION")]
    expires: Option<Period>,
    #[command(flatten)]
    target: Target,
}

#[derive(ClapArgs)]
struct Portal {
    /// Tenant id
    #[arg(long, env = "FANFARE_TENANT")]
    tenant: String,
    /// What the key may do
    #[arg(long, default_value = "admin", value_parser = role(["admin", "reader"]))]
    role: Role,
    /// Environment of the key; a test key sees, changes, and sends test things only
    #[arg(long, default_value = "live", value_parser = environment())]
    environment: Environment,
    /// How long the key is valid, at most 24h
    #[arg(long, value_name = "DURATION", default_value = "15m")]
    expires: Period,
    #[command(flatten)]
    target: Target,
}

#[derive(ClapArgs)]
struct List {
    /// Only keys of this tenant
    #[arg(long, env = "FANFARE_TENANT")]
    tenant: Option<String>,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    target: Target,
}

#[derive(ClapArgs)]
struct Revoke {
    /// Key ids, as `fanfare keys list` shows them
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Tenant id of the keys; optional for an operator
    #[arg(long)]
    tenant: Option<String>,
    #[command(flatten)]
    target: Target,
}

/// Parses the roles of these names.
fn role<const N: usize>(names: [&'static str; N]) -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(names).try_map(|name| Role::from_str(&name))
}

pub(super) async fn run(args: Args) -> CommandResult {
    match args.command {
        Command::Create(args) => {
            // An operator's key has no tenant, even if FANFARE_TENANT is set.
            let tenant = match args.role {
                Role::Operator => None,
                _ => Some(args.tenant.as_deref().unwrap_or("me")),
            };
            let body = json!({
                "role": args.role.word(), "environment": args.environment.word(),
                "label": args.label,
            });
            create(&args.target, tenant, body, args.expires).await
        }
        Command::Portal(args) => {
            let body = json!({
                "role": args.role.word(), "environment": args.environment.word(),
                "portal": true,
            });
            create(&args.target, Some(&args.tenant), body, Some(args.expires)).await
        }
        Command::List(args) => list(args).await,
        Command::Revoke(args) => revoke(args).await,
    }
}

/// A request for keys of a tenant, or of no tenant.
fn request(method: Method, tenant: Option<&str>, path: &[&str]) -> ApiRequest {
    match tenant {
        Some(tenant) => ApiRequest::new(method, &[&["tenants", tenant], path].concat()),
        None => ApiRequest::new(method, path),
    }
}

async fn create(
    target: &Target,
    tenant: Option<&str>,
    mut body: Value,
    expires: Option<Period>,
) -> CommandResult {
    if let Some(Period(expires)) = expires {
        body["expires_in_seconds"] = json!(expires.as_secs());
    }
    let api = Api::open(target, StoreUse::Create).await?;
    let mut created = api.data(request(Method::POST, tenant, &["keys"]).body(body)).await?;
    let key = created.as_object_mut().and_then(|map| map.remove("key")).unwrap_or_default();
    if target.json {
        created["secret"] = key;
        output::json(&created);
        return Ok(());
    }
    output::line(show::word(&key));
    let [id, role, environment] =
        ["id", "role", "environment"].map(|field| show::word(&created[field]));
    let tenant = created["tenant"].as_str().map(|tenant| format!(" of tenant {tenant}"));
    let valid = match created["expires_ms"].as_i64() {
        Some(expires) => format!("valid until {}", output::time(expires)),
        None => format!("valid until `fanfare keys revoke {id}`"),
    };
    output::note(format!(
        "{id}: {role}{}, {environment}, {valid}. Store the key now: it is not shown again.",
        tenant.unwrap_or_default()
    ));
    Ok(())
}

async fn list(args: List) -> CommandResult {
    let tenant = args.tenant.as_deref();
    let request = request(Method::GET, tenant, &["keys"])
        .page(&args.page)
        .query("all", tenant.is_none().then_some(true));
    let keys = args.target.data(request).await?;
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
    show::next_page(&keys);
    Ok(())
}

async fn revoke(args: Revoke) -> CommandResult {
    let api = Api::open(&args.target, StoreUse::Existing).await?;
    let mut missing = Vec::new();
    let mut rows = Vec::new();
    for id in args.ids {
        let request = request(Method::DELETE, args.tenant.as_deref(), &["keys", &id]);
        let revoked = api.find(request).await?.is_some();
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
    Err(Failure::refused(format!(
        "there is no key {}; `fanfare keys list` shows all keys",
        missing.join(", ")
    )))
}
