/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading nars. Two layers: tokens are cut out of the pieces (a token is a
   length, its bytes and zeros up to a multiple of eight), and each whole token
   moves the grammar on. Only file contents, which may be large, pass through
   without being gathered. */
#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "guix/nar.h"

/* What the grammar waits for. */
enum state
{
  STATE_MAGIC,
  STATE_NODE_OPEN,
  STATE_TYPE,
  STATE_KIND,
  STATE_FILE_FIELD,
  STATE_EXECUTABLE,
  STATE_CONTENTS,
  STATE_FILE_DATA,
  STATE_TARGET,
  STATE_TARGET_VALUE,
  STATE_NODE_CLOSE,
  STATE_DIRECTORY,
  STATE_ENTRY_OPEN,
  STATE_NAME,
  STATE_NAME_VALUE,
  STATE_NODE,
  STATE_ENTRY_CLOSE,
  STATE_DONE,
  STATE_FAILED,
};

enum part /* of the token at hand */
{
  PART_LENGTH,
  PART_BYTES, /* with their padding */
  PART_DATA,  /* file contents; their padding is gathered as PART_PADDING */
  PART_PADDING,
};

#define KEYWORD_MAX 16 /* bytes; the longest is "nix-archive-1" */

struct guix_nar_reader
{
  struct guix_nar_visitor visitor;
  void *context;
  enum state state;
  enum part part;
  uint64_t offset; /* bytes taken so far */
  bool executable;

  char token[GUIX_NAR_TARGET_MAX + 8];
  size_t gathered;     /* bytes of the part in `token` */
  size_t token_size;   /* without padding */
  uint64_t data_size;  /* of file contents */
  uint64_t data_taken; /* of these */

  /* The last entry's name in each open directory, one behind the other. It is
     kept for the order check and names the node that follows it. */
  struct buf names;
  size_t name_starts[GUIX_NAR_DEPTH_MAX];
  size_t depth; /* open directories */
};

bool
guix_nar_name_is_valid(struct str name)
{
  if (name.size == 0 || name.size > GUIX_NAR_NAME_MAX)
    return false;
  if (str_equal(name, STR(".")) || str_equal(name, STR("..")))
    return false;
  return str_find(name, '/') < 0 && str_find(name, '\0') < 0;
}

struct guix_nar_reader *
guix_nar_reader_new(const struct guix_nar_visitor *visitor, void *context)
{
  struct guix_nar_reader *reader = mem_alloc(sizeof *reader);
  if (visitor != NULL)
    reader->visitor = *visitor;
  reader->context = context;
  return reader;
}

void
guix_nar_reader_free(struct guix_nar_reader *reader)
{
  if (reader == NULL)
    return;
  buf_free(&reader->names);
  free(reader);
}

bool
guix_nar_reader_is_done(const struct guix_nar_reader *reader)
{
  return reader->state == STATE_DONE;
}

static int
fail(const struct guix_nar_reader *reader, const char *what, struct error *err)
{
  return error_set(err, -EINVAL, "bad nar near byte %llu: %s", (unsigned long long) reader->offset,
                   what);
}

static int
check_visit(const struct guix_nar_reader *reader, int r, struct error *err)
{
  if (r >= 0)
    return 0;
  return error_set(err, r, "cannot use the nar's contents near byte %llu: %s",
                   (unsigned long long) reader->offset, strerror(-r));
}

/* ---- grammar ---- */

/* Of the node at hand: "" at the top, else the last entry's. */
static struct str
node_name(const struct guix_nar_reader *reader)
{
  if (reader->depth == 0)
    return STR("");
  return str_from(buf_str(&reader->names), reader->name_starts[reader->depth - 1]);
}

static int
end_node(struct guix_nar_reader *reader, struct error *err)
{
  (void) err;
  reader->state = reader->depth == 0 ? STATE_DONE : STATE_ENTRY_CLOSE;
  return 0;
}

static int
begin_file(struct guix_nar_reader *reader, struct error *err)
{
  (void) err;
  reader->executable = false;
  return 0;
}

static int
set_executable(struct guix_nar_reader *reader, struct error *err)
{
  (void) err;
  reader->executable = true;
  return 0;
}

static int
open_directory(struct guix_nar_reader *reader, struct error *err)
{
  if (reader->depth == GUIX_NAR_DEPTH_MAX)
    return fail(reader, "directories nested too deeply", err);
  int r = 0;
  if (reader->visitor.directory != NULL)
    r = reader->visitor.directory(reader->context, node_name(reader));
  reader->name_starts[reader->depth++] = reader->names.size;
  return check_visit(reader, r, err);
}

