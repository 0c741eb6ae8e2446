/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where a repository's forge shows commits and files, told from its URL alone. Every
   text is empty when the host is none that we know, or the URL is not for everybody's
   eyes: only http and https, without a user or a password in it. */
#pragma once

#include "base/arena.h"

enum forge_kind
{
  FORGE_UNKNOWN,
  FORGE_GITHUB,
  FORGE_GITLAB,
  FORGE_FORGEJO, /* and Gitea */
  FORGE_SOURCEHUT,
  FORGE_SAVANNAH, /* cgit */
};

struct forge
{
  enum forge_kind kind;
  struct str page; /* the repository's page, without a slash at its end; in the arena */
};

struct forge forge_of(struct str url, struct arena *arena);

/* COMMIT, FROM and TO are full hashes. */
struct str forge_commit(const struct forge *forge, struct str commit, struct arena *arena);
/* What came between; empty where the forge has no such page. */
struct str forge_compare(const struct forge *forge, struct str from, struct str to,
                         struct arena *arena);
/* FILE: its path below the repository's top. LINE 0 = the whole file. Empty for a path
   that could lead out of the repository. */
struct str forge_file(const struct forge *forge, struct str commit, struct str file, int32_t line,
                      struct arena *arena);
