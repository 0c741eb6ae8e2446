/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of store items: "/gnu/store/<32 digits>-<name>". Reference:
   guix-daemon 1.5.0; rules seen with a running daemon. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "guix/hash.h"

#define GUIX_STORE "/gnu/store"
#define GUIX_STORE_PREFIX "/gnu/store/"
#define GUIX_PATH_HASH_SIZE 32 /* digits of the hash part */
#define GUIX_NAME_MAX 211      /* bytes of the name after the hash part and dash */

/* True for what may follow the hash part and its dash: 1..GUIX_NAME_MAX of
   A-Z a-z 0-9 + - . _ ? =, not beginning with a dot. */
bool guix_name_is_valid(struct str name);
/* True for a full store path of exact form (no further slash). */
bool guix_path_is_valid(struct str path);
/* True for "<32>-<name>", a path without the store directory. */
bool guix_basename_is_valid(struct str basename);
/* Of a valid full path: what follows "/gnu/store/"; its hash part; its name. */
struct str guix_path_basename(struct str path);
struct str guix_path_hash_part(struct str path);
struct str guix_path_name(struct str path);
bool guix_path_is_derivation(struct str path);

/* makeStorePath: TYPE as in the reference's section 2.4 ("output:out",
   "text:<ref>:<ref>", "source"). Full path, in ARENA. NAME is not checked. */
struct str guix_path_make(struct arena *arena, struct str type, const struct guix_hash *hash,
                          struct str name);
/* Where op 8 puts a text; REFERENCES: sorted full paths, none twice. */
struct str guix_path_of_text(struct arena *arena, struct str name, struct str contents,
                             const struct str *references, size_t count);
/* The same of contents with that hash. */
struct str guix_path_of_text_hash(struct arena *arena, struct str name,
                                  const struct guix_hash *contents_hash,
                                  const struct str *references, size_t count);
/* Where op 7, recursive, sha256 puts an item. */
struct str guix_path_of_source(struct arena *arena, struct str name,
                               const struct guix_hash *nar_hash);
/* Output path of any other fixed output (flat, or another algorithm). */
struct str guix_path_of_fixed(struct arena *arena, struct str name, bool recursive,
                              struct str algorithm, struct str hash_hex);
