/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the templates of this room are given. */
#pragma once

#include "evaluation/evaluation_sql.h"
#include "serve/drawing.h"
#include "serve/filters.h"
#include "serve/log_window.h"
#include "serve/serve_sql.h"
#include "serve/story.h"
#include "ui/frame.h"
#include "ui/list.h"

struct overview_view
{
  struct serve_counts_row counts;
  struct error trouble; /* what evaluations lack; code 0 = nothing */
  struct overview_troubles_rows troubles;
  struct overview_troubles_rows away; /* agents */
  struct overview_news_rows news;
  struct overview_broken_rows broken; /* of them */
  struct page_specifications_rows specifications;
  struct page_strips_rows strips; /* of all of them */
  struct overview_builds_rows running;
  struct overview_builds_rows failed;
};

struct state_chip
{
  struct str state;
  int64_t count;
  const char *address;
  bool is_chosen;
};

struct builds_view
{
  struct serve_builds_rows builds;
  struct serve_build_choices_rows choices;
  struct
  {
    struct state_chip *items;
    size_t count;
  } chips;
  struct state_chip chip_room[FARM_BUILD_STATE_MAX];
  int64_t all; /* builds there are */
  const char *all_address;
  struct ui_heads heads;

  /* What the list is narrowed to, and its order; "" or 0 = all. */
  struct str state, name, system, specification, agent, sort;
  int64_t evaluation;
  bool is_narrowed;
  bool is_counted; /* the counts of states are its own: only the state narrows it */
  bool by_time;    /* the newest first */
  const char
      *unsorted;   /* the same in that order, where this one leaves some out; "" = it does not */
  bool is_partial; /* there may be others: BUILDS_LOOKED_AT were looked at */
  const char *first, *previous, *next; /* addresses; "" = this is it, or there is none */
};

struct attempt_view
{
  struct serve_build_attempts_row row;
  struct cause_words words;
};

struct attempts_view
{
  struct attempt_view *items; /* newest first */
  size_t count;
};

/* A build's, as pages tell of them (build_pages.c). */
int serve_read_attempts(struct db *db, int64_t build_id, struct arena *arena,
                        struct attempts_view *ret, struct error *err);
/* One of them, however many came after it; ATTEMPT_ID 0: the one whose log people want. Its id
   is 0 when there is none. */
int serve_read_attempt(struct db *db, int64_t build_id, int64_t attempt_id, struct arena *arena,
                       struct attempt_view *ret, struct error *err);

/* How a build stands, and why: build_now.html. */
struct build_now
{
  bool waits, runs;
  struct farm_explanation why; /* it waits */
  struct str failed_name;      /* of what it failed or was cancelled with */
};

struct serve_context;
/* Without what cannot be told at present: a page is no place to fail for it. */
void serve_read_now(struct serve_context *serve, const struct serve_builds_row *build,
                    struct arena *arena, struct build_now *ret);

struct build_view
{
  struct serve_builds_row build;
  struct build_outputs outputs;
  struct attempts_view attempts;
  struct attempt_view logged; /* whose log is shown; id 0 = there was none */
  struct serve_build_neighbours_rows neighbours;
  struct serve_build_jobs_rows jobs;
  struct build_now now;
  struct history history;
  struct reproduction reproduction;
  int64_t needs, needed_by; /* counts, up to BUILD_NEIGHBOURS_MAX */
  bool can_restart;
  bool is_drawn;         /* there can be a picture of them */
  struct log_window log; /* its end */
  bool log_is_live;
};

/* A build near another. */
struct needs_item
{
  int64_t build;
  struct str name, state;
  int rank;                    /* of its state */
  int step;                    /* so far away */
  const struct needs_item *by; /* by way of; NULL = directly */
};

struct needs_view
{
  int64_t build;
  struct str name;
  bool users;               /* what needs it; else what it needs */
  bool has_more;            /* there may be more of it than were looked at */
  int64_t needs, needed_by; /* counts */
  bool more_needs, more_needed_by;
  const char *part; /* as in addresses */
  struct str sort;  /* "step", "state", "name" */
  int64_t page, pages;
  struct
  {
    struct needs_item **items;
    size_t count;
  } items;
};

struct log_view
{
  struct serve_builds_row build;
  struct attempts_view attempts;
  struct attempt_view attempt; /* whose log this is; id 0 = there was none */
  struct build_now now;        /* without an attempt */
  struct log_window window;
  struct str line_typed;  /* what could not be gone to; size 0 = nothing */
  struct log_folds folds; /* the window's lines */
  bool unfolded;          /* all of them, as was asked for */
  int64_t first, last;    /* lines that are shown; 0 = none */
  int64_t earlier, later; /* lines where other windows begin; 0 = there are none */
  bool is_followed;
};

/* One by its name, inside a transaction; -ENOENT (agent_pages.c). */
int serve_find_agent(struct db *db, struct str name, struct arena *arena,
                     struct serve_agents_row *ret, struct error *err);

/* What one of the agents of ROWS works on. */
struct serve_running_rows serve_running_of(const struct serve_running_rows *rows, int64_t agent_id);

struct agent_line
{
  struct serve_agents_row row;
  struct serve_running_rows running;
};

struct agents_view
{
  struct str url; /* of this server, as the visitor knows it */
  struct ui_heads heads;
  struct
  {
    struct agent_line *items;
    size_t count;
  } agents;
};

struct joining_view
{
  struct serve_join_tokens_rows tokens;
  struct str url;       /* of this server, as the visitor knows it */
  bool url_is_loopback; /* so that no other machine knows it */
  struct str made;      /* a token that was just made; size 0 = none */
  int64_t made_id;      /* its number */
  struct str name;      /* as typed */
  struct str days;      /* likewise */
  struct str problem;   /* with what was typed; size 0 = none */
  struct str wrong;     /* name of the field that PROBLEM is about */
};

/* A bar of the picture of an agent's last day; in units of the picture. */
struct agent_bar
{
  int64_t x;
  int64_t y;
  int64_t height;
  bool failed; /* an attempt, in these minutes */
};

struct agent_bars
{
  struct agent_bar *items;
  size_t count;
};

/* An hour of it, in words. */
struct agent_hour
{
  int64_t begins_at;
  int64_t busy_us; /* of all places together */
  int64_t failures;
};

struct agent_view
{
  struct serve_agents_row agent;
  struct serve_running_rows running;
  struct agent_facts_rows facts;
  struct agent_bars day;
  struct
  {
    struct agent_hour *items;
    size_t count;
  } hours;
  int64_t busy_us;      /* of all places together, in the last day */
  int64_t busy_percent; /* of its places, in the last day */
  int64_t failures;     /* likewise */
  struct agent_attempts_rows failed;
  struct agent_attempts_rows newest;
};

struct search_view
{
  struct str asked; /* size 0 = nothing yet */
  bool is_empty;    /* nothing was found */
  struct search_jobs_rows jobs;
  struct search_builds_rows builds; /* that are none of these jobs */
  struct search_store_items_rows items;
  struct search_commits_rows commits;
  struct search_number_rows numbers;
  struct search_names_rows names;
  /* There are more: */
  bool jobs_are_cut, builds_are_cut, items_are_cut, commits_are_cut, names_are_cut;
  int64_t limit_further; /* of each kind, for who wants more; 0 = more cannot be had */
};

struct substitutes_view
{
  struct str key;
  int64_t nars;
  struct str url; /* of this server, as the visitor knows it */
};
