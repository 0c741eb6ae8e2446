/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Specifications, and evaluating them: Guix computes in a limited child
   (scheme/evaluate.scm), results stream in and are loaded in bulk, builds are
   wished for. */
#pragma once

#include "channels/channels.h"
#include "farm/farm.h"

struct evaluation_options
{
  const char *uri;
  struct db_pool *pool;
  struct channels *channels;
  struct cache *cache;
  struct farm *farm;         /* takes orders */
  const char *folder;        /* STATE/evaluations: one folder each, with log */
  const char *store_root;    /* "" = none */
  const char *guix;          /* command, shell words; NULL = "guix", or with a
                                store root "chroot STORE_ROOT guix" */
  const char *scheme_folder; /* where evaluate.scm is installed */
  int parallel;              /* evaluations at once; 0 = 1 */
  bool passive;              /* shows what there is, but neither polls nor evaluates */
};

struct evaluations;
/* Starts pollers and evaluators (threads). Evaluations that a crash left running are
   run again, by whichever process comes first. */
int evaluations_start(const struct evaluation_options *options, struct evaluations **ret,
                      struct error *err);
/* Nothing begins any more, and what ends from now on is run again by whoever comes
   next: called first when a server is asked to end, as its children may be told too. */
void evaluations_quit(struct evaluations *evaluations);
void evaluations_stop(struct evaluations *evaluations); /* NULL is fine */

/* Why all evaluations of this process will fail: no guix, no daemon. As seen some seconds ago
   while there is something, or else up to 20 minutes, or when an evaluation last ended without
   finishing. Code 0 = nothing is known. */
void evaluations_trouble(struct evaluations *evaluations, struct error *ret);

/* ---- specifications ---- */

struct specification_channel
{
  struct str name, url, branch,
      commit; /* branch "" = the remote's HEAD, commit "" = the branch's tip */
  struct str introduction_commit, introduction_signer; /* "" = none */
};

enum specification_mode
{
  SPECIFICATION_OVERLAY,      /* channels on the load path of the installed Guix */
  SPECIFICATION_TIME_MACHINE, /* the channels' own Guix */
};

enum specification_subset
{
  SPECIFICATION_ALL,       /* every package */
  SPECIFICATION_CHANNELS,  /* every package of the named channels */
  SPECIFICATION_PACKAGES,  /* "hello", "gcc@12" */
  SPECIFICATION_MANIFESTS, /* files in the channels' checkouts */
  SPECIFICATION_CUSTOM,    /* modules that export cuirass-jobs */
};

struct specification /* all in the arena of the parse */
{
  struct str name;
  struct specification_channel *channels;
  size_t channels_count;
  enum specification_mode mode;
  enum specification_subset subset;
  struct str *subset_names;
  size_t subset_names_count;
  struct str *systems;
  size_t systems_count;
  int32_t period_s;     /* 0 = only on demand */
  int32_t priority;     /* -1000 .. 1000, higher first */
  int64_t memory_limit; /* bytes of one evaluator process */
  int32_t time_limit_s; /* of one evaluation */
};

/* Where people read what a specification may say. */
#define SPECIFICATION_GUIDE "doc/specification.md, or /help/specification of the server"

/* Parses and checks a specification (doc/specification.md). -EINVAL names the
   field and what is allowed. */
int specification_parse(struct str json, struct arena *arena, struct specification *ret,
                        struct error *err);

/* Adds (-EEXIST), replaces (-ENOENT), deletes. JSON as specification_parse. SEEN_AT: replaced only
   if it was last changed then (microseconds), else -ESTALE; 0 = in any case. */
int specification_add(struct db_pool *pool, struct str json, int64_t *ret_id, struct error *err);
int specification_edit(struct db_pool *pool, struct str name, struct str json, int64_t seen_at,
                       struct error *err);
int specification_delete(struct db_pool *pool, struct str name, struct error *err);
/* A paused one is not polled by its period; evaluations_request works all the same.
   -ENOENT. */
int specification_pause(struct db_pool *pool, struct str name, bool paused, struct error *err);

/* Both store what is asked for: any process may ask, and nothing of it is lost. */
/* A poll soon, whatever the period; FORCE: evaluate even when nothing changed. -ENOENT. */
int evaluations_request(struct evaluations *evaluations, struct str specification, bool force,
                        struct error *err);
/* Stops it; when Guix has computed it, cancels the builds of its jobs that have not ended and that
   no newest evaluation of another specification asks for, nor a newer one of its own.
   RET_BUILDS: how many; -1 = the evaluation itself. -ENOENT; -EEXIST: nothing is left of it. */
int evaluations_cancel(struct evaluations *evaluations, int64_t evaluation_id, int64_t *ret_builds,
                       struct error *err);

/* Answers with an evaluation's log (Guix's own words) from byte FROM; FOLLOW
   keeps the reply open while it runs. */
int evaluations_log_reply(struct evaluations *evaluations, struct http_request *request,
                          int64_t evaluation_id, int64_t from, bool follow, struct error *err);

/* The API of specifications and evaluations: doc/api.md. */
struct http_routes evaluations_routes(struct evaluations *evaluations);
/* The pages below /specifications, and those below /evaluations. */
struct http_routes evaluations_specification_pages(struct evaluations *evaluations);
struct http_routes evaluations_specification_forms(struct evaluations *evaluations);
struct http_routes evaluations_page(struct evaluations *evaluations);
/* What can be done to an evaluation, by pages and API. */
struct http_routes evaluations_actions(struct evaluations *evaluations);
/* Its commits and errors, in the API. */
struct http_routes evaluations_facts(struct evaluations *evaluations);
/* An evaluation held against another: API, and the data of the page's matrix. */
struct http_routes evaluations_changes(struct evaluations *evaluations);

/* ---- keeper.c: the process between the server and an evaluator ---- */

/* Whatever an evaluator leaves behind, in whichever session, becomes the keeper's child,
   and ends with it. */
#define KEEPER_COMMAND "keep-evaluator" /* of panoply, for itself alone */

/* Instead of the evaluator's exit status: what it took too much of. */
enum
{
  KEEPER_OUT_OF_MEMORY = 121,
  KEEPER_OUT_OF_TIME = 122,
};

/* ARGV: memory in bytes, time in seconds, and a command, which it runs with this
   process's descriptors 0 to 3. When that ends, or all below take more than these, or on
   SIGTERM, or with the process that started this one, it kills all descendants. Ends as
   the command did, or with a status of those above: the return value is the exit status. */
int evaluation_keep(char **argv);
