//! Slack's codes: what each means, and what would mend it.
//!
//! Of the Web API: the error tables of `chat.postMessage` and `chat.update`
//! (<https://docs.slack.dev/reference/methods/chat.postMessage>). Of webhooks:
//! <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors>.

use super::{Kind, Way};

/// Whether it looks like one of Slack's codes, and not like a page or a sentence.
pub(super) fn is_code(word: &str) -> bool {
    (3..=60).contains(&word.len())
        && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

pub(super) const WEBHOOK_GONE: &str = "the incoming webhook was removed or its channel is gone; make a new one \
    in the Slack app's settings and set it as `url`";
pub(super) const WEBHOOK_FORBIDDEN: &str = "Slack forbids this webhook to post; check the app and the \
    workspace's rules for posting, or make a new webhook and set it as `url`";

/// What a code of Slack's means; `None` for one that is not known here.
#[expect(clippy::too_many_lines, reason = "a table: one row for each mend")]
pub(super) fn meaning(code: &str, way: Way) -> Option<(Kind, &'static str)> {
    let row = match code {
        "ratelimited" | "rate_limited" | "message_limit_exceeded" => {
            (Kind::Retry, "Slack asks to slow down")
        }
        "service_unavailable"
        | "request_timeout"
        | "internal_error"
        | "fatal_error"
        | "rollup_error"
        | "update_failed" => (Kind::Retry, "Slack has a problem of its own"),
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
            (Kind::Gone, "the message to follow up on cannot be followed up on")
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
        "channel_not_found" => match way {
            Way::Webhook => (Kind::Disable, WEBHOOK_GONE),
            Way::Api => (
                Kind::Disable,
                "there is no such channel, or the app may not see it; invite the app to the channel \
                 or correct `slack_channel`",
            ),
        },
        "is_archived" | "channel_is_archived" => {
            (Kind::Disable, "the channel is archived; restore it or choose another one")
        }
        "user_not_found" | "team_not_found" => (
            Kind::Disable,
            "Slack does not find the receiver; set `slack_channel` to an id (C0123ABCD) that this \
             workspace has",
        ),
        "not_in_channel" => {
            (Kind::Disable, "the app is not in the channel; invite it there (/invite @app)")
        }
        "missing_scope" | "no_permission" | "access_denied" | "team_access_not_granted" => (
            Kind::Disable,
            "the app lacks a permission; add the scope chat:write (and chat:write.public for public \
             channels that it is not in) and reinstall it",
        ),
        "action_prohibited" | "posting_to_general_channel_denied" if way == Way::Webhook => {
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
            "the workspace's rules keep the app from posting there; ask its administrators, or \
             choose another channel",
        ),
        _ => return None,
    };
    Some(row)
}

pub(super) fn network_message(code: &str) -> &'static str {
    match code {
        "connect_timeout" => "nothing answered the connection in time; a firewall may drop it",
        "connect_refused" => "nothing listens there",
        "dns_failed" => "the host's name does not resolve; check DNS",
        "tls_failed" => "no secure connection could be made",
        "connection_reset" => "the connection broke before the answer",
        _ => "no connection could be made",
    }
}
