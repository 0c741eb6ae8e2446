/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Signing keys and access-control lists in Guix's form (reference 4.3). */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "guix/hash.h"
#include <stdbool.h>

struct guix_key; /* a key pair, or a public key alone */

int guix_key_generate(struct guix_key **ret, struct error *err);
/* The advanced-format texts of signing-key.sec (PRIVATE; NULL data = none) and
   signing-key.pub. */
int guix_key_parse(struct str public_text, struct str private_text, struct guix_key **ret,
                   struct error *err);
void guix_key_free(struct guix_key *key);
void guix_key_public_text(const struct guix_key *key, struct buf *out);
int guix_key_private_text(const struct guix_key *key, struct buf *out); /* -ENOENT = none */

/* The signature s-expression over a SHA-256 hash (text, advanced format). */
int guix_sign(const struct guix_key *key, const struct guix_hash *hash, struct buf *out,
              struct error *err);
/* Checks in the reference's order; ACL NULL = any key is fine. -EKEYREJECTED:
   key not in the ACL; -EBADMSG: hash differs; -EINVAL: corrupt; -EPERM: wrong. */
struct guix_acl;
int guix_verify(struct str signature, const struct guix_hash *hash, const struct guix_acl *acl,
                struct error *err);

int guix_acl_parse(struct str text, struct guix_acl **ret, struct error *err);
void guix_acl_free(struct guix_acl *acl);
bool guix_acl_contains(const struct guix_acl *acl, const struct guix_key *key);
/* Adds KEY to the ACL file at PATH, keeping its other entries; makes the file.
   1 = added, 0 = was there. */
int guix_acl_authorize(const char *path, const struct guix_key *key, struct error *err);
