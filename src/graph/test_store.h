/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A store of a test's own: a folder with texts and derivations of right names.
   Link `test_store_dep`. Failures end the test. */
#pragma once

#include "base/arena.h"

struct test_store
{
  struct arena arena; /* holds all that is returned */
  char *root;         /* a store root: "ROOT/gnu/store" */
};

struct test_store *test_store_new(void);
void test_store_free(struct test_store *store);

/* Adds a text without references; its full path. */
struct str test_store_text(struct test_store *store, const char *name, const char *contents);

/* Adds NAME.drv with outputs "lib" and "out" (with FIXED: one flat "out"), which
   needs the outputs "out" of INPUTS (full paths). Its full path. */
struct str test_store_derivation(struct test_store *store, const char *name,
                                 const struct str *inputs, size_t inputs_count,
                                 const struct str *sources, size_t sources_count, bool fixed);

/* The file of a full path. */
const char *test_store_file(struct test_store *store, struct str path);
