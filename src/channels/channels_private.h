/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of this room share. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "channels/channels.h"
#include "channels/git.h"

#define RANGES_KEPT 32

/* What git said of a pair of commits, which is so for ever. */
struct known_range
{
  struct arena arena;
  int64_t repository_id;
  struct str from, to; /* size 0 = an empty place */
  struct channels_range range;
};

struct channels
{
  char *folder;
  char *credentials; /* NULL = none */
  struct db_pool *pool;
  struct git_limits limits;
  atomic_bool quit;
  pthread_mutex_t asking; /* a clone, for a range: one at a time */

  pthread_mutex_t lock; /* guards what follows */
  struct known_range ranges[RANGES_KEPT];
  size_t next_range; /* the place that is used again next */
};

/* Without spaces and control characters; UTF-8. */
bool channels_is_printable(struct str text);
/* The password, and the user with it, of each URL in TEXT becomes stars. */
void channels_mask_secrets(char *text);

/* The bare clone; to be freed. */
char *channels_clone_folder(const struct channels *channels, int64_t repository_id);
void channels_forget_ranges(struct channels *channels);
