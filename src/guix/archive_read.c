/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading export streams: nars pass through to the nar reader and the visitor,
   and what follows each nar (integers and strings) is gathered word by word. */
#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "guix/archive.h"
#include "guix/archive_format.h"
#include "guix/store_path.h"

#define SIGNATURE_MAX (32u << 10) /* bytes */
#define PATH_SIZE_MAX (sizeof GUIX_STORE_PREFIX + GUIX_PATH_HASH_SIZE + 1 + GUIX_NAME_MAX)

/* What is waited for. */
enum state
{
  STATE_SEPARATOR, /* int: an item, or the end */
  STATE_NAR,
  STATE_MAGIC,     /* int */
  STATE_PATH,      /* string */
  STATE_COUNT,     /* int: of references */
  STATE_REFERENCE, /* string */
  STATE_DERIVER,   /* string */
  STATE_FLAG,      /* int: signed or not */
  STATE_SIGNATURE, /* string */
  STATE_DONE,
  STATE_FAILED,
};

struct guix_archive_reader
{
  const struct guix_acl *acl; /* NULL = none */
  struct guix_archive_visitor visitor;
  void *context;
  enum state state;

  struct buf word;    /* the integer, or the string's length, bytes and padding */
  size_t word_needed; /* bytes of it */

  /* Of the item at hand. */
  struct arena arena;
  struct guix_nar_reader *nar;
  struct guix_hasher *hasher; /* of the nar, then of all up to the deriver */
  struct guix_archive_item item;
  struct str *references; /* kept from item to item */
  size_t references_capacity;
  size_t references_left;
};

struct guix_archive_reader *
guix_archive_reader_new(const struct guix_acl *acl, const struct guix_archive_visitor *visitor,
                        void *context)
{
  struct guix_archive_reader *reader = mem_alloc(sizeof *reader);
  reader->acl = acl;
  if (visitor != NULL)
    reader->visitor = *visitor;
  reader->context = context;
  reader->word_needed = 8;
  return reader;
}

static void
drop_item(struct guix_archive_reader *reader)
{
  guix_nar_reader_free(TAKE_PTR(reader->nar));
  guix_hasher_free(TAKE_PTR(reader->hasher));
  arena_free(&reader->arena);
  reader->item = (struct guix_archive_item) { 0 };
}

void
guix_archive_reader_free(struct guix_archive_reader *reader)
{
  if (reader == NULL)
    return;
  drop_item(reader);
  buf_free(&reader->word);
  free(reader->references);
  free(reader);
}

/* ---- words ---- */

static uint64_t
word_int(const struct guix_archive_reader *reader)
{
  uint64_t value = 0;
  for (int i = 7; i >= 0; i--)
    value = value << 8 | (unsigned char) reader->word.data[i];
  return value;
}

/* The string without length and padding; false when the padding is not zero. */
static bool
word_string(const struct guix_archive_reader *reader, struct str *ret)
{
  size_t size = (size_t) word_int(reader);
  for (size_t i = 8 + size; i < reader->word.size; i++)
    if (reader->word.data[i] != 0)
      return false;
  *ret = str_make(reader->word.data + 8, size);
  return true;
}

static int
begin_item(struct guix_archive_reader *reader, struct error *err)
{
  uint64_t separator = word_int(reader);
  if (separator == ARCHIVE_END) {
    reader->state = STATE_DONE;
    return 0;
  }
  if (separator != ARCHIVE_ITEM)
    return error_set(err, -EINVAL, "bad export stream: neither an item nor its end");
  reader->nar = guix_nar_reader_new(NULL, NULL);
  reader->hasher = guix_hasher_new();
  reader->state = STATE_NAR;
  return 0;
}

static int
take_magic(struct guix_archive_reader *reader, struct error *err)
{
  if (word_int(reader) != ARCHIVE_MAGIC)
    return error_set(err, -EINVAL, "bad export stream: no mark behind the nar");
  reader->state = STATE_PATH;
  return 0;
}

static int
take_path(struct guix_archive_reader *reader, struct str *ret, struct error *err)
{
  struct str path;
  if (!word_string(reader, &path) || !guix_path_is_valid(path))
    return error_set(err, -EINVAL, "bad export stream: no store path where one must be");
  *ret = arena_str(&reader->arena, path);
  return 0;
}

static int
take_item_path(struct guix_archive_reader *reader, struct error *err)
{
  reader->state = STATE_COUNT;
  return take_path(reader, &reader->item.path, err);
}

static int
take_count(struct guix_archive_reader *reader, struct error *err)
{
  uint64_t count = word_int(reader);
  if (count > GUIX_ARCHIVE_REFERENCES_MAX)
    return error_set(err, -EINVAL, "bad export stream: %llu references",
                     (unsigned long long) count);
  reader->references_left = (size_t) count;
  reader->state = count > 0 ? STATE_REFERENCE : STATE_DERIVER;
  return 0;
}

static int
take_reference(struct guix_archive_reader *reader, struct error *err)
{
  if (--reader->references_left == 0)
    reader->state = STATE_DERIVER;
  size_t count = ++reader->item.references_count;
  mem_grow(&reader->references, &reader->references_capacity, count, sizeof reader->references[0]);
  reader->item.references = reader->references;
  return take_path(reader, &reader->references[count - 1], err);
}

static int
take_deriver(struct guix_archive_reader *reader, struct error *err)
{
  reader->state = STATE_FLAG;
  if (word_int(reader) == 0)
    return 0;
  return take_path(reader, &reader->item.deriver, err);
}

