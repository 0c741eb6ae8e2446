-- SPDX-License-Identifier: GPL-3.0-or-later
-- The feed of all that happens. Readers order by (transaction, id) and see only
-- transactions older than every running one: see events/README.md.
CREATE TABLE event (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
  happened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  kind        text NOT NULL CHECK (kind ~ '^[a-z_]+\.[a-z_]+$'),
  subject     bigint NOT NULL,
  facts       jsonb NOT NULL
);
CREATE INDEX event_order ON event (transaction, id);
