/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "guix/address.h"

#include <errno.h>
#include <gcrypt.h>
#include <stdlib.h>

#include "base/mem.h"
#include "guix/nar.h"
#include "guix/store_path.h"

#define DIGEST_MAX 64

/* Those of guix-daemon. */
static const struct algorithm
{
  const char *name;
  int number;
} algorithms[] = {
  { "md5", GCRY_MD_MD5 },
  { "sha1", GCRY_MD_SHA1 },
  { "sha256", GCRY_MD_SHA256 },
  { "sha512", GCRY_MD_SHA512 },
  { "sha3-256", GCRY_MD_SHA3_256 },
  { "sha3-512", GCRY_MD_SHA3_512 },
  { "blake2s-256", GCRY_MD_BLAKE2S_256 },
};

struct guix_address_check
{
  const struct guix_address *address;
  int algorithm; /* libgcrypt's number */
  bool of_nar;   /* the whole nar is hashed, or */
  bool of_file;  /* the contents of the one file in it, or both */
  unsigned char expected[DIGEST_MAX];
  size_t expected_size;           /* 0 for a source */
  gcry_md_hd_t nar;               /* hashes, where wanted */
  gcry_md_hd_t file;              /* */
  struct guix_nar_reader *reader; /* for the file */
  bool is_plain;                  /* the item is one regular file that nobody may execute */
};

/* ---- the one file ---- */

static int
on_file(void *context, struct str name, bool executable, uint64_t size)
{
  struct guix_address_check *check = context;
  (void) size;
  check->is_plain = name.size == 0 && !executable;
  return 0;
}

static int
on_contents(void *context, struct str piece)
{
  struct guix_address_check *check = context;
  if (check->is_plain)
    gcry_md_write(check->file, piece.data, piece.size);
  return 0;
}

static const struct guix_nar_visitor file_visitor = { .file = on_file, .contents = on_contents };

/* ---- beginning ---- */

static int
read_declaration(struct guix_address_check *check, struct error *err)
{
  const struct guix_address *address = check->address;
  struct str name = address->algorithm;
  check->of_nar = str_starts(name, STR("r:"));
  check->of_file = !check->of_nar;
  if (check->of_nar)
    name = str_from(name, 2);
  for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++)
    if (str_equal(name, str_of(algorithms[i].name)))
      check->algorithm = algorithms[i].number;
  if (check->algorithm == 0)
    return error_set(err, -ENOTSUP, "the hash algorithm '%.*s' is not known", STR_FMT(name));
  check->expected_size = gcry_md_get_algo_dlen(check->algorithm);
  if (address->hash.size != 2 * check->expected_size || check->expected_size > DIGEST_MAX
      || str_from_hex(address->hash, check->expected, check->expected_size) < 0)
    return error_set(err, -EINVAL, "'%.*s' is no hash of the algorithm %.*s",
                     STR_FMT(address->hash), STR_FMT(name));
  return 0;
}

static int
open_hashes(struct guix_address_check *check, struct error *err)
{
  if ((check->of_nar && gcry_md_open(&check->nar, check->algorithm, 0) != 0)
      || (check->of_file && gcry_md_open(&check->file, check->algorithm, 0) != 0))
    return error_set(err, -ENOTSUP, "this libgcrypt lacks the hash algorithm %s",
                     gcry_md_algo_name(check->algorithm));
  if (check->of_file)
    check->reader = guix_nar_reader_new(&file_visitor, check);
  return 0;
}

int
guix_address_check_new(const struct guix_address *address, struct guix_address_check **ret,
                       struct error *err)
{
  guix_init();
  struct guix_address_check *check = mem_alloc(sizeof *check);
  *check = (struct guix_address_check) { .address = address };
  int r = 0;
  if (address->algorithm.size > 0)
    r = read_declaration(check, err);
  else {
    check->of_nar = check->of_file = true;
    check->algorithm = GCRY_MD_SHA256;
  }
  if (r == 0)
    r = open_hashes(check, err);
  if (r == 0)
    *ret = check;
  else
    guix_address_check_free(check);
  return r;
}

void
guix_address_check_free(struct guix_address_check *check)
{
  if (check == NULL)
    return;
  gcry_md_close(check->nar);
  gcry_md_close(check->file);
  guix_nar_reader_free(check->reader);
  free(check);
}

int
guix_address_check_feed(struct guix_address_check *check, struct str piece, struct error *err)
{
  if (check->of_nar)
    gcry_md_write(check->nar, piece.data, piece.size);
  return check->of_file ? guix_nar_reader_feed(check->reader, piece, NULL, err) : 0;
}

/* ---- the end ---- */

static int
end_fixed(struct guix_address_check *check, struct error *err)
{
  const struct guix_address *address = check->address;
  char found[2 * DIGEST_MAX];
  if (check->of_file && !check->is_plain)
    return error_set(err, -EBADMSG,
                     "%.*s must be a plain file, for its derivation declares a flat %.*s",
                     STR_FMT(guix_path_basename(address->path)), STR_FMT(address->algorithm));
  const unsigned char *digest = gcry_md_read(check->of_nar ? check->nar : check->file, 0);
  if (memcmp(digest, check->expected, check->expected_size) == 0)
    return 0;
  str_to_hex(digest, check->expected_size, found);
  return error_set(err, -EBADMSG, "%.*s has the %.*s %.*s, but its derivation declares %.*s",
                   STR_FMT(guix_path_basename(address->path)), STR_FMT(address->algorithm),
                   (int) (2 * check->expected_size), found, STR_FMT(address->hash));
}

static struct guix_hash
digest_of(gcry_md_hd_t handle)
{
  struct guix_hash hash;
  memcpy(hash.bytes, gcry_md_read(handle, GCRY_MD_SHA256), sizeof hash.bytes);
  return hash;
}

/* Whether one of the ways to add a source leads to its path. Only texts refer to
   anything. */
static bool
is_source(struct guix_address_check *check, struct arena *arena)
{
  const struct guix_address *address = check->address;
  struct str name = guix_path_name(address->path);
  struct guix_hash nar = digest_of(check->nar);
  bool refers = address->references_count > 0;
  if (!refers && str_equal(address->path, guix_path_of_source(arena, name, &nar)))
    return true;
  if (!check->is_plain)
    return false;
  struct guix_hash file = digest_of(check->file);
  char digits[GUIX_HASH_HEX_SIZE];
  str_to_hex(file.bytes, sizeof file.bytes, digits);
  struct str hex = str_make(digits, GUIX_HASH_HEX_SIZE);
  return str_equal(address->path, guix_path_of_text_hash(arena, name, &file, address->references,
                                                         address->references_count))
         || (!refers
             && str_equal(address->path,
                          guix_path_of_fixed(arena, name, false, STR("sha256"), hex)));
}

int
guix_address_check_end(struct guix_address_check *check, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  if (check->of_file && !guix_nar_reader_is_done(check->reader))
    return error_set(err, -EBADMSG, "the nar of %.*s ends early",
                     STR_FMT(guix_path_basename(check->address->path)));
  if (check->expected_size > 0)
    return end_fixed(check, err);
  return is_source(check, &arena)
             ? 0
             : error_set(err, -EBADMSG,
                         "%.*s is a source, and its name was not made from these contents",
                         STR_FMT(guix_path_basename(check->address->path)));
}
