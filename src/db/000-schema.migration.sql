-- SPDX-License-Identifier: GPL-3.0-or-later
-- What was applied to this database; the first migration records itself here.
CREATE TABLE schema_migration (
  number     integer PRIMARY KEY,
  name       text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now()
);
