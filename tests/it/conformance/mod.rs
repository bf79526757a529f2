//! What every store promises, whatever is underneath.
//!
//! A store takes part with a [`Fixture`] and one line, `conformance::every_promise!(ItsFixture);`,
//! which makes a test of each promise. The promises see the traits of `fanfare_store` alone.

mod accounts;
pub(crate) mod agenda;
pub(crate) mod directory;
pub(crate) mod erasure;
pub(crate) mod kit;
pub(crate) mod ledger;
pub(crate) mod lifecycle;
pub(crate) mod limits;
pub(crate) mod log;
pub(crate) mod records;
pub(crate) mod rollups;
pub(crate) mod search;
pub(crate) mod serving;
pub(crate) mod tail;
pub(crate) mod turns;
pub(crate) mod upkeep;
pub(crate) mod usage;
pub(crate) mod wide;

use fanfare_store::{SearchPaths, Store};

/// The paths that every store under test indexes.
pub(crate) fn search_paths() -> SearchPaths {
    let paths = ["data.session", "data.users.id"].map(str::to_owned);
    SearchPaths::new(&paths).expect("valid paths")
}

/// A store under test, and the processes over it.
pub(crate) trait Fixture: Sized {
    /// An event that is there already is added all the same, and told apart when it is admitted.
    const ADDS_KNOWN: bool = false;
    /// Only one process at a time reads, in order, and queues in order.
    const ONE_READER: bool = false;
    /// Old rollups go by themselves after a real time, not when the caller says so.
    const EXPIRES_ROLLUPS: bool = false;

    /// An empty store.
    async fn start() -> Self;

    /// The first process over it.
    async fn open(&self) -> Store;

    /// Another process beside the first, which goes on.
    async fn beside(&self) -> Store;

    /// Ends the process as `kill -9` would, without a goodbye, and opens the next one, which may
    /// take over at once what the dead one had read.
    async fn crash(&self, store: Store) -> Store;
}

