//! `fanfare tenants`: manages the tenants of a store or a server.

use clap::{Args as ClapArgs, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use super::confirm::Confirm;
use super::options::{PageArgs, Target};
use super::remote::{Api, ApiRequest, StoreUse};
use super::{CommandResult, input, output, show};
use crate::quota::Quota;

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare tenants create acme --name 'Acme Bank'
  fanfare tenants list --server https://fanfare.example")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List tenants
    #[command(after_help = "Example:\n  fanfare tenants list --limit 100")]
    List(List),
    /// Show a tenant
    #[command(after_help = "Example:\n  fanfare tenants get acme")]
    Get(One),
    /// Show all settings of a tenant as one document, with secrets masked
    #[command(after_help = "Example:\n  fanfare tenants document acme --json")]
    Document(One),
    /// Create a tenant
    #[command(after_help = "Example:\n  fanfare tenants create acme --name 'Acme Bank'")]
    Create(Change),
    /// Change the name or the links of a tenant; what is not given stays
    #[command(after_help = "Example:
  fanfare tenants update acme \\
    --link 'session=https://acme.example/s/{data.session_id}'")]
    Update(Change),
    /// Show the quotas of a tenant and what it uses of them
    #[command(after_help = "Example:\n  fanfare tenants quotas acme")]
    Quotas(One),
    /// Change quotas of a tenant; requires an operator
    #[command(after_help = "Examples:
  fanfare tenants set-quota acme events_per_second=500 stored_bytes=10737418240
  fanfare tenants set-quota acme keys=unlimited routes=default

A tenant that already uses more than a new quota keeps what it has. Only further increases are \
refused. `fanfare tenants quotas` lists the quotas.")]
    SetQuota(SetQuota),
    /// Delete a tenant with its keys, destinations, routes, and templates
    #[command(after_help = "Example:
  fanfare tenants delete acme

Waiting deliveries are suppressed. Past events stay in the store for the retention time; `fanfare \
erase` removes them.")]
    Delete(Delete),
}

#[derive(ClapArgs)]
struct List {
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    target: Target,
}

#[derive(ClapArgs)]
struct One {
    /// Tenant id
    tenant: String,
    #[command(flatten)]
    target: Target,
}

/// A tenant to delete.
#[derive(ClapArgs)]
struct Delete {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    confirm: Confirm,
}

#[derive(ClapArgs)]
struct Change {
    /// Tenant id: 1 to 64 of a-z, 0-9, -, and _
    tenant: String,
    /// Name of the tenant, for people and in messages
    #[arg(long)]
    name: Option<String>,
    /// URL behind a button in messages; can be repeated, and replaces all links
    #[arg(long = "link", value_name = "NAME=URL", value_parser = input::setting)]
    links: Vec<(String, Value)>,
    #[command(flatten)]
    target: Target,
}

#[derive(ClapArgs)]
struct SetQuota {
    /// Tenant id
    tenant: String,
    /// Quota and its value: a number, `unlimited`, or `default` for the server's default
    #[arg(required = true, value_name = "QUOTA=VALUE", value_parser = quota)]
    quotas: Vec<(Quota, Option<u64>)>,
    #[command(flatten)]
    target: Target,
}

/// `events_per_second=500`. `None` is the server's default.
fn quota(text: &str) -> Result<(Quota, Option<u64>), String> {
    let (name, value) = text.split_once('=').ok_or("write QUOTA=VALUE, such as keys=50")?;
    let value = match value {
        "default" => None,
        "unlimited" => Some(0),
        number => Some(number.parse().ok().filter(|number| *number > 0).ok_or_else(|| {
            format!("`{number}` must be a whole number above 0, `unlimited` or `default`")
        })?),
    };
    Ok((name.parse()?, value))
}

impl Change {
    fn body(&self) -> Map<String, Value> {
        let name = self.name.as_ref().map(|name| ("name".to_owned(), json!(name)));
        let links: Map<String, Value> = self.links.iter().cloned().collect();
        let links = (!links.is_empty()).then(|| ("links".to_owned(), json!(links)));
        name.into_iter().chain(links).collect()
    }
}

impl One {
    async fn call(&self, method: Method, path: &[&str]) -> Result<Value, super::Failure> {
        let path = [&["tenants", self.tenant.as_str()], path].concat();
        self.target.data(ApiRequest::new(method, &path)).await
    }
}

pub(super) async fn run(args: Args) -> CommandResult {
    match args.command {
        Command::List(List { page, target }) => {
            let request = ApiRequest::new(Method::GET, &["tenants"]).page(&page);
            let columns = [
                ("TENANT", "id"),
                ("NAME", "name"),
                ("DESTINATIONS", "destinations"),
                ("ROUTES", "routes"),
            ];
            show::list(target.json, &target.data(request).await?, &columns)
        }
        Command::Get(one) => show::one(one.target.json, &one.call(Method::GET, &[]).await?),
        Command::Document(one) => {
            show::one(one.target.json, &one.call(Method::GET, &["document"]).await?)
        }
        Command::Create(new) => {
            let mut body = new.body();
            body.insert("id".to_owned(), json!(new.tenant));
            let request = ApiRequest::new(Method::POST, &["tenants"]).body(body);
            let data = Api::open(&new.target, StoreUse::Create).await?.data(request).await?;
            show::changed(new.target.json, &new.tenant, "created", &data)
        }
        Command::Update(change) => {
            let request = ApiRequest::new(Method::PATCH, &["tenants", &change.tenant]);
            let data = change.target.data(request.body(change.body())).await?;
            show::one(change.target.json, &data)
        }
        Command::Quotas(one) => {
            quotas(one.target.json, &one.call(Method::GET, &["quotas"]).await?);
            Ok(())
        }
        Command::SetQuota(SetQuota { tenant, quotas: changes, target }) => {
            let changes = changes.iter().map(|(quota, value)| (quota.to_string(), json!(value)));
            let request = ApiRequest::new(Method::PATCH, &["tenants", &tenant, "quotas"]);
            let data = target.data(request.body(changes.collect::<Map<_, _>>())).await?;
            quotas(target.json, &data);
            Ok(())
        }
        Command::Delete(Delete { one, confirm }) => {
            confirm.ask(&format!("Delete the tenant `{}` and all its settings?", one.tenant))?;
            one.call(Method::DELETE, &[]).await?;
            show::done(one.target.json, &one.tenant, "deleted")
        }
    }
}

/// Prints quotas, in the order in which the documentation lists them.
fn quotas(as_json: bool, data: &Value) {
    if as_json {
        return output::json(data);
    }
    let mut table = output::table(&["QUOTA", "LIMIT", "USED", "SOURCE"]);
    for quota in Quota::ALL {
        let state = &data["quotas"][quota.name()];
        let limit = state["limit"].as_u64().map_or("unlimited".to_owned(), |n| n.to_string());
        let used = state["used"].to_string();
        table.add_row([quota.name().to_owned(), limit, used, show::word(&state["source"])]);
    }
    output::print_table(&table);
}