static int
end_item(struct guix_archive_reader *reader, struct error *err)
{
  int r = 0;
  if (reader->visitor.item != NULL)
    r = reader->visitor.item(reader->context, &reader->item);
  drop_item(reader);
  reader->state = STATE_SEPARATOR;
  return r < 0 ? error_set(err, r, "cannot use an item of the export stream: %s", strerror(-r)) : 0;
}

static int
take_flag(struct guix_archive_reader *reader, struct error *err)
{
  uint64_t flag = word_int(reader);
  if (flag == ARCHIVE_SIGNED) {
    reader->state = STATE_SIGNATURE;
    return 0;
  }
  if (flag != ARCHIVE_UNSIGNED)
    return error_set(err, -EINVAL, "bad export stream: neither signed nor unsigned");
  if (reader->acl != NULL)
    return error_set(err, -EKEYREJECTED, "%.*s is not signed", STR_FMT(reader->item.path));
  return end_item(reader, err);
}

static int
take_signature(struct guix_archive_reader *reader, struct error *err)
{
  struct str signature;
  if (!word_string(reader, &signature) || str_find(signature, '\0') >= 0)
    return error_set(err, -EINVAL, "bad export stream: a zero where none may be, or the reverse");
  struct guix_hash hash = guix_hasher_digest(reader->hasher);
  int r = guix_verify(signature, &hash, reader->acl, err);
  if (r < 0) {
    error_prefix(err, "%.*s", STR_FMT(reader->item.path));
    return r;
  }
  return end_item(reader, err);
}

static const struct
{
  size_t string_max; /* bytes; 0 = it is an integer */
  bool is_hashed;    /* belongs to what is signed */
  int (*take)(struct guix_archive_reader *reader, struct error *err);
} words[] = {
  [STATE_SEPARATOR] = { 0, false, begin_item },
  [STATE_MAGIC] = { 0, true, take_magic },
  [STATE_PATH] = { PATH_SIZE_MAX, true, take_item_path },
  [STATE_COUNT] = { 0, true, take_count },
  [STATE_REFERENCE] = { PATH_SIZE_MAX, true, take_reference },
  [STATE_DERIVER] = { PATH_SIZE_MAX, true, take_deriver },
  [STATE_FLAG] = { 0, false, take_flag },
  [STATE_SIGNATURE] = { SIGNATURE_MAX, false, take_signature },
};

/* The string's length is known: its bytes and padding belong to the word. */
static int
extend_word(struct guix_archive_reader *reader, struct error *err)
{
  uint64_t size = word_int(reader);
  if (size > words[reader->state].string_max)
    return error_set(err, -EINVAL, "bad export stream: a word of %llu bytes",
                     (unsigned long long) size);
  reader->word_needed = 8 + (((size_t) size + 7) & ~(size_t) 7);
  return 0;
}

static int
end_word(struct guix_archive_reader *reader, struct error *err)
{
  if (words[reader->state].is_hashed)
    guix_hasher_update(reader->hasher, reader->word.data, reader->word.size);
  int r = words[reader->state].take(reader, err);
  buf_clear(&reader->word);
  reader->word_needed = 8;
  return r;
}

static int
feed_word(struct guix_archive_reader *reader, struct str *rest, struct error *err)
{
  size_t count = reader->word_needed - reader->word.size;
  if (count > rest->size)
    count = rest->size;
  buf_append(&reader->word, rest->data, count);
  *rest = str_from(*rest, count);
  if (reader->word.size < reader->word_needed)
    return 0;
  if (reader->word.size == 8 && words[reader->state].string_max > 0) {
    int r = extend_word(reader, err);
    if (r < 0 || reader->word_needed > 8)
      return r;
  }
  return end_word(reader, err);
}

/* ---- nars ---- */

static int
feed_nar(struct guix_archive_reader *reader, struct str *rest, struct error *err)
{
  size_t used;
  int r = guix_nar_reader_feed(reader->nar, *rest, &used, err);
  if (r < 0)
    return r;
  struct str piece = str_make(rest->data, used);
  *rest = str_from(*rest, used);
  guix_hasher_update(reader->hasher, piece.data, piece.size);
  reader->item.nar_size += (int64_t) used;
  if (guix_nar_reader_is_done(reader->nar)) {
    reader->item.nar_hash = guix_hasher_digest(reader->hasher);
    reader->state = STATE_MAGIC;
  }
  r = reader->visitor.nar == NULL ? 0 : reader->visitor.nar(reader->context, piece);
  return r < 0 ? error_set(err, r, "cannot use a nar of the export stream: %s", strerror(-r)) : 0;
}

int
guix_archive_reader_feed(struct guix_archive_reader *reader, struct str piece, struct error *err)
{
  while (piece.size > 0) {
    if (reader->state == STATE_FAILED)
      return error_set(err, -EINVAL, "the export stream was refused before");
    if (reader->state == STATE_DONE)
      return error_set(err, -EINVAL, "bad export stream: bytes after its end");
    int r =
        reader->state == STATE_NAR ? feed_nar(reader, &piece, err) : feed_word(reader, &piece, err);
    if (r < 0) {
      reader->state = STATE_FAILED;
      return r;
    }
  }
  return 0;
}

int
guix_archive_reader_end(struct guix_archive_reader *reader, struct error *err)
{
  if (reader->state == STATE_DONE)
    return 0;
  return error_set(err, -EPIPE, "the export stream is not whole");
}
