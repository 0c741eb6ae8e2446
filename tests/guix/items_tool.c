/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lets a test drive the parts of libguixstore that need no daemon: nars, keys,
   narinfos, export streams, compression. `items_tool VERB ARGUMENT...`; what
   was asked for goes to standard output, a failure to standard error with
   status 1 and the name of the error first. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "guix/guix.h"

#define FILE_SIZE_MAX (256u << 20) /* bytes of any file that is read whole */

static int
to_stdout(void *context, struct str piece)
{
  (void) context;
  return file_write_full(STDOUT_FILENO, piece.data, piece.size);
}

static int
read_file(const char *path, struct buf *ret, struct error *err)
{
  return file_read_all(path, FILE_SIZE_MAX, ret, err);
}

/* Calls FEED with all that comes from standard input. */
static int
feed_stdin(int (*feed)(void *context, struct str piece, struct error *err), void *context,
           struct error *err)
{
  static char window[64 << 10];
  for (;;) {
    ssize_t got = read(STDIN_FILENO, window, sizeof window);
    if (got <= 0)
      return got == 0 ? 0 : error_set_errno(err, "cannot read");
    int r = feed(context, str_make(window, (size_t) got), err);
    if (r < 0)
      return r;
  }
}

static void
print_hash(const struct guix_hash *hash)
{
  char digits[GUIX_HASH_BASE32_SIZE];
  guix_base32_encode(hash->bytes, GUIX_HASH_SIZE, digits);
  printf("%.*s", (int) sizeof digits, digits);
}

/* ---- nars ---- */

static int
run_measure(char **arguments, struct error *err)
{
  struct guix_hash hash;
  int64_t size;
  int r = guix_nar_measure(arguments[0], &hash, &size, err);
  if (r < 0)
    return r;
  print_hash(&hash);
  printf(" %lld\n", (long long) size);
  return 0;
}

static int
run_nar(char **arguments, struct error *err)
{
  return guix_nar_write(arguments[0], to_stdout, NULL, err);
}

static int
feed_nar(void *context, struct str piece, struct error *err)
{
  return guix_nar_reader_feed(context, piece, NULL, err);
}

static int
run_unpack(char **arguments, struct error *err)
{
  struct guix_nar_unpacker *unpacker = guix_nar_unpacker_new(arguments[0]);
  struct guix_nar_reader *reader = guix_nar_reader_new(&guix_nar_unpacker_visitor, unpacker);
  int r = feed_stdin(feed_nar, reader, err);
  if (r == 0 && !guix_nar_reader_is_done(reader))
    r = error_set(err, -EPIPE, "the nar is not whole");
  guix_nar_reader_free(reader);
  guix_nar_unpacker_free(unpacker);
  return r;
}

/* ---- compression ---- */

static int
feed_compressor(void *context, struct str piece, struct error *err)
{
  return guix_compressor_feed(context, piece, err);
}

static int
run_compress(char **arguments, struct error *err)
{
  struct guix_compressor *compressor =
      guix_compressor_new(guix_compression_parse(str_of(arguments[0])), 0, to_stdout, NULL);
  int r = feed_stdin(feed_compressor, compressor, err);
  if (r == 0)
    r = guix_compressor_end(compressor, err);
  guix_compressor_free(compressor);
  return r;
}

static int
feed_decompressor(void *context, struct str piece, struct error *err)
{
  return guix_decompressor_feed(context, piece, err);
}

static int
run_decompress(char **arguments, struct error *err)
{
  struct guix_decompressor *decompressor =
      guix_decompressor_new(guix_compression_parse(str_of(arguments[0])), 0, to_stdout, NULL);
  int r = feed_stdin(feed_decompressor, decompressor, err);
  if (r == 0)
    r = guix_decompressor_end(decompressor, err);
  guix_decompressor_free(decompressor);
  return r;
}

/* ---- keys ---- */

/* NAME.pub and, when it exists, NAME.sec */
static int
load_key(const char *name, struct guix_key **ret, struct error *err)
{
  CLEANUP_FREE char *public_name = mem_printf("%s.pub", name);
  CLEANUP_FREE char *private_name = mem_printf("%s.sec", name);
  CLEANUP_BUF struct buf public_text = { 0 }, private_text = { 0 };
  int r = read_file(public_name, &public_text, err);
  if (r == 0 && file_exists(private_name))
    r = read_file(private_name, &private_text, err);
  return r < 0 ? r : guix_key_parse(buf_str(&public_text), buf_str(&private_text), ret, err);
}

static int
run_generate(char **arguments, struct error *err)
{
  CLEANUP_FREE char *public_name = mem_printf("%s.pub", arguments[0]);
  CLEANUP_FREE char *private_name = mem_printf("%s.sec", arguments[0]);
  CLEANUP_BUF struct buf public_text = { 0 }, private_text = { 0 };
  struct guix_key *key = NULL;
  int r = guix_key_generate(&key, err);
  if (r < 0)
    return r;
  guix_key_public_text(key, &public_text);
  r = guix_key_private_text(key, &private_text);
  guix_key_free(key);
  if (r == 0)
    r = file_write_atomic(public_name, buf_str(&public_text), 0444, err);
  return r < 0 ? r : file_write_atomic(private_name, buf_str(&private_text), 0400, err);
}

/* Parses the pair and prints it again. */
static int
run_show_key(char **arguments, struct error *err)
{
  CLEANUP_BUF struct buf text = { 0 };
  struct guix_key *key = NULL;
  int r = load_key(arguments[0], &key, err);
  if (r < 0)
    return r;
  guix_key_public_text(key, &text);
  r = guix_key_private_text(key, &text);
  guix_key_free(key);
  return r < 0 ? r : to_stdout(NULL, buf_str(&text));
}