/// Makes a test of every promise for one fixture.
macro_rules! every_promise {
    ($fixture:ty) => {
        $crate::conformance::promises! { $fixture;
            log: appended_events_come_back_whole_and_in_order,
            log: the_same_event_twice_is_one,
            log: the_same_event_twice_in_one_batch_is_one,
            log: the_same_id_in_two_tenants_is_two,
            log: a_thousand_events_fit_in_one_batch,
            log: big_bodies_and_odd_characters_survive,
            log: reading_waits_for_the_first_event,
            log: a_dropped_read_loses_nothing,
            log: an_event_appended_by_another_process_is_read,
            log: an_unsettled_entry_is_fresh_however_often_it_is_admitted,
            log: settling_is_idempotent,
            log: a_late_repetition_of_a_settlement_undoes_nothing,
            log: only_unsettled_entries_come_again_after_a_crash,
            log: what_was_appended_and_never_read_survives_a_crash,
            log: a_rejected_entry_is_kept_and_is_no_event,
            turns: a_backlog_of_one_tenant_does_not_hide_another,
            turns: a_backlog_from_before_a_crash_does_not_hide_another_tenant,
            turns: a_tenant_that_has_had_its_share_is_read_later_and_in_order,
            agenda: a_parked_delivery_is_claimed_when_its_time_comes,
            agenda: a_claimed_lane_is_nobody_elses,
            agenda: an_expired_lease_hands_the_lane_over,
            agenda: a_lost_lease_can_neither_be_released_nor_renewed,
            agenda: a_renewed_lease_lasts,
            agenda: a_lane_survives_the_crash_of_its_holder,
            agenda: no_tenant_takes_more_than_its_share,
            agenda: a_flood_of_one_tenant_hides_no_other,
            agenda: a_claim_leaves_tenants_at_their_limit_alone,
            agenda: a_look_into_a_queue_is_bounded_by_bytes,
            wide: an_event_with_many_deliveries_keeps_each_of_them,
            wide: an_event_with_many_deliveries_is_removed_whole,
            agenda: the_earliest_lane_is_claimed_first,
            agenda: the_next_time_follows_every_change,
            agenda: an_earlier_time_brings_a_lane_forward_and_a_later_one_does_not_delay_it,
            agenda: parking_into_a_claimed_lane_leaves_the_lease_alone,
            agenda: a_lane_with_an_empty_queue_goes_away,
            agenda: a_lane_is_rescheduled_sooner_and_later,
            agenda: a_held_lane_is_not_brought_forward_by_what_comes,
            agenda: an_empty_or_claimed_lane_is_not_rescheduled,
            agenda: a_change_is_told_at_once,
            agenda: waiting_for_a_change_ends,
            agenda: failures_are_counted_from_the_first_until_a_success,
            agenda: a_silence_between_two_failures_begins_anew,
            serving: due_deliveries_come_by_due_time_and_then_by_arrival,
            serving: a_head_waits_for_all_that_was_read_before_it,
            serving: what_is_not_settled_is_due_again,
            serving: a_retry_goes_back_with_its_attempts,
            serving: what_was_sent_again_at_once_does_not_count_in_the_schedule,
            serving: a_digest_takes_all_that_is_due,
            serving: the_lanes_of_a_destination_are_apart,
            serving: a_late_outcome_is_still_recorded,
            serving: a_late_failure_does_not_undo_a_delivery,
            lifecycle: every_state_takes_every_change_as_the_model_says,
            lifecycle: a_cancelled_delivery_stays_so_when_its_attempt_fails_late,
            lifecycle: every_reason_comes_back_as_it_was_written,
            serving: a_dead_delivery_can_be_replayed,
            serving: an_outcome_that_nobody_claimed_brings_its_lane_forward,
            serving: a_replay_puts_back_what_ended_with_a_new_schedule,
            ledger: an_event_is_found_with_all_that_happened_to_it,
            ledger: an_event_that_never_was_is_not_found,
            ledger: events_are_listed_newest_first_in_pages,
            ledger: events_are_filtered_by_type_and_time,
            ledger: the_environment_of_an_event_stays_with_it,
            ledger: deliveries_are_filtered_by_each_of_their_marks,
            ledger: deliveries_are_listed_in_pages,
            ledger: deliveries_are_listed_from_the_oldest_on_too,
            tail: the_tail_of_events_is_followed_place_by_place,
            tail: no_event_becomes_visible_before_a_place_that_was_given_out,
            ledger: rejected_entries_are_listed_in_pages,
            ledger: a_cursor_that_is_not_ours_is_refused,
            ledger: a_tally_counts_what_ended_without_delivery_by_reason,
            ledger: the_account_of_a_tenant_adds_up,
            records: a_record_is_put_and_read_back,
            records: records_are_listed_by_id_in_pages,
            records: a_record_changes_only_from_the_expected_revision,
            records: of_many_writers_one_wins_each_revision,
            records: a_removed_record_is_gone_and_its_revisions_stay_stale,
            records: a_collection_tells_of_every_change_and_of_no_other,
            records: a_record_ends_with_its_time,
            upkeep: old_events_are_removed_with_all_that_belongs_to_them,
            upkeep: nothing_that_waits_is_ever_removed,
            upkeep: tidying_is_bounded_and_says_when_it_is_done,
            directory: a_tenant_is_put_and_read_back,
            directory: tenants_are_listed_by_id_in_pages,
            directory: a_page_of_long_documents_is_short,
            directory: the_feed_has_each_changed_tenant_once,
            directory: the_feed_comes_in_pages,
            directory: a_version_of_the_future_shows_that_changes_are_missing,
            directory: a_stale_revision_is_refused,
            directory: a_removed_tenant_is_gone,
            directory: every_process_sees_a_change_of_the_directory,
            upkeep: a_memo_is_kept_and_replaced,
            upkeep: a_memo_ends_with_its_time,
            upkeep: a_well_store_says_so,
            upkeep: the_backlog_is_all_that_waits_and_since_when,
            search: events_are_found_by_their_values,
            search: a_path_that_is_not_indexed_is_refused,
            search: search_keys_go_with_their_events,
            search: an_event_with_many_values_is_found_by_its_overflow,
            search: a_search_goes_on_where_it_stopped_while_events_come_and_go,
            search: events_are_filtered_by_state_and_destination,
            rollups: rollups_count_every_outcome_by_hour,
            rollups: rollups_are_grouped_and_filtered,
            rollups: a_repetition_adds_nothing_to_a_rollup,
            rollups: rollups_survive_a_crash_and_go_with_their_tenant,
            rollups: old_rollups_are_forgotten,
            rollups: a_flood_of_event_types_does_not_grow_a_rollup_without_end,
            limits: a_pace_gives_its_burst_once,
            limits: a_pace_gives_a_place_per_interval,
            limits: a_process_that_is_alone_counts_itself,
            limits: open_circuits_are_known_until_they_close,
            usage: usage_follows_what_is_stored_and_what_waits,
            usage: a_repetition_counts_once,
            usage: usage_is_right_after_a_crash,
            usage: usage_falls_with_retention_and_erasure,
            usage: a_rejected_entry_is_not_usage,
            erasure: an_erased_event_is_gone_with_all_that_belongs_to_it,
            erasure: an_erased_event_leaves_its_queue_and_an_idle_lane_its_line,
            erasure: an_outcome_of_the_log_that_comes_late_does_not_bring_an_erased_event_back,
            erasure: an_outcome_of_a_lane_that_comes_late_does_not_bring_an_erased_event_back,
            erasure: an_event_that_is_erased_before_it_is_read_is_never_read,
            erasure: an_entry_that_was_read_and_erased_is_not_made_known,
            erasure: erased_dead_letters_and_memos_are_gone_and_others_stay,
            erasure: a_tenant_without_events_is_forgotten_and_may_begin_anew,
        }

        #[test]
        fn accounts_add_up_after_any_sequence_of_operations() {
            $crate::conformance::accounts_add_up::<$fixture>();
        }
    };
}

/// One test a promise; the list is in [`every_promise`].
macro_rules! promises {
    ($fixture:ty; $($part:ident: $name:ident,)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let fixture = <$fixture as $crate::conformance::Fixture>::start().await;
            $crate::conformance::$part::$name(&fixture).await;
        }
    )+};
}

pub(crate) use {accounts::accounts_add_up, every_promise, promises};
