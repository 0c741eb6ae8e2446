/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside the private cluster: cluster.c runs it, cluster_folder.c sees to its
   files and rights, cluster_programs.c finds PostgreSQL. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/child.h"
#include "base/error.h"
#include "db/db.h"

#define CLUSTER_ROLE "panoply"       /* what Panoply connects as: no superuser */
#define CLUSTER_DATABASE "panoply"   /* owned by that role */
#define CLUSTER_SUPERUSER "postgres" /* for operators, and to make the two above */
#define CLUSTER_OLDEST_MAJOR 15

/* Whom the postmaster runs as. */
struct cluster_account
{
  bool drop; /* we are root: switch to it */
  uid_t user;
  gid_t group;
  char name[64];
};

/* All paths are absolute and without symbolic links. */
struct cluster
{
  pthread_mutex_t mutex; /* guards `postmaster` and starting it */
  struct child postmaster;
  struct cluster_account account;
  bool durable;
  int folder_lock; /* flock: one server a folder */
  char *programs;  /* folder of `postgres` and `initdb` */
  char *folder;
  char *data;          /* FOLDER/data: what initdb makes */
  char *socket;        /* FOLDER/socket */
  char *log;           /* FOLDER/log */
  char *configuration; /* FOLDER/postgresql.conf, written at each start */
  char *uri;
  char *superuser_uri;
};

/* ---- cluster_programs.c ---- */

/* The folder of a PostgreSQL that can run the cluster: the one in PATH, then
   the newest in /usr/lib/postgresql. MAJOR 0 = any from 15 on, else exactly
   that. Owned by the caller. */
int cluster_programs_find(int major, char **ret_folder, struct error *err);

/* ---- cluster_folder.c ---- */

/* The account: `postgres` when we are root, else ours. */
int cluster_account_find(struct cluster_account *ret, struct error *err);

/* Makes FOLDER (0700, the account's) where it is missing, fills in the paths
   and URIs and locks it for this process: -EBUSY when another has it. */
int cluster_folder_open(struct cluster *cluster, const char *folder, struct error *err);

/* The major version whose files lie in the folder; 0 = none yet. */
int cluster_folder_major(const struct cluster *cluster, int *ret_major, struct error *err);

/* Runs initdb, whole or not at all. */
int cluster_folder_initialise(const struct cluster *cluster, struct error *err);

/* Makes `socket` and `log`, writes the configuration. */
int cluster_folder_prepare(const struct cluster *cluster, struct error *err);

/* Fills in what lets child_start run a program as the account, in FOLDER. */
void cluster_child_options(const struct cluster *cluster, const char *const *argv,
                           struct child_options *ret);

/* Makes sure that the account can reach the folder and the programs. */
int cluster_folder_check_access(const struct cluster *cluster, struct error *err);

/* The last complaint that PostgreSQL wrote at start; "" = none found. */
void cluster_folder_last_complaint(const struct cluster *cluster, char ret[256]);

/* ---- cluster_leftover.c ---- */

/* Ends the postmaster that a killed server left running in the folder, and
   clears away what would keep a new one from starting. */
int cluster_leftover_end(const struct cluster *cluster, struct error *err);

/* Fast shutdown (SIGINT), then harder ones; returns when the process is gone.
   PIDFD: of a postmaster, ours or not. */
int cluster_postmaster_end(int pidfd, struct error *err);
