//! Slack's error codes: what each means and how to fix it.
//!
//! The codes of the Web API are from the error tables of `chat.postMessage` and `chat.update`
//! (<https://docs.slack.dev/reference/methods/chat.postMessage>), those of webhooks from
//! <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors>.

/// What follows from a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Retry later.
    Retry,
    /// Nothing reaches this destination until its settings or the workspace are fixed.
    Disable,
    /// Slack refuses this content.
    Refused,
    /// The message to reply to or to edit does not exist any more.
    Gone,
}

/// The API that was called. The same code can mean different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    /// An incoming webhook.
    Webhook,
    /// The Web API, with a bot token.
    Web,
}

/// Whether a word looks like one of Slack's codes.
pub(super) fn is_code(word: &str) -> bool {
    (3..=60).contains(&word.len())
        && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

pub(super) const WEBHOOK_GONE: &str = "the incoming webhook or its channel was removed; create a \
    new webhook in the Slack app's settings and set it as `url`";
pub(super) const WEBHOOK_FORBIDDEN: &str = "Slack does not allow this webhook to post; check the \
    app and the workspace's posting rules, or set a new webhook as `url`";
const TEMPORARY: &str = "Slack reports a temporary error";

/// The meaning of a code. `None` if the code is unknown.
#[expect(clippy::too_many_lines, reason = "a table with one row for each meaning")]
pub(super) fn meaning(code: &str, api: Api) -> Option<(Kind, &'static str)> {
    let row = match code {
        "ratelimited" | "rate_limited" | "message_limit_exceeded" => {
            (Kind::Retry, "Slack limits the rate of messages")
        }
        "service_unavailable"
        | "request_timeout"
        | "internal_error"
        | "fatal_error"
        | "rollup_error"
        | "update_failed" => (Kind::Retry, TEMPORARY),
        "team_added_to_org" | "org_login_required" | "external_channel_migrating" => {
            (Kind::Retry, "the workspace is being migrated")
        }
        "invalid_blocks"
        | "invalid_blocks_format"
        | "block_mismatch"
        | "invalid_payload"
        | "msg_too_long"
        | "msg_blocks_too_long"
        | "no_text"
        | "invalid_attachments"
        | "attachment_payload_limit_exceeded"
        | "too_many_attachments"
        | "too_many_contact_cards"
        | "missing_text_or_fallback_or_attachments"
        | "markdown_text_conflict"
        | "invalid_metadata_format"
        | "invalid_metadata_schema"
        | "metadata_too_large"
        | "metadata_must_be_sent_from_app"
        | "invalid_arguments"
        | "invalid_arg_name"
        | "invalid_array_arg"
        | "invalid_charset"
        | "invalid_form_data"
        | "invalid_post_type"
        | "invalid_json"
        | "json_not_object"
        | "missing_post_type"
        | "slack_connect_canvas_sharing_blocked"
        | "slack_connect_file_link_sharing_blocked"
        | "slack_connect_lists_sharing_blocked" => (Kind::Refused, "Slack refused the message"),
        "thread_not_found"
        | "invalid_thread_ts"
        | "message_not_found"
        | "cant_update_message"
        | "edit_window_closed"
        | "cannot_reply_to_message"
        | "is_inactive"
        | "streaming_state_conflict"
        | "restricted_action_thread_locked"
        | "restricted_action_non_threadable_channel" => {
            (Kind::Gone, "Slack cannot reply to or edit the earlier message")
        }
        "token_revoked"
        | "token_expired"
        | "account_inactive"
        | "invalid_auth"
        | "not_authed"
        | "not_allowed_token_type" => (
            Kind::Disable,
            "Slack no longer accepts the token; reinstall the app in the workspace and set the new \
             `token`",
        ),
        "invalid_token" | "no_service" | "no_service_id" | "no_active_hooks" | "no_team"
        | "team_disabled" => (Kind::Disable, WEBHOOK_GONE),
        "channel_not_found" => match api {
            Api::Webhook => (Kind::Disable, WEBHOOK_GONE),
            Api::Web => (
                Kind::Disable,
                "the channel does not exist or is not visible to the app; invite the app to it or \
                 correct `slack_channel`",
            ),
        },
        "is_archived" | "channel_is_archived" => {
            (Kind::Disable, "the channel is archived; restore it or choose another channel")
        }
        "user_not_found" | "team_not_found" => (
            Kind::Disable,
            "Slack does not find the recipient; set `slack_channel` to an id of this workspace, \
             such as C0123ABCD",
        ),
        "not_in_channel" => {
            (Kind::Disable, "the app is not in the channel; invite it with /invite @app")
        }
        "missing_scope" | "no_permission" | "access_denied" | "team_access_not_granted" => (
            Kind::Disable,
            "the app lacks a permission; add the scope chat:write (and chat:write.public for \
             public channels that the app has not joined) and reinstall it",
        ),
        "action_prohibited" | "posting_to_general_channel_denied" if api == Api::Webhook => {
            (Kind::Disable, WEBHOOK_FORBIDDEN)
        }
        "restricted_action"
        | "restricted_action_read_only_channel"
        | "restricted_action_thread_only_channel"
        | "posting_to_general_channel_denied"
        | "action_prohibited"
        | "ekm_access_denied"
        | "enterprise_is_restricted"
        | "messages_tab_disabled"
        | "two_factor_setup_required"
        | "accesslimited" => (
            Kind::Disable,
            "the workspace's rules do not allow the app to post there; ask an administrator or \
             choose another channel",
        ),
        _ => return None,
    };
    Some(row)
}

pub(super) fn network_message(code: &str) -> &'static str {
    match code {
        "connect_timeout" => "the connection timed out; a firewall may block it",
        "connect_refused" => "the connection was refused",
        "dns_failed" => "the host's name does not resolve; check DNS",
        "tls_failed" => "the TLS handshake failed",
        "connection_reset" => "the connection broke before the answer",
        _ => "the connection failed",
    }
}
