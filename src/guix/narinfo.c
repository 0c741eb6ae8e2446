/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "guix/narinfo.h"

#include <errno.h>

#include "base/mem.h"
#include "guix/base64.h"

/* Printable ASCII without spaces. */
static bool
is_visible(struct str text)
{
  for (size_t i = 0; i < text.size; i++)
    if (text.data[i] <= ' ' || text.data[i] > '~')
      return false;
  return true;
}

/* ---- writing ---- */

static bool
is_writable(const struct guix_narinfo *info)
{
  if (!guix_path_is_valid(info->path) || info->nar_size <= 0)
    return false;
  if (info->deriver.size > 0 && !guix_basename_is_valid(info->deriver))
    return false;
  for (size_t i = 0; i < info->references_count; i++)
    if (!guix_basename_is_valid(info->references[i]))
      return false;
  return true;
}

static bool
is_host_name(struct str text)
{
  return is_visible(text) && str_find(text, ';') < 0;
}

static void
write_fields(const struct guix_narinfo *info, struct buf *out)
{
  char hash[GUIX_HASH_BASE32_SIZE];
  guix_base32_encode(info->nar_hash.bytes, GUIX_HASH_SIZE, hash);
  buf_printf(out, "StorePath: %.*s\nNarHash: sha256:%.*s\nNarSize: %lld\nReferences: ",
             STR_FMT(info->path), (int) sizeof hash, hash, (long long) info->nar_size);
  for (size_t i = 0; i < info->references_count; i++) {
    if (i > 0)
      buf_append_char(out, ' ');
    buf_append_str(out, info->references[i]);
  }
  buf_append_char(out, '\n');
  if (info->deriver.size > 0)
    buf_printf(out, "Deriver: %.*s\n", STR_FMT(info->deriver));
}

int
guix_narinfo_write_signed(const struct guix_narinfo *info, const struct guix_key *key,
                          const char *host_name, struct buf *out, struct error *err)
{
  if (!is_writable(info) || (key != NULL && !is_host_name(str_of(host_name))))
    return error_set(err, -EINVAL, "a narinfo of %.*s would not be readable", STR_FMT(info->path));
  CLEANUP_BUF struct buf text = { 0 };
  write_fields(info, &text);
  if (key != NULL) {
    CLEANUP_BUF struct buf signature = { 0 };
    struct guix_hash hash = guix_hash_of(buf_str(&text));
    int r = guix_sign(key, &hash, &signature, err);
    if (r < 0)
      return r;
    buf_printf(&text, "Signature: 1;%s;", host_name);
    base64_encode(buf_str(&signature), &text);
    buf_append_char(&text, '\n');
  }
  buf_append_str(out, buf_str(&text));
  return 0;
}

/* Clients match the three by position: FileSize for every URL or for none. */
void
guix_narinfo_write_urls(const struct guix_narinfo_url *urls, size_t count, struct buf *out)
{
  bool has_sizes = true;
  for (size_t i = 0; i < count; i++)
    has_sizes = has_sizes && urls[i].file_size >= 0;
  for (size_t i = 0; i < count; i++) {
    buf_printf(out, "URL: %.*s\nCompression: %s\n", STR_FMT(urls[i].url),
               guix_compression_name(urls[i].compression));
    if (has_sizes)
      buf_printf(out, "FileSize: %lld\n", (long long) urls[i].file_size);
  }
}

/* ---- reading ---- */

enum field
{
  FIELD_STORE_PATH,
  FIELD_NAR_HASH,
  FIELD_NAR_SIZE,
  FIELD_REFERENCES,
  FIELD_DERIVER,
  FIELD_SIGNATURE,
  FIELD_URL, /* from here on a field may stand several times */
  FIELD_COMPRESSION,
  FIELD_FILE_SIZE,
};

struct parser
{
  struct arena *arena;
  struct guix_narinfo *info;
  unsigned seen; /* bits of enum field */
  /* The URL that Compression and FileSize lines belong to. */
  struct guix_narinfo_url url;
};

