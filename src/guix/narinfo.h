/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Narinfos as guix publish 1.5.0 writes them (reference 4.1). */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "guix/compression.h"
#include "guix/keys.h"
#include "guix/store_path.h"

#define GUIX_NARINFO_URLS_MAX 8
#define GUIX_NARINFO_SIZE_MAX (1u << 20) /* bytes of text accepted */

struct guix_narinfo_url
{
  struct str url;
  enum guix_compression compression; /* unknown names are skipped when reading */
  int64_t file_size;                 /* bytes; -1 = not given */
};

struct guix_narinfo
{
  struct str path; /* full */
  struct guix_hash nar_hash;
  int64_t nar_size;
  struct str *references; /* basenames */
  size_t references_count;
  struct str deriver; /* basename or "" */
  struct guix_narinfo_url urls[GUIX_NARINFO_URLS_MAX];
  size_t urls_count;
  struct str signature; /* the line's value; "" = unsigned (reading only) */
};

/* Appends the signed part: StorePath .. Deriver and, with KEY, the Signature
   line. The URL lines follow it and are not signed: guix_narinfo_write_urls.
   -EINVAL: a field or HOST_NAME that could not be read back; OUT is as before. */
int guix_narinfo_write_signed(const struct guix_narinfo *info, const struct guix_key *key,
                              const char *host_name, struct buf *out, struct error *err);
void guix_narinfo_write_urls(const struct guix_narinfo_url *urls, size_t count, struct buf *out);

/* Slices and arrays go into ARENA, so TEXT may go. Unknown fields, unknown
   compressions and URLs beyond the maximum are skipped; a field that stands
   twice, a bad value, or the want of StorePath, NarHash, NarSize or References
   is -EINVAL. Nothing is said about the signature. */
int guix_narinfo_parse(struct str text, struct arena *arena, struct guix_narinfo *ret,
                       struct error *err);
/* TEXT is the whole narinfo; codes as guix_verify, -ENOKEY = unsigned: no
   Signature, or one that does not cover all the fields that matter. */
int guix_narinfo_verify(struct str text, const struct guix_acl *acl, struct error *err);
