-- SPDX-License-Identifier: GPL-3.0-or-later
-- What can be fetched here. A row in `nar` exists only when every reference is
-- offered too (or is the item itself), and at least one `nar_file` holds its bytes.
-- Derivations need no row: their text is in the graph.
CREATE TABLE nar (
  path_id    bigint PRIMARY KEY REFERENCES store_path,
  nar_hash   bytea NOT NULL CHECK (length(nar_hash) = 32),
  nar_size   bigint NOT NULL CHECK (nar_size > 0),
  deriver_id bigint REFERENCES store_path,
  reference_ids bigint[] NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX nar_by_hash ON nar (nar_hash);

-- One row for each stored form. Small ones lie in the database (`contents`), others
-- in the nar folder, named by nar hash and compression: equal items share a file.
CREATE TABLE nar_file (
  path_id     bigint NOT NULL REFERENCES nar ON DELETE CASCADE,
  compression smallint NOT NULL,          -- enum guix_compression
  file_size   bigint NOT NULL,
  contents    bytea,
  PRIMARY KEY (path_id, compression)
);
ALTER TABLE nar_file ALTER contents SET STORAGE EXTERNAL; -- compressed already

-- Nars that wait for their second compression.
CREATE TABLE nar_recompression (
  path_id bigint PRIMARY KEY REFERENCES nar ON DELETE CASCADE,
  failed_at timestamptz,
  failure text
);

-- The signed part of narinfos (of nars and derivations), made when first asked
-- for. `signed_by` stands for the key: a text of another key is made anew.
CREATE TABLE narinfo (
  path_id     bigint PRIMARY KEY REFERENCES store_path,
  signed_by   bigint NOT NULL,
  signed_text text NOT NULL
);
