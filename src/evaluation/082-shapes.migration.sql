-- SPDX-License-Identifier: GPL-3.0-or-later
-- In doc/api.md a plural is a list and a count says that it is one; what is absent is null.
CREATE OR REPLACE VIEW evaluation_json AS
SELECT evaluation.id, specification_id, name AS specification,
       jsonb_build_object(
         'id', evaluation.id, 'specification', name,
         'state', evaluation_state_name(state),
         'created_at', api_time(evaluation.created_at), 'started_at', api_time(started_at),
         'finished_at', api_time(finished_at), 'jobs_count', jobs_count,
         'errors_count', errors_count, 'derivations_count', derivations_count,
         'message', nullif(message, '')) AS json
FROM evaluation JOIN specification ON specification.id = specification_id;