static int
take_store_path(struct parser *parser, struct str value)
{
  parser->info->path = value;
  return guix_path_is_valid(value) ? 0 : -EINVAL;
}

static int
take_nar_hash(struct parser *parser, struct str value)
{
  if (!str_starts(value, STR("sha256:")))
    return -EINVAL;
  return guix_hash_parse(value, &parser->info->nar_hash);
}

static int
take_nar_size(struct parser *parser, struct str value)
{
  int r = str_to_i64(value, &parser->info->nar_size);
  return r == 0 && parser->info->nar_size <= 0 ? -EINVAL : r;
}

static int
take_references(struct parser *parser, struct str value)
{
  size_t count = 1;
  for (size_t i = 0; i < value.size; i++)
    count += value.data[i] == ' ';
  struct guix_narinfo *info = parser->info;
  info->references = arena_array(parser->arena, count, sizeof info->references[0]);
  struct str word;
  while (str_split(&value, ' ', &word)) {
    if (word.size == 0)
      continue;
    if (!guix_basename_is_valid(word))
      return -EINVAL;
    info->references[info->references_count++] = word;
  }
  return 0;
}

static int
take_deriver(struct parser *parser, struct str value)
{
  parser->info->deriver = value;
  return value.size == 0 || guix_basename_is_valid(value) ? 0 : -EINVAL;
}

static int
take_signature(struct parser *parser, struct str value)
{
  parser->info->signature = value;
  return 0;
}

static void
finish_url(struct parser *parser)
{
  struct guix_narinfo *info = parser->info;
  if (parser->url.url.size > 0 && parser->url.compression != GUIX_COMPRESSION_INVALID
      && info->urls_count < GUIX_NARINFO_URLS_MAX)
    info->urls[info->urls_count++] = parser->url;
  parser->url = (struct guix_narinfo_url) { { NULL, 0 }, GUIX_COMPRESSION_INVALID, -1 };
}

static int
take_url(struct parser *parser, struct str value)
{
  finish_url(parser);
  parser->url.url = value;
  return value.size > 0 && is_visible(value) ? 0 : -EINVAL;
}

static int
take_compression(struct parser *parser, struct str value)
{
  parser->url.compression = guix_compression_parse(value);
  return 0;
}

static int
take_file_size(struct parser *parser, struct str value)
{
  int r = str_to_i64(value, &parser->url.file_size);
  return r == 0 && parser->url.file_size < 0 ? -EINVAL : r;
}

static const struct
{
  const char *name;
  int (*take)(struct parser *parser, struct str value);
} fields[] = {
  [FIELD_STORE_PATH] = { "StorePath", take_store_path },
  [FIELD_NAR_HASH] = { "NarHash", take_nar_hash },
  [FIELD_NAR_SIZE] = { "NarSize", take_nar_size },
  [FIELD_REFERENCES] = { "References", take_references },
  [FIELD_DERIVER] = { "Deriver", take_deriver },
  [FIELD_SIGNATURE] = { "Signature", take_signature },
  [FIELD_URL] = { "URL", take_url },
  [FIELD_COMPRESSION] = { "Compression", take_compression },
  [FIELD_FILE_SIZE] = { "FileSize", take_file_size },
};

#define SEEN(field) (1u << (field))
#define MUST_BE_THERE \
  (SEEN(FIELD_STORE_PATH) | SEEN(FIELD_NAR_HASH) | SEEN(FIELD_NAR_SIZE) | SEEN(FIELD_REFERENCES))

/* Names and values of the lines; comments are skipped. 1 = a field, 0 = the end
   (an empty line ends a record). A continuation line ("+") would change a value
   that was checked already; nobody writes one, so it is refused with all else
   that is no field. */
static int
next_field(struct str *rest, struct str *ret_name, struct str *ret_value)
{
  struct str line;
  do {
    if (!str_split(rest, '\n', &line) || line.size == 0)
      return 0;
  } while (line.data[0] == '#');
  ptrdiff_t colon = str_find(line, ':');
  if (colon <= 0 || line.data[0] == '+' || str_find(line, '\0') >= 0)
    return -EINVAL;
  *ret_name = str_make(line.data, (size_t) colon);
  *ret_value = str_trim(str_from(line, (size_t) colon + 1));
  return 1;
}

