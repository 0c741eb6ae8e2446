/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing export streams. */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "guix/archive.h"
#include "guix/archive_format.h"
#include "guix/store_path.h"

struct guix_archive_writer
{
  const struct guix_key *key;
  guix_sink *sink;
  void *context;
  struct guix_hasher *hasher;  /* of the item at hand; NULL between items */
  struct guix_nar_reader *nar; /* sees that it is one */
};

struct guix_archive_writer *
guix_archive_writer_new(const struct guix_key *key, guix_sink *sink, void *context)
{
  struct guix_archive_writer *writer = mem_alloc(sizeof *writer);
  writer->key = key;
  writer->sink = sink;
  writer->context = context;
  return writer;
}

static void
drop_item(struct guix_archive_writer *writer)
{
  guix_hasher_free(TAKE_PTR(writer->hasher));
  guix_nar_reader_free(TAKE_PTR(writer->nar));
}

void
guix_archive_writer_free(struct guix_archive_writer *writer)
{
  if (writer == NULL)
    return;
  drop_item(writer);
  free(writer);
}

static void
put_int(struct buf *out, uint64_t value)
{
  for (int i = 0; i < 8; i++)
    buf_append_char(out, (char) (value >> (8 * i)));
}

static void
put_string(struct buf *out, struct str text)
{
  static const char zeros[8];
  put_int(out, text.size);
  buf_append_str(out, text);
  buf_append(out, zeros, -text.size % 8);
}

static int
send(struct guix_archive_writer *writer, struct str bytes, struct error *err)
{
  int r = bytes.size == 0 ? 0 : writer->sink(writer->context, bytes);
  return r < 0 ? error_set(err, r, "cannot pass on an export stream: %s", strerror(-r)) : 0;
}

static int
send_int(struct guix_archive_writer *writer, uint64_t value, struct error *err)
{
  CLEANUP_BUF struct buf bytes = { 0 };
  put_int(&bytes, value);
  return send(writer, buf_str(&bytes), err);
}

int
guix_archive_item_begin(struct guix_archive_writer *writer, struct error *err)
{
  drop_item(writer);
  writer->hasher = guix_hasher_new();
  writer->nar = guix_nar_reader_new(NULL, NULL);
  return send_int(writer, ARCHIVE_ITEM, err);
}

int
guix_archive_item_data(struct guix_archive_writer *writer, struct str piece, struct error *err)
{
  if (writer->hasher == NULL)
    return error_set(err, -EINVAL, "a nar outside of an item");
  int r = guix_nar_reader_feed(writer->nar, piece, NULL, err);
  if (r < 0)
    return r;
  guix_hasher_update(writer->hasher, piece.data, piece.size);
  return send(writer, piece, err);
}

static bool
are_valid(struct str path, const struct str *references, size_t count, struct str deriver)
{
  if (!guix_path_is_valid(path) || (deriver.size > 0 && !guix_path_is_valid(deriver)))
    return false;
  for (size_t i = 0; i < count; i++)
    if (!guix_path_is_valid(references[i]))
      return false;
  return true;
}

static int
put_signature(struct guix_archive_writer *writer, struct buf *out, struct error *err)
{
  if (writer->key == NULL) {
    put_int(out, ARCHIVE_UNSIGNED);
    return 0;
  }
  CLEANUP_BUF struct buf signature = { 0 };
  struct guix_hash hash = guix_hasher_digest(writer->hasher);
  int r = guix_sign(writer->key, &hash, &signature, err);
  if (r < 0)
    return r;
  put_int(out, ARCHIVE_SIGNED);
  put_string(out, buf_str(&signature));
  return 0;
}

int
guix_archive_item_end(struct guix_archive_writer *writer, struct str path,
                      const struct str *references, size_t count, struct str deriver,
                      struct error *err)
{
  if (writer->nar == NULL || !guix_nar_reader_is_done(writer->nar))
    return error_set(err, -EINVAL, "the nar of %.*s is not whole", STR_FMT(path));
  if (!are_valid(path, references, count, deriver))
    return error_set(err, -EINVAL, "%.*s or what it refers to is no store path", STR_FMT(path));
  CLEANUP_BUF struct buf out = { 0 };
  put_int(&out, ARCHIVE_MAGIC);
  put_string(&out, path);
  put_int(&out, count);
  for (size_t i = 0; i < count; i++)
    put_string(&out, references[i]);
  put_string(&out, deriver);
  guix_hasher_update(writer->hasher, out.data, out.size);
  int r = put_signature(writer, &out, err);
  drop_item(writer);
  return r < 0 ? r : send(writer, buf_str(&out), err);
}

int
guix_archive_end(struct guix_archive_writer *writer, struct error *err)
{
  if (writer->hasher != NULL)
    return error_set(err, -EINVAL, "an export stream cannot end inside an item");
  return send_int(writer, ARCHIVE_END, err);
}
