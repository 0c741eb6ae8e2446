/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Export streams: several nars with their references and signatures
   (reference 3.2), as `guix archive --export` writes them. */
#pragma once

#include "base/arena.h"
#include "guix/keys.h"
#include "guix/nar.h"

#define GUIX_ARCHIVE_REFERENCES_MAX 65536 /* of one item, accepted when reading */

/* Writer: items references first. _item_begin, then the nar's bytes by
   _item_data in any pieces, then _item_end, which hashes, signs and writes the
   rest; at last _end. Everything goes to SINK. KEY NULL: unsigned; it is
   borrowed. PATH, REFERENCES and DERIVER ("" = unknown) are full paths; -EINVAL
   when one is not, or when the nar was none. */
struct guix_archive_writer;
struct guix_archive_writer *guix_archive_writer_new(const struct guix_key *key, guix_sink *sink,
                                                    void *context);
int guix_archive_item_begin(struct guix_archive_writer *writer, struct error *err);
int guix_archive_item_data(struct guix_archive_writer *writer, struct str piece, struct error *err);
int guix_archive_item_end(struct guix_archive_writer *writer, struct str path,
                          const struct str *references, size_t count, struct str deriver,
                          struct error *err);
int guix_archive_end(struct guix_archive_writer *writer, struct error *err);
void guix_archive_writer_free(struct guix_archive_writer *writer);

/* Reader: push parser. With an ACL each item must be signed by one of its keys;
   without one (NULL) an item may be unsigned, but a signature that is there must
   be right. _feed's codes: -EINVAL, no export stream; those of guix_verify;
   -EKEYREJECTED, unsigned; what the visitor returned. An item's nar is handed on
   before its signature is known: trust it when `item` is called, not before.
   _end: -EPIPE when the stream is not whole. */
struct guix_archive_item /* slices live during the call */
{
  struct str path, deriver;
  const struct str *references;
  size_t references_count;
  struct guix_hash nar_hash;
  int64_t nar_size;
};
struct guix_archive_visitor
{
  int (*nar)(void *context, struct str piece);                      /* the item's nar, in pieces */
  int (*item)(void *context, const struct guix_archive_item *item); /* after its nar */
};
struct guix_archive_reader;
struct guix_archive_reader *guix_archive_reader_new(const struct guix_acl *acl,
                                                    const struct guix_archive_visitor *visitor,
                                                    void *context);
int guix_archive_reader_feed(struct guix_archive_reader *reader, struct str piece,
                             struct error *err);
int guix_archive_reader_end(struct guix_archive_reader *reader, struct error *err);
void guix_archive_reader_free(struct guix_archive_reader *reader);
