//! `fanfare tenants`: who has destinations, routes and keys of its own.

use clap::{Args as ClapArgs, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use super::remote::{Api, Ask, Page, Target, Use};
use super::{Done, input, show};

/// Options.
#[derive(ClapArgs)]
#[command(after_help = "Examples:
  fanfare tenants create acme --name 'Acme Bank'
  fanfare tenants list --server https://fanfare.example")]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Lists tenants
    #[command(after_help = "Example:\n  fanfare tenants list --limit 100")]
    List(List),
    /// Shows one
    #[command(after_help = "Example:\n  fanfare tenants get acme")]
    Get(One),
    /// Shows all of its settings as one document, as `fanfare apply` puts it; secrets are masked
    #[command(after_help = "Example:\n  fanfare tenants document acme --json")]
    Document(One),
    /// Makes one
    #[command(after_help = "Example:\n  fanfare tenants create acme --name 'Acme Bank'")]
    Create(Change),
    /// Changes its name or its links; what is not given stays
    #[command(
        after_help = "Example:\n  fanfare tenants update acme --link 'session=https://acme.example/s/{data.session_id}'"
    )]
    Update(Change),
    /// Removes one: its keys, destinations, routes and templates go; what waits for them is suppressed
    #[command(after_help = "Example:\n  fanfare tenants delete acme")]
    Delete(One),
}

#[derive(ClapArgs)]
struct List {
    #[command(flatten)]
    page: Page,
    #[command(flatten)]
    target: Target,
}

#[derive(ClapArgs)]
struct One {
    /// The tenant's id
    tenant: String,
    #[command(flatten)]
    target: Target,
}

#[derive(ClapArgs)]
struct Change {
    /// The tenant's id: 1 to 64 of a-z 0-9 - _
    tenant: String,
    /// For people; in messages
    #[arg(long)]
    name: Option<String>,
    /// An address in the tenant's own systems, for buttons in messages; all of them at once
    #[arg(long = "link", value_name = "NAME=URL", value_parser = input::setting)]
    links: Vec<(String, Value)>,
    #[command(flatten)]
    target: Target,
}

impl Change {
    fn body(&self) -> Map<String, Value> {
        let name = self.name.as_ref().map(|name| ("name".to_owned(), json!(name)));
        let links: Map<String, Value> = self.links.iter().cloned().collect();
        let links = (!links.is_empty()).then(|| ("links".to_owned(), json!(links)));
        name.into_iter().chain(links).collect()
    }
}

pub(super) async fn run(args: Args) -> Done {
    match args.what {
        What::List(args) => {
            let api = Api::open(&args.target, Use::Plain).await?;
            let data = api.data(Ask::of(Method::GET, &["tenants"]).page(&args.page)).await?;
            let columns = [
                ("TENANT", "id"),
                ("NAME", "name"),
                ("DESTINATIONS", "destinations"),
                ("ROUTES", "routes"),
            ];
            show::list(args.target.json, &data, &columns)
        }
        What::Get(one) => {
            let api = Api::open(&one.target, Use::Plain).await?;
            let data = api.data(Ask::of(Method::GET, &["tenants", &one.tenant])).await?;
            show::one(one.target.json, &data)
        }
        What::Document(one) => {
            let api = Api::open(&one.target, Use::Plain).await?;
            let ask = Ask::of(Method::GET, &["tenants", &one.tenant, "document"]);
            show::one(one.target.json, &api.data(ask).await?)
        }
        What::Create(new) => {
            let mut body = new.body();
            body.insert("id".to_owned(), json!(new.tenant));
            let api = Api::open(&new.target, Use::Begin).await?;
            let ask = Ask::of(Method::POST, &["tenants"]).body(body.into());
            let data = api.data(ask).await?;
            show::once(new.target.json, &new.tenant, "created", &data)
        }
        What::Update(change) => {
            let api = Api::open(&change.target, Use::Plain).await?;
            let ask = Ask::of(Method::PATCH, &["tenants", &change.tenant]);
            let data = api.data(ask.body(change.body().into())).await?;
            show::one(change.target.json, &data)
        }
        What::Delete(one) => {
            let api = Api::open(&one.target, Use::Plain).await?;
            api.call(Ask::of(Method::DELETE, &["tenants", &one.tenant])).await?;
            show::done(one.target.json, &one.tenant, "deleted")
        }
    }
}