static int
close_directory(struct guix_nar_reader *reader, struct error *err)
{
  reader->names.size = reader->name_starts[--reader->depth];
  if (reader->visitor.directory_end != NULL) {
    int r = check_visit(reader, reader->visitor.directory_end(reader->context), err);
    if (r < 0)
      return r;
  }
  return end_node(reader, err);
}

/* One line for each keyword, the state that accepts it and the one that
   follows, and what else is to do (which may choose another state). */
static const struct rule
{
  const char *keyword;
  enum state state;
  enum state next;
  int (*action)(struct guix_nar_reader *reader, struct error *err);
} rules[] = {
  { "nix-archive-1", STATE_MAGIC, STATE_NODE_OPEN, NULL },
  { "(", STATE_NODE_OPEN, STATE_TYPE, NULL },
  { "type", STATE_TYPE, STATE_KIND, NULL },
  { "regular", STATE_KIND, STATE_FILE_FIELD, begin_file },
  { "symlink", STATE_KIND, STATE_TARGET, NULL },
  { "directory", STATE_KIND, STATE_DIRECTORY, open_directory },
  { "contents", STATE_FILE_FIELD, STATE_FILE_DATA, NULL },
  { "executable", STATE_FILE_FIELD, STATE_EXECUTABLE, set_executable },
  { "", STATE_EXECUTABLE, STATE_CONTENTS, NULL },
  { "contents", STATE_CONTENTS, STATE_FILE_DATA, NULL },
  { "target", STATE_TARGET, STATE_TARGET_VALUE, NULL },
  { ")", STATE_NODE_CLOSE, STATE_DONE, end_node },
  { "entry", STATE_DIRECTORY, STATE_ENTRY_OPEN, NULL },
  { ")", STATE_DIRECTORY, STATE_DONE, close_directory },
  { "(", STATE_ENTRY_OPEN, STATE_NAME, NULL },
  { "name", STATE_NAME, STATE_NAME_VALUE, NULL },
  { "node", STATE_NODE, STATE_NODE_OPEN, NULL },
  { ")", STATE_ENTRY_CLOSE, STATE_DIRECTORY, NULL },
};

static int
take_keyword(struct guix_nar_reader *reader, struct str token, struct error *err)
{
  const struct rule *rule = rules;
  while (rule < rules + ARRAY_SIZE(rules)
         && (rule->state != reader->state || !str_equal(token, str_of(rule->keyword))))
    rule++;
  if (rule == rules + ARRAY_SIZE(rules))
    return fail(reader, "unexpected word", err);
  reader->state = rule->next;
  return rule->action == NULL ? 0 : rule->action(reader, err);
}

static int
take_name(struct guix_nar_reader *reader, struct str name, struct error *err)
{
  if (!guix_nar_name_is_valid(name))
    return fail(reader, "bad name of a directory entry", err);
  struct str last = node_name(reader);
  if (last.size > 0 && str_compare(last, name) >= 0)
    return fail(reader, "directory entries are not in order", err);
  reader->names.size = reader->name_starts[reader->depth - 1];
  buf_append_str(&reader->names, name);
  reader->state = STATE_NODE;
  return 0;
}

static int
take_target(struct guix_nar_reader *reader, struct str target, struct error *err)
{
  if (target.size == 0 || str_find(target, '\0') >= 0)
    return fail(reader, "bad target of a symbolic link", err);
  reader->state = STATE_NODE_CLOSE;
  if (reader->visitor.symlink == NULL)
    return 0;
  int r = reader->visitor.symlink(reader->context, node_name(reader), target);
  return check_visit(reader, r, err);
}

static int
take_token(struct guix_nar_reader *reader, struct error *err)
{
  struct str token = str_make(reader->token, reader->token_size);
  if (reader->state == STATE_NAME_VALUE)
    return take_name(reader, token, err);
  if (reader->state == STATE_TARGET_VALUE)
    return take_target(reader, token, err);
  return take_keyword(reader, token, err);
}

/* ---- tokens ---- */

/* Moves bytes from the front of *REST into `token` until it holds NEED; true
   when it does. */
static bool
gather(struct guix_nar_reader *reader, struct str *rest, size_t need)
{
  size_t count = need - reader->gathered;
  if (count > rest->size)
    count = rest->size;
  memcpy(reader->token + reader->gathered, rest->data, count);
  reader->gathered += count;
  *rest = str_from(*rest, count);
  return reader->gathered == need;
}

static size_t
padding_of(uint64_t size)
{
  return (size_t) (-size % 8);
}

static bool
is_zero(const char *data, size_t size)
{
  for (size_t i = 0; i < size; i++)
    if (data[i] != 0)
      return false;
  return true;
}

static void
begin_part(struct guix_nar_reader *reader, enum part part)
{
  reader->part = part;
  reader->gathered = 0;
}