static int
run_authorize(char **arguments, struct error *err)
{
  struct guix_key *key = NULL;
  int r = load_key(arguments[1], &key, err);
  if (r < 0)
    return r;
  r = guix_acl_authorize(arguments[0], key, err);
  guix_key_free(key);
  if (r >= 0)
    printf("%d\n", r);
  return r < 0 ? r : 0;
}

static int
load_acl(const char *path, struct guix_acl **ret, struct error *err)
{
  CLEANUP_BUF struct buf text = { 0 };
  int r = read_file(path, &text, err);
  return r < 0 ? r : guix_acl_parse(buf_str(&text), ret, err);
}

/* ---- narinfos ---- */

/* KEY FILE URL: the narinfo of the store item whose files are FILE. */
static int
run_narinfo(char **arguments, struct error *err)
{
  struct guix_narinfo info = { .path = str_of(arguments[2]) };
  struct str reference = guix_path_basename(info.path);
  struct guix_narinfo_url url = { str_of(arguments[3]), GUIX_COMPRESSION_NONE, -1 };
  info.references = &reference;
  info.references_count = 1;
  struct guix_key *key = NULL;
  int r = load_key(arguments[0], &key, err);
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf text = { 0 };
  r = guix_nar_measure(arguments[1], &info.nar_hash, &info.nar_size, err);
  if (r == 0)
    r = guix_narinfo_write_signed(&info, key, "test", &text, err);
  guix_key_free(key);
  if (r < 0)
    return r;
  url.file_size = info.nar_size;
  guix_narinfo_write_urls(&url, 1, &text);
  return to_stdout(NULL, buf_str(&text));
}

static int
run_verify_narinfo(char **arguments, struct error *err)
{
  CLEANUP_BUF struct buf text = { 0 };
  struct guix_acl *acl = NULL;
  int r = load_acl(arguments[0], &acl, err);
  if (r == 0)
    r = read_file(arguments[1], &text, err);
  if (r == 0)
    r = guix_narinfo_verify(buf_str(&text), acl, err);
  guix_acl_free(acl);
  return r;
}

/* ---- export streams ---- */

static int
to_archive(void *context, struct str piece)
{
  return guix_archive_item_data(context, piece, NULL);
}

/* KEY, then for each item its FILE and PATH: a stream of items without
   references. */
static int
run_export(char **arguments, struct error *err)
{
  struct guix_key *key = NULL;
  int r = load_key(arguments[0], &key, err);
  if (r < 0)
    return r;
  struct guix_archive_writer *writer = guix_archive_writer_new(key, to_stdout, NULL);
  for (char **item = arguments + 1; r == 0 && item[0] != NULL && item[1] != NULL; item += 2) {
    r = guix_archive_item_begin(writer, err);
    if (r == 0)
      r = guix_nar_write(item[0], to_archive, writer, err);
    if (r == 0)
      r = guix_archive_item_end(writer, str_of(item[1]), NULL, 0, STR(""), err);
  }
  if (r == 0)
    r = guix_archive_end(writer, err);
  guix_archive_writer_free(writer);
  guix_key_free(key);
  return r;
}

static int
print_item(void *context, const struct guix_archive_item *item)
{
  (void) context;
  printf("%.*s ", STR_FMT(item->path));
  print_hash(&item->nar_hash);
  printf(" %lld", (long long) item->nar_size);
  for (size_t i = 0; i < item->references_count; i++)
    printf(" %.*s", STR_FMT(item->references[i]));
  printf("\n");
  return 0;
}

static int
feed_archive(void *context, struct str piece, struct error *err)
{
  return guix_archive_reader_feed(context, piece, err);
}

/* ACL: reads a stream, prints its items. */
static int
run_list(char **arguments, struct error *err)
{
  static const struct guix_archive_visitor visitor = { .item = print_item };
  struct guix_acl *acl = NULL;
  int r = load_acl(arguments[0], &acl, err);
  if (r < 0)
    return r;
  struct guix_archive_reader *reader = guix_archive_reader_new(acl, &visitor, NULL);
  r = feed_stdin(feed_archive, reader, err);
  if (r == 0)
    r = guix_archive_reader_end(reader, err);
  guix_archive_reader_free(reader);
  guix_acl_free(acl);
  return r;
}

static const struct
{
  const char *name;
  int arguments; /* at least */
  int (*run)(char **arguments, struct error *err);
} verbs[] = {
  { "measure", 1, run_measure },       { "nar", 1, run_nar },
  { "unpack", 1, run_unpack },         { "compress", 1, run_compress },
  { "decompress", 1, run_decompress }, { "generate", 1, run_generate },
  { "show-key", 1, run_show_key },     { "authorize", 2, run_authorize },
  { "narinfo", 4, run_narinfo },       { "verify-narinfo", 2, run_verify_narinfo },
  { "export", 1, run_export },         { "list", 1, run_list },
};

int
main(int argc, char **argv)
{
  for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(verbs); i++) {
    if (strcmp(argv[1], verbs[i].name) != 0 || argc - 2 < verbs[i].arguments)
      continue;
    struct error err = { 0 };
    int r = verbs[i].run(argv + 2, &err);
    if (r < 0)
      fprintf(stderr, "%s %s\n", strerrorname_np(-r), err.message);
    return r < 0;
  }
  return 2;
}
