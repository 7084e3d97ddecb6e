"""Tasks of servers, in both dialects. The rules, and the tests that hold them:

- a client asks for a task (2025-11-25), a server decides (2026-07-28): test_core the_answer_has_the_whole_task,
  test_modern the_wish_of_a_client_for_a_task_is_ignored
- `isError` fails a task of the core and completes one of the extension: test_core a_tool_error_makes_the_task_fail,
  test_modern a_tool_error_completes_the_task
- cancel answers with the task, or acknowledges: test_core a_cancelled_task_is_answered_as_cancelled,
  test_modern cancelling_twice_is_acknowledged_twice
- input, in part, by keys that are never used again: test_modern answers_are_taken_one_by_one,
  the_same_question_asked_again_has_another_key; test_core questions_at_once_wait_until_the_result_is_asked_for
- what was not declared: test_core a_tool_that_requires_a_task, a_server_without_such_tools_ignores,
  test_modern a_client_that_did_not_declare_the_extension, requests_of_the_other_dialect_do_not_exist
- news and progress: test_core the_session_is_notified_of_each_status, the_progress_token_lives_as_long_as_the_task;
  test_modern a_task_is_listened_to, there_is_neither_progress_nor_log
- clients run tasks as well: tests/server/context/test_client_tasks, tests/client/tasks/test_receiver
- terminal is final; the time of the last change is that of the status: test_lifecycle
- unknown, expired and foreign are one text: test_both_dialects unknown_expired_and_foreign,
  test_modern a_foreign_principal
- never cancelled by `notifications/cancelled`; stored before it is answered: test_both_dialects
- bound to the principal, never to the session; no list without one: test_core a_task_belongs_to_the_principal,
  the_capability_is_declared; ids that cannot be guessed: test_both_dialects the_id_of_a_task_cannot_be_guessed
- kept until the time to live ends, which grows while it works: test_both_dialects the_time_to_live_grows
- bounds: test_both_dialects each_client_may_have_so_many_tasks, a_result_over_the_limit,
  requests_about_tasks_have_a_rate, test_core the_time_to_live_is_the_client_s_within_bounds,
  test_modern listens_for_many_tasks_do_not_flood_the_store
- races: test_cluster of_cancels_at_two_nodes_and_the_end_of_the_work_one_wins, any_node_answers_and_cancels,
  a_task_that_is_gone_while_its_result_is_waited_for_ends_everywhere, test_cluster_chaos
- a lost node: test_cluster a_task_of_a_dead_node_fails, a_task_of_a_dead_node_runs_again_once,
  answers_that_were_given_are_not_asked_for_again, steps_and_scopes_are_kept; test_durable
- polled by clients of others: test_official_client, tests/interop/test_official_tasks, tests/interop/test_node_tasks
"""
