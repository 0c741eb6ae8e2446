/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SHA-256 and nix-base32. */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

#define GUIX_HASH_SIZE 32        /* bytes of SHA-256 */
#define GUIX_HASH_BASE32_SIZE 52 /* its digits in nix-base32 */
#define GUIX_HASH_HEX_SIZE 64

struct guix_hash
{
  unsigned char bytes[GUIX_HASH_SIZE];
};

struct guix_hasher; /* running SHA-256 */
struct guix_hasher *guix_hasher_new(void);
void guix_hasher_update(struct guix_hasher *hasher, const void *data, size_t size);
/* The hash of all so far; the hasher may go on. */
struct guix_hash guix_hasher_digest(struct guix_hasher *hasher);
void guix_hasher_free(struct guix_hasher *hasher); /* NULL is fine */

struct guix_hash guix_hash_of(struct str data);

/* nix-base32 (alphabet 0123456789abcdfghijklmnpqrsvwxyz, last digit first).
   SIZE bytes make (8*SIZE+4)/5 digits; no NUL is written. Decoding refuses
   other characters, other lengths and stray high bits (-EINVAL). */
void guix_base32_encode(const void *data, size_t size, char *ret_digits);
int guix_base32_decode(struct str digits, void *ret_data, size_t size) PN_MUST_USE;

/* "sha256:<52 digits>" or "sha256:<64 hex>" or the bare digits. */
int guix_hash_parse(struct str text, struct guix_hash *ret) PN_MUST_USE;

/* Starts libgcrypt once; every function here calls it. Thread-safe. */
void guix_init(void);
