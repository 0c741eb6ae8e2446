/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Signing keys and access-control lists in Guix's form (reference 4.3). */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "guix/hash.h"
#include <stdbool.h>

struct guix_key; /* a key pair, or a public key alone */

int guix_key_generate(struct guix_key **ret, struct error *err);
/* The texts of signing-key.pub and signing-key.sec (NULL data = none), in any
   form of s-expression. -EINVAL: no such key, or the two do not belong
   together. */
int guix_key_parse(struct str public_text, struct str private_text, struct guix_key **ret,
                   struct error *err);
void guix_key_free(struct guix_key *key);
void guix_key_public_text(const struct guix_key *key, struct buf *out);
int guix_key_private_text(const struct guix_key *key, struct buf *out); /* -ENOENT = none */

/* The signature s-expression over a SHA-256 hash (text, advanced format, ends
   in LF). Deterministic. -ENOENT: KEY has no private part. */
int guix_sign(const struct guix_key *key, const struct guix_hash *hash, struct buf *out,
              struct error *err);
/* Checks in the reference's order; ACL NULL = any key is fine. The shape must be
   exactly that of guix_sign, which is stricter than Guix. -EKEYREJECTED:
   key not in the ACL; -EBADMSG: hash differs; -EINVAL: corrupt; -EPERM: wrong. */
struct guix_acl;
int guix_verify(struct str signature, const struct guix_hash *hash, const struct guix_acl *acl,
                struct error *err);

/* -EINVAL when any entry has another shape than (entry KEY (tag (guix import))). */
int guix_acl_parse(struct str text, struct guix_acl **ret, struct error *err);
void guix_acl_free(struct guix_acl *acl);
bool guix_acl_contains(const struct guix_acl *acl, const struct guix_key *key);
/* Adds KEY to the ACL file at PATH, keeping its other entries; makes the file
   and its folder, with the signing-key.pub beside it as `guix` would. The file is replaced whole or
   not at all, and left alone when it cannot be parsed. 1 = added, 0 = was there. */
int guix_acl_authorize(const char *path, const struct guix_key *key, struct error *err);
