-- SPDX-License-Identifier: GPL-3.0-or-later
-- The API tells what came of an evaluation's builds, beside its state (083-tally).
CREATE OR REPLACE VIEW evaluation_json AS
SELECT evaluation.id, specification_id, name AS specification,
       jsonb_build_object(
         'id', evaluation.id, 'specification', name,
         'state', evaluation_state_name(state), 'outcome', evaluation_outcome(evaluation),
         'summary', evaluation_summary(evaluation),
         'created_at', api_time(evaluation.created_at), 'started_at', api_time(started_at),
         'finished_at', api_time(finished_at), 'jobs_count', jobs_count,
         'errors_count', errors_count, 'derivations_count', derivations_count,
         'unfinished_count', unfinished_count, 'failed_count', failed_count,
         'dependency_failed_count', dependency_failed_count, 'cancelled_count', cancelled_count,
         'broken_count', broken_count, 'errors_new_count', errors_new_count,
         'message', nullif(message, '')) AS json
FROM evaluation JOIN specification ON specification.id = specification_id;
