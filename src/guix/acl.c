/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The access-control list of archive imports, /etc/guix/acl. Strict as Guix is:
   one entry of another shape makes the whole file an error. */
#include "guix/acl.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/mem.h"
#include "guix/sexp.h"

#define ACL_SIZE_MAX (1u << 20) /* bytes */

struct guix_acl
{
  struct arena arena;
  struct str *keys; /* canonical */
  size_t count;
  size_t capacity;
};

void
guix_acl_free(struct guix_acl *acl)
{
  if (acl == NULL)
    return;
  arena_free(&acl->arena);
  free(acl->keys);
  free(acl);
}

static void
acl_freep(struct guix_acl **acl)
{
  guix_acl_free(*acl);
}

static void
add_key(struct guix_acl *acl, struct str key)
{
  mem_grow(&acl->keys, &acl->capacity, acl->count + 1, sizeof acl->keys[0]);
  acl->keys[acl->count++] = arena_str(&acl->arena, key);
}

static bool
take_entry(struct str *rest, struct str *ret_key)
{
  struct str right;
  return sexp_open(rest, STR("entry")) && sexp_any(rest, ret_key) && sexp_open(rest, STR("tag"))
         && sexp_open(rest, STR("guix")) && sexp_atom(rest, &right)
         && str_equal(right, STR("import")) && sexp_close(rest) && sexp_close(rest)
         && sexp_close(rest);
}

static bool
take_acl(struct str *rest, struct guix_acl *acl)
{
  if (!sexp_open(rest, STR("acl")))
    return false;
  while (!sexp_is_at_close(*rest)) {
    struct str key;
    if (!take_entry(rest, &key))
      return false;
    add_key(acl, key);
  }
  return sexp_close(rest) && rest->size == 0;
}

int
guix_acl_parse(struct str text, struct guix_acl **ret, struct error *err)
{
  CLEANUP_SEXP gcry_sexp_t sexp = NULL;
  int r = sexp_parse(text, ACL_SIZE_MAX, &sexp, err);
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf canonical = { 0 };
  sexp_print_canonical(sexp, &canonical);
  PN_CLEANUP(acl_freep) struct guix_acl *acl = mem_alloc(sizeof *acl);
  struct str rest = buf_str(&canonical);
  if (!take_acl(&rest, acl))
    return error_set(err, -EINVAL, "this is no access-control list of Guix");
  *ret = TAKE_PTR(acl);
  return 0;
}

bool
acl_contains_canonical(const struct guix_acl *acl, struct str key)
{
  for (size_t i = 0; i < acl->count; i++)
    if (str_equal(acl->keys[i], key))
      return true;
  return false;
}

bool
guix_acl_contains(const struct guix_acl *acl, const struct guix_key *key)
{
  return acl_contains_canonical(acl, guix_key_canonical(key));
}

static int
acl_print(const struct guix_acl *acl, struct buf *out, struct error *err)
{
  CLEANUP_BUF struct buf canonical = { 0 };
  buf_append_text(&canonical, "(3:acl");
  for (size_t i = 0; i < acl->count; i++) {
    buf_append_text(&canonical, "(5:entry");
    buf_append_str(&canonical, acl->keys[i]);
    buf_append_text(&canonical, "(3:tag(4:guix6:import)))");
  }
  buf_append_char(&canonical, ')');
  CLEANUP_SEXP gcry_sexp_t sexp = NULL;
  int r = sexp_parse(buf_str(&canonical), 2 * ACL_SIZE_MAX, &sexp, err);
  if (r == 0)
    sexp_print_advanced(sexp, out);
  return r;
}

/* Guix makes the file with the machine's own key in it, when it is missing; one that
   we make must not take that away. */
static int
acl_new(const char *path, struct guix_acl **ret, struct error *err)
{
  CLEANUP_FREE char *copy = mem_strdup(path);
  CLEANUP_FREE char *own = mem_printf("%s/signing-key.pub", dirname(copy));
  CLEANUP_BUF struct buf text = { 0 };
  struct guix_key *key = NULL;
  int r = file_exists(own) ? file_read_all(own, ACL_SIZE_MAX, &text, err) : 0;
  if (r == 0 && text.size > 0)
    r = guix_key_parse(buf_str(&text), str_of(NULL), &key, err);
  if (r < 0)
    return error_prefix(err, "%s", own);
  struct guix_acl *acl = mem_alloc(sizeof *acl);
  if (key != NULL)
    add_key(acl, guix_key_canonical(key));
  guix_key_free(key);
  *ret = acl;
  return 0;
}

static int
acl_load(const char *path, struct guix_acl **ret, struct error *err)
{
  if (!file_exists(path))
    return acl_new(path, ret, err);
  CLEANUP_BUF struct buf text = { 0 };
  int r = file_read_all(path, ACL_SIZE_MAX, &text, err);
  if (r < 0)
    return r;
  r = guix_acl_parse(buf_str(&text), ret, err);
  if (r < 0)
    error_prefix(err, "%s", path);
  return r;
}

int
guix_acl_authorize(const char *path, const struct guix_key *key, struct error *err)
{
  PN_CLEANUP(acl_freep) struct guix_acl *acl = NULL;
  int r = acl_load(path, &acl, err);
  if (acl == NULL)
    return r;
  if (file_exists(path) && guix_acl_contains(acl, key))
    return 0;
  if (!guix_acl_contains(acl, key))
    add_key(acl, guix_key_canonical(key));
  CLEANUP_BUF struct buf text = { 0 };
  CLEANUP_FREE char *copy = mem_strdup(path);
  r = acl_print(acl, &text, err);
  if (r == 0)
    r = file_make_dirs(dirname(copy), 0755, err);
  if (r == 0)
    r = file_write_atomic(path, buf_str(&text), 0644, err);
  return r < 0 ? r : 1;
}
