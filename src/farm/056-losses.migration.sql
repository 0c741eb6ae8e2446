-- SPDX-License-Identifier: GPL-3.0-or-later
-- Attempts that were lost with their agent since the build was last wanted anew: no
-- fault of the build's, so not among its tries.
ALTER TABLE build ADD COLUMN losses integer NOT NULL DEFAULT 0;
