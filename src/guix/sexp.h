/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Private: s-expressions as keys, signatures and ACLs have them. Libgcrypt
   reads all their forms; what it read is looked at in the canonical form (an
   atom is its length, a colon and its bytes), where the exact shape can be
   demanded and equal means equal bytes. */
#pragma once

#include <gcrypt.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

#define SEXP_DEPTH_MAX 16

void sexp_freep(gcry_sexp_t *sexp);
#define CLEANUP_SEXP PN_CLEANUP(sexp_freep)

/* Any form; at most LIMIT bytes. -EINVAL. */
int sexp_parse(struct str text, size_t limit, gcry_sexp_t *ret, struct error *err);

void sexp_print_canonical(gcry_sexp_t sexp, struct buf *out);
void sexp_print_advanced(gcry_sexp_t sexp, struct buf *out); /* ends in LF */

/* Walking over canonical text: each takes what it names off the front of *REST
   when it is there, else returns false and leaves *REST in no certain state. */
bool sexp_open(struct str *rest, struct str tag); /* "(" and TAG */
bool sexp_close(struct str *rest);
bool sexp_atom(struct str *rest, struct str *ret);
bool sexp_any(struct str *rest, struct str *ret); /* an atom or a list, as text */
bool sexp_is_at_close(struct str rest);
