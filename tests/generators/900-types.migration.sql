-- SPDX-License-Identifier: GPL-3.0-or-later
-- Every type of doc/statements.md, once as NOT NULL and once as it may be NULL.
CREATE TABLE sample (
  id          bigint PRIMARY KEY,
  i64         bigint NOT NULL,
  i32         integer NOT NULL,
  i16         smallint NOT NULL,
  truth       boolean NOT NULL,
  f64         double precision NOT NULL,
  note        text NOT NULL,
  short_note  varchar(200) NOT NULL,
  label       name NOT NULL,
  bytes       bytea NOT NULL,
  plain_json  json NOT NULL,
  binary_json jsonb NOT NULL,
  moment      timestamptz NOT NULL,
  transaction xid8 NOT NULL,
  i64s        bigint[] NOT NULL,
  i32s        integer[] NOT NULL,
  i16s        smallint[] NOT NULL,
  truths      boolean[] NOT NULL,
  notes       text[] NOT NULL,
  bytes_list  bytea[] NOT NULL
);

CREATE TABLE nullable (
  id     bigint PRIMARY KEY CHECK (id > 0),
  i64    bigint,
  i32    integer,
  i16    smallint,
  truth  boolean,
  f64    double precision,
  note   text,
  bytes  bytea,
  facts  jsonb,
  moment timestamptz,
  i64s   bigint[],
  notes  text[]
);