static int
take_field(struct parser *parser, struct str name, struct str value)
{
  size_t field = 0;
  while (field < ARRAY_SIZE(fields) && !str_equal(name, str_of(fields[field].name)))
    field++;
  if (field == ARRAY_SIZE(fields))
    return 0;
  if (field < FIELD_URL && (parser->seen & SEEN(field)) != 0)
    return -EEXIST;
  parser->seen |= SEEN(field);
  return fields[field].take(parser, value);
}

int
guix_narinfo_parse(struct str text, struct arena *arena, struct guix_narinfo *ret,
                   struct error *err)
{
  if (text.size > GUIX_NARINFO_SIZE_MAX)
    return error_set(err, -EINVAL, "a narinfo of more than %u bytes", GUIX_NARINFO_SIZE_MAX);
  struct guix_narinfo info = { 0 };
  struct parser parser = { .arena = arena, .info = &info };
  finish_url(&parser);
  struct str rest = arena_str(arena, text), name, value;
  int more;
  while ((more = next_field(&rest, &name, &value)) > 0) {
    int r = take_field(&parser, name, value);
    if (r == -EEXIST)
      return error_set(err, -EINVAL, "%.*s stands twice in a narinfo", STR_FMT(name));
    if (r < 0)
      return error_set(err, -EINVAL, "bad %.*s in a narinfo: %.*s", STR_FMT(name), STR_FMT(value));
  }
  if (more < 0)
    return error_set(err, -EINVAL, "a line of a narinfo is no field");
  if ((parser.seen & MUST_BE_THERE) != MUST_BE_THERE)
    return error_set(err, -EINVAL, "a narinfo lacks one of its fields");
  finish_url(&parser);
  *ret = info;
  return 0;
}

/* ---- verifying ---- */

/* What Guix signs: all before the first "Signature:", wherever that stands. It
   must hold all that INFO says (the URL lines excepted), or somebody added to it. */
static bool
find_signed_part(struct str text, const struct guix_narinfo *info, struct str *ret)
{
  const char *mark = memmem(text.data, text.size, "Signature:", strlen("Signature:"));
  if (mark == NULL || mark == text.data || mark[-1] != '\n')
    return false;
  *ret = str_make(text.data, (size_t) (mark - text.data));
  CLEANUP_ARENA struct arena arena = { 0 };
  struct guix_narinfo signed_info = { 0 };
  return guix_narinfo_parse(*ret, &arena, &signed_info, NULL) == 0
         && str_equal(signed_info.deriver, info->deriver);
}

/* "1;HOST;BASE64" */
static int
decode_signature(struct str field, struct buf *ret, struct error *err)
{
  struct str version = { 0 }, host = { 0 };
  if (!str_split(&field, ';', &version) || !str_split(&field, ';', &host) || field.data == NULL)
    return error_set(err, -EINVAL, "a Signature that is not of three parts");
  if (!str_equal(version, STR("1")))
    return error_set(err, -EINVAL, "a Signature of unknown version");
  if (base64_decode(field, ret) < 0)
    return error_set(err, -EINVAL, "a Signature that is not base64");
  return 0;
}

int
guix_narinfo_verify(struct str text, const struct guix_acl *acl, struct error *err)
{
  CLEANUP_ARENA struct arena arena = { 0 };
  struct guix_narinfo info = { 0 };
  struct str signed_part;
  int r = guix_narinfo_parse(text, &arena, &info, err);
  if (r < 0)
    return r;
  if (info.signature.size == 0 || !find_signed_part(text, &info, &signed_part))
    return error_set(err, -ENOKEY, "the narinfo is not signed");
  CLEANUP_BUF struct buf signature = { 0 };
  r = decode_signature(info.signature, &signature, err);
  if (r < 0)
    return r;
  struct guix_hash hash = guix_hash_of(signed_part);
  return guix_verify(buf_str(&signature), &hash, acl, err);
}
