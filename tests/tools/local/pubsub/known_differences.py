"""Where Google's emulator is known to do otherwise than the service, and than ours."""

from __future__ import annotations

KNOWN_DIFFERENCES: dict[str, str] = {
    "test_a_topic_s_labels_can_be_changed": "the emulator knows no mutable field of a topic but its schema",
    "test_subscriptions_of_an_unknown_topic_are_not_listed": "the emulator answers an empty list",
    "test_a_message_over_a_limit_is_refused": "the emulator has no limits for attributes, ordering keys and sizes",
    "test_an_ack_deadline_below_ten_seconds_is_refused": "the emulator takes any up to 600",
    "test_exactly_once_delivery_is_refused_for_push": "the emulator accepts it",
    "test_a_filter_keeps_other_messages_out": "the emulator stores filters and ignores them",
    "test_an_invalid_filter_is_refused": "the emulator accepts any filter",
    "test_redelivery_keeps_the_order_of_a_key": "the emulator hands out the next message of the key first",
    "test_a_stream_is_given_no_more_than_it_asks_for": "the emulator sends a stream all there is",
    "test_a_push_without_data_has_no_data_field": "the emulator sends an empty one",
    "test_a_push_carries_the_ordering_key": "the emulator leaves it out",
    "test_a_push_counts_its_attempts_where_there_is_a_dead_letter_policy": "the emulator leaves deliveryAttempt out",
    "test_a_push_is_signed_for_its_service_account": "the emulator sends no token",
    "test_a_redirect_is_a_failure": "the emulator follows it",
    "test_pushes_without_a_policy_back_off_from_a_tenth_of_a_second": "the emulator tries again every second",
    "test_pushes_back_off_by_their_policy": "the emulator's backoff is approximate and never below a second",
    "test_an_ordered_push_subscription_buries_what_keeps_failing": "the emulator's push loop dies of it: with ordering "
    "and a dead-letter policy a NullPointerException in OrderedMessageBacklog ends all pushes of the subscription",
}
"""Test to what Google's emulator 0.8.20 does instead."""
