/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Content addresses: what a store item must hold, whoever made it. A fixed output has
   the hash that its derivation declares; a source the one that its path was made from.
   The rules are guix-daemon's (addToStore, addTextToStore, registerOutputs). */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "base/str.h"

struct guix_address
{
  struct str path;              /* full */
  struct str algorithm;         /* of a fixed output, as its derivation has it ("sha256",
                                   "r:sha256", ...); size 0 = a source */
  struct str hash;              /* of a fixed output: base16 */
  const struct str *references; /* of a source: full paths, sorted */
  size_t references_count;
};

/* Takes the nar of an item and tells whether it holds what its address says. */
struct guix_address_check;

/* ADDRESS must live as long. -ENOTSUP: an algorithm that guix-daemon does not know, or
   this libgcrypt not; -EINVAL: the hash is none of that algorithm. */
int guix_address_check_new(const struct guix_address *address, struct guix_address_check **ret,
                           struct error *err);
void guix_address_check_free(struct guix_address_check *check); /* NULL is fine */
/* Pieces of any size, in order. -EINVAL: no nar. */
int guix_address_check_feed(struct guix_address_check *check, struct str piece, struct error *err);
/* After the last piece: 0, or -EBADMSG and ERR tells what was expected and found. */
int guix_address_check_end(struct guix_address_check *check, struct error *err);
