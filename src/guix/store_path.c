/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "guix/store_path.h"

#include "base/buf.h"

#define FOLDED_SIZE 20 /* bytes of the hash part */

static bool
is_name_character(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
         || (c != '\0' && strchr("+-._?=", c) != NULL);
}

bool
guix_name_is_valid(struct str name)
{
  if (name.size == 0 || name.size > GUIX_NAME_MAX || name.data[0] == '.')
    return false;
  for (size_t i = 0; i < name.size; i++)
    if (!is_name_character(name.data[i]))
      return false;
  return true;
}

bool
guix_basename_is_valid(struct str basename)
{
  unsigned char folded[FOLDED_SIZE];
  return basename.size > GUIX_PATH_HASH_SIZE + 1 && basename.data[GUIX_PATH_HASH_SIZE] == '-'
         && guix_base32_decode(str_make(basename.data, GUIX_PATH_HASH_SIZE), folded, FOLDED_SIZE)
                == 0
         && guix_name_is_valid(str_from(basename, GUIX_PATH_HASH_SIZE + 1));
}

bool
guix_path_is_valid(struct str path)
{
  return str_starts(path, STR(GUIX_STORE_PREFIX))
         && guix_basename_is_valid(guix_path_basename(path));
}

struct str
guix_path_basename(struct str path)
{
  return str_from(path, sizeof GUIX_STORE_PREFIX - 1);
}

struct str
guix_path_hash_part(struct str path)
{
  return str_make(guix_path_basename(path).data, GUIX_PATH_HASH_SIZE);
}

struct str
guix_path_name(struct str path)
{
  return str_from(guix_path_basename(path), GUIX_PATH_HASH_SIZE + 1);
}

bool
guix_path_is_derivation(struct str path)
{
  return str_ends(path, STR(".drv"));
}

/* The 32 bytes of a SHA-256 folded onto 20, in nix-base32. */
static void
hash_part_of(struct str text, char ret_digits[GUIX_PATH_HASH_SIZE])
{
  struct guix_hash hash = guix_hash_of(text);
  unsigned char folded[FOLDED_SIZE] = { 0 };
  for (size_t i = 0; i < GUIX_HASH_SIZE; i++)
    folded[i % FOLDED_SIZE] ^= hash.bytes[i];
  guix_base32_encode(folded, sizeof folded, ret_digits);
}

static void
append_hex(struct buf *out, const struct guix_hash *hash)
{
  str_to_hex(hash->bytes, sizeof hash->bytes, buf_reserve(out, GUIX_HASH_HEX_SIZE));
  out->size += GUIX_HASH_HEX_SIZE;
}

struct str
guix_path_make(struct arena *arena, struct str type, const struct guix_hash *hash, struct str name)
{
  CLEANUP_BUF struct buf text = { 0 };
  buf_append_str(&text, type);
  buf_append_text(&text, ":sha256:");
  append_hex(&text, hash);
  buf_append_text(&text, ":" GUIX_STORE ":");
  buf_append_str(&text, name);
  char digits[GUIX_PATH_HASH_SIZE];
  hash_part_of(buf_str(&text), digits);
  return str_of(arena_printf(arena, GUIX_STORE_PREFIX "%.*s-%.*s", GUIX_PATH_HASH_SIZE, digits,
                             STR_FMT(name)));
}

struct str
guix_path_of_text_hash(struct arena *arena, struct str name, const struct guix_hash *contents_hash,
                       const struct str *references, size_t count)
{
  CLEANUP_BUF struct buf type = { 0 };
  buf_append_text(&type, "text");
  for (size_t i = 0; i < count; i++) {
    buf_append_char(&type, ':');
    buf_append_str(&type, references[i]);
  }
  return guix_path_make(arena, buf_str(&type), contents_hash, name);
}

struct str
guix_path_of_text(struct arena *arena, struct str name, struct str contents,
                  const struct str *references, size_t count)
{
  struct guix_hash hash = guix_hash_of(contents);
  return guix_path_of_text_hash(arena, name, &hash, references, count);
}

struct str
guix_path_of_source(struct arena *arena, struct str name, const struct guix_hash *nar_hash)
{
  return guix_path_make(arena, STR("source"), nar_hash, name);
}

struct str
guix_path_of_fixed(struct arena *arena, struct str name, bool recursive, struct str algorithm,
                   struct str hash_hex)
{
  CLEANUP_BUF struct buf text = { 0 };
  buf_printf(&text, "fixed:out:%s%.*s:%.*s:", recursive ? "r:" : "", STR_FMT(algorithm),
             STR_FMT(hash_hex));
  struct guix_hash hash = guix_hash_of(buf_str(&text));
  return guix_path_make(arena, STR("output:out"), &hash, name);
}
