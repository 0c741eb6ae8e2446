/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Builds, as lists that a request's query narrows and sorts, and single ones. */
#pragma once

#include "serve/routes.h"
#include "serve/serve_sql.h"

enum build_order
{
  BUILDS_BY_ID, /* the order in which they were wanted */
  BUILDS_BY_NAME,
  BUILDS_BY_TOOK, /* what their newest attempt took; without those that none has ended of */
};

#define BUILDS_LOOKED_AT 20000 /* for one part of a list, or of a search */

struct build_filter
{
  enum build_order order;
  bool rises;        /* else the newest, greatest or longest first */
  struct str before; /* a cursor: those behind it; size 0 = from the beginning */
  struct str after;  /* or: those in front of it, next to it */
  int64_t limit;
  int16_t state_value;
  const int16_t *state;     /* NULL = any */
  struct str system;        /* data NULL = any */
  struct str name;          /* likewise; in any place of it */
  struct str specification; /* likewise */
  struct str agent;         /* likewise; one that tried to build them */
  int64_t evaluation_value;
  const int64_t *evaluation;

  /* What build_filter_run tells of the part that it found: */
  bool has_more;            /* there are others behind it, whichever way */
  bool is_partial;          /* or may be, for it has looked at as many builds as it may */
  const char *first, *last; /* cursors of its ends, or of where it stopped looking; NULL = none */
};

/* Reads state, system, name, specification, agent, evaluation, before, after and limit;
   -EINVAL with ERR set. Newest first. */
int build_filter_read(struct http_request *request, int64_t limit, struct build_filter *ret,
                      struct error *err);
/* In the list's order, whichever way it is gone through. -ENOENT when what the filter names is
   not there, -EINVAL when a cursor is none of a list in this order. */
int build_filter_run(struct db *db, struct build_filter *filter, struct arena *arena,
                     struct serve_builds_rows *ret, struct error *err);
struct build_output
{
  struct str name;
  struct str path;    /* whole */
  struct str narinfo; /* its address here */
  bool available;
  int64_t nar_size; /* when it is */
};

struct build_outputs
{
  struct build_output *items; /* in order of name */
  size_t count;
};

/* Builds next to one that are looked at, on each side. */
#define BUILD_NEIGHBOURS_MAX 20000

/* One build, and its outputs; -ENOENT when there is none. RET_OUTPUTS may be NULL. */
int build_find(struct db *db, int64_t id, struct arena *arena, struct serve_builds_row *ret,
               struct build_outputs *ret_outputs, struct error *err);

/* The members of a build in a list, into the object that JSON has open (api_builds.c). */
struct json;
void build_write(struct json *json, const struct serve_builds_row *row);