static int
begin_bytes(struct guix_nar_reader *reader, uint64_t size, struct error *err)
{
  size_t limit = reader->state == STATE_NAME_VALUE     ? GUIX_NAR_NAME_MAX
                 : reader->state == STATE_TARGET_VALUE ? GUIX_NAR_TARGET_MAX
                                                       : KEYWORD_MAX;
  if (size > limit)
    return fail(reader, "word too long", err);
  reader->token_size = (size_t) size;
  begin_part(reader, PART_BYTES);
  return 0;
}

static int
begin_data(struct guix_nar_reader *reader, uint64_t size, struct error *err)
{
  if (size > INT64_MAX)
    return fail(reader, "file too large", err);
  reader->data_size = size;
  reader->data_taken = 0;
  begin_part(reader, PART_DATA);
  if (reader->visitor.file == NULL)
    return 0;
  int r = reader->visitor.file(reader->context, node_name(reader), reader->executable, size);
  return check_visit(reader, r, err);
}

static int
take_length(struct guix_nar_reader *reader, struct str *rest, struct error *err)
{
  if (!gather(reader, rest, 8))
    return 0;
  uint64_t size = 0;
  for (int i = 7; i >= 0; i--)
    size = size << 8 | (unsigned char) reader->token[i];
  return reader->state == STATE_FILE_DATA ? begin_data(reader, size, err)
                                          : begin_bytes(reader, size, err);
}

static int
take_bytes(struct guix_nar_reader *reader, struct str *rest, struct error *err)
{
  size_t padding = padding_of(reader->token_size);
  if (!gather(reader, rest, reader->token_size + padding))
    return 0;
  if (!is_zero(reader->token + reader->token_size, padding))
    return fail(reader, "padding is not zero", err);
  begin_part(reader, PART_LENGTH);
  return take_token(reader, err);
}

static int
take_data(struct guix_nar_reader *reader, struct str *rest, struct error *err)
{
  uint64_t missing = reader->data_size - reader->data_taken;
  size_t count = missing < rest->size ? (size_t) missing : rest->size;
  int r = 0;
  if (count > 0 && reader->visitor.contents != NULL)
    r = reader->visitor.contents(reader->context, str_make(rest->data, count));
  *rest = str_from(*rest, count);
  reader->data_taken += count;
  if (reader->data_taken == reader->data_size)
    begin_part(reader, PART_PADDING);
  return check_visit(reader, r, err);
}

static int
take_padding(struct guix_nar_reader *reader, struct str *rest, struct error *err)
{
  size_t padding = padding_of(reader->data_size);
  if (!gather(reader, rest, padding))
    return 0;
  if (!is_zero(reader->token, padding))
    return fail(reader, "padding is not zero", err);
  begin_part(reader, PART_LENGTH);
  reader->state = STATE_NODE_CLOSE;
  if (reader->visitor.file_end == NULL)
    return 0;
  return check_visit(reader, reader->visitor.file_end(reader->context), err);
}

/* True when the part at hand can be finished without further bytes: an empty
   word, an empty file, no padding. */
static bool
needs_no_bytes(const struct guix_nar_reader *reader)
{
  switch (reader->part) {
  case PART_LENGTH:
    return false;
  case PART_BYTES:
    return reader->token_size == 0;
  case PART_DATA:
    return reader->data_taken == reader->data_size;
  case PART_PADDING:
    return padding_of(reader->data_size) == 0;
  }
  return false;
}

static int
take_part(struct guix_nar_reader *reader, struct str *rest, struct error *err)
{
  switch (reader->part) {
  case PART_LENGTH:
    return take_length(reader, rest, err);
  case PART_BYTES:
    return take_bytes(reader, rest, err);
  case PART_DATA:
    return take_data(reader, rest, err);
  case PART_PADDING:
    return take_padding(reader, rest, err);
  }
  return -EINVAL;
}

int
guix_nar_reader_feed(struct guix_nar_reader *reader, struct str piece, size_t *ret_used,
                     struct error *err)
{
  if (reader->state == STATE_FAILED)
    return fail(reader, "it was refused before", err);
  struct str rest = piece;
  while (reader->state != STATE_DONE && (rest.size > 0 || needs_no_bytes(reader))) {
    size_t before = rest.size;
    int r = take_part(reader, &rest, err);
    reader->offset += before - rest.size;
    if (r < 0) {
      reader->state = STATE_FAILED;
      return r;
    }
  }
  if (ret_used == NULL && rest.size > 0) {
    reader->state = STATE_FAILED;
    return fail(reader, "bytes after its end", err);
  }
  if (ret_used != NULL)
    *ret_used = piece.size - rest.size;
  return 0;
}
