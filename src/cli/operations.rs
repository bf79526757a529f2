//! Which command performs which operation of the API. The test fails if an operation has no command
//! or a command no longer exists.

use std::collections::BTreeSet;

use clap::CommandFactory as _;

use super::Cli;
use crate::api::openapi;

const TENANT: &str = "/v1/tenants/{tenant}";

/// Method, path, and command. `~` is the tenant's path.
const TABLE: [(&str, &str, &str); 73] = [
    ("GET", "/v1/tenants", "tenants list"),
    ("POST", "/v1/tenants", "tenants create"),
    ("GET", "~", "tenants get"),
    ("PATCH", "~", "tenants update"),
    ("DELETE", "~", "tenants delete"),
    ("GET", "~/document", "tenants document"),
    ("PUT", "~/document", "apply"),
    ("GET", "~/quotas", "tenants quotas"),
    ("PATCH", "~/quotas", "tenants set-quota"),
    ("GET", "~/notification-channels", "notification-channels get"),
    ("PATCH", "~/notification-channels", "notification-channels set"),
    ("GET", "~/destinations", "destinations list"),
    ("POST", "~/destinations", "destinations create"),
    ("GET", "~/destinations/{destination}", "destinations get"),
    ("PUT", "~/destinations/{destination}", "destinations put"),
    ("PATCH", "~/destinations/{destination}", "destinations update"),
    ("DELETE", "~/destinations/{destination}", "destinations delete"),
    ("POST", "~/destinations/{destination}/rotate-secret", "destinations rotate-secret"),
    ("POST", "~/destinations/{destination}/test", "destinations test"),
    ("POST", "~/destinations/{destination}/pause", "destinations pause"),
    ("POST", "~/destinations/{destination}/resume", "destinations resume"),
    ("POST", "~/destinations/{destination}/enable", "destinations enable"),
    ("POST", "~/destinations/{destination}/recover", "destinations recover"),
    ("GET", "~/destinations/{destination}/messages", "destinations messages"),
    ("POST", "~/destinations/{destination}/commit", "destinations commit"),
    ("GET", "~/routes", "routes list"),
    ("POST", "~/routes", "routes create"),
    ("PUT", "~/routes", "routes put"),
    ("GET", "~/routes/{route}", "routes get"),
    ("PUT", "~/routes/{route}", "routes update"),
    ("DELETE", "~/routes/{route}", "routes delete"),
    ("POST", "~/route-trials", "routes try"),
    ("GET", "~/preferences", "preferences get"),
    ("PATCH", "~/preferences", "preferences set"),
    ("GET", "~/templates", "templates list"),
    ("GET", "~/templates/{event_type}/{part}", "templates get"),
    ("PUT", "~/templates/{event_type}/{part}", "templates put"),
    ("DELETE", "~/templates/{event_type}/{part}", "templates delete"),
    ("POST", "~/templates/preview", "templates preview"),
    ("GET", "/v1/event-types", "types list"),
    ("GET", "/v1/event-types/{event_type}", "types get"),
    ("PUT", "/v1/event-types/{event_type}", "types put"),
    ("DELETE", "/v1/event-types/{event_type}", "types delete"),
    ("GET", "~/suppressions", "suppressions list"),
    ("GET", "~/suppressions/{suppression}", "suppressions get"),
    ("POST", "~/suppressions/{suppression}/lift", "suppressions lift"),
    ("GET", "~/digests", "digests list"),
    ("POST", "~/digests/{destination}/send", "digests send"),
    ("GET", "~/keys", "keys list"),
    ("POST", "~/keys", "keys create"),
    ("DELETE", "~/keys/{key}", "keys revoke"),
    ("GET", "/v1/keys", "keys list"),
    ("POST", "/v1/keys", "keys create"),
    ("DELETE", "/v1/keys/{key}", "keys revoke"),
    ("GET", "~/audit", "changes"),
    ("GET", "/v1/audit", "changes"),
    ("GET", "/v1/rejected", "events"),
    ("GET", "/v1/server", "server status"),
    ("GET", "/v1/server/settings", "server settings"),
    ("POST", "/v1/events", "send"),
    ("GET", "/v1/events", "events"),
    ("GET", "~/events", "events"),
    ("GET", "~/events/{event}", "events"),
    ("GET", "~/stats", "stats"),
    ("GET", "/v1/stats", "stats"),
    ("GET", "~/deliveries", "deliveries"),
    ("GET", "~/deliveries/{delivery}", "deliveries"),
    ("POST", "~/deliveries/{delivery}/replay", "replay"),
    ("POST", "~/deliveries/{delivery}/cancel", "cancel"),
    ("POST", "~/deliveries/cancel", "cancel"),
    ("POST", "~/deliveries/replay", "replay"),
    ("GET", "~/export", "export"),
    ("POST", "~/erasures", "erase"),
];

#[test]
fn every_operation_of_the_api_has_a_command_with_a_server_option() {
    let covered = TABLE.iter().map(|(method, path, _)| match path.strip_prefix('~') {
        Some(rest) => format!("{method} {TENANT}{rest}"),
        None => format!("{method} {path}"),
    });
    let mut operations = openapi::all_operations();
    // For programs that send a body of their own.
    assert!(operations.remove("POST /v1/ingest/{source}"));
    assert_eq!(covered.collect::<BTreeSet<_>>(), operations);
    for (_, _, words) in TABLE {
        let mut command = &Cli::command();
        for word in words.split(' ') {
            command = command.find_subcommand(word).unwrap_or_else(|| panic!("no `{words}`"));
        }
        let server = command.get_arguments().any(|arg| arg.get_long() == Some("server"));
        assert!(server, "`{words}` has no --server");
    }
}
