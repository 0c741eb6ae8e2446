/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "guix/sexp.h"

#include <errno.h>

#include "guix/hash.h"

void
sexp_freep(gcry_sexp_t *sexp)
{
  gcry_sexp_release(*sexp);
}

int
sexp_parse(struct str text, size_t limit, gcry_sexp_t *ret, struct error *err)
{
  guix_init();
  if (text.size > limit)
    return error_set(err, -EINVAL, "s-expression of more than %zu bytes", limit);
  if (text.size == 0)
    return error_set(err, -EINVAL, "empty s-expression");
  gcry_sexp_t sexp = NULL;
  gcry_error_t e = gcry_sexp_new(&sexp, text.data, text.size, 1);
  if (e != 0 || sexp == NULL)
    return error_set(err, -EINVAL, "bad s-expression: %s", gcry_strerror(e));
  *ret = sexp;
  return 0;
}

static void
print(gcry_sexp_t sexp, int form, struct buf *out)
{
  size_t room = gcry_sexp_sprint(sexp, form, NULL, 0);
  char *text = buf_reserve(out, room);
  size_t size = gcry_sexp_sprint(sexp, form, text, room);
  if (form != GCRYSEXP_FMT_CANON)
    size = strnlen(text, size); /* some versions count the NUL */
  out->size += size;
}

void
sexp_print_canonical(gcry_sexp_t sexp, struct buf *out)
{
  print(sexp, GCRYSEXP_FMT_CANON, out);
}

void
sexp_print_advanced(gcry_sexp_t sexp, struct buf *out)
{
  print(sexp, GCRYSEXP_FMT_ADVANCED, out);
}

static bool
take_char(struct str *rest, char c)
{
  if (rest->size == 0 || rest->data[0] != c)
    return false;
  *rest = str_from(*rest, 1);
  return true;
}

bool
sexp_atom(struct str *rest, struct str *ret)
{
  ptrdiff_t colon = str_find(*rest, ':');
  uint64_t size;
  if (colon < 0 || str_to_u64(str_make(rest->data, (size_t) colon), &size) < 0)
    return false;
  struct str bytes = str_from(*rest, (size_t) colon + 1);
  if (size > bytes.size)
    return false;
  *ret = str_make(bytes.data, (size_t) size);
  *rest = str_from(bytes, (size_t) size);
  return true;
}

bool
sexp_open(struct str *rest, struct str tag)
{
  struct str atom;
  return take_char(rest, '(') && sexp_atom(rest, &atom) && str_equal(atom, tag);
}

bool
sexp_close(struct str *rest)
{
  return take_char(rest, ')');
}

bool
sexp_is_at_close(struct str rest)
{
  return rest.size > 0 && rest.data[0] == ')';
}

bool
sexp_any(struct str *rest, struct str *ret)
{
  const char *start = rest->data;
  struct str atom;
  int depth = 0;
  do {
    if (take_char(rest, '('))
      depth++;
    else if (take_char(rest, ')'))
      depth--;
    else if (!sexp_atom(rest, &atom))
      return false;
    if (depth < 0 || depth > SEXP_DEPTH_MAX)
      return false;
  } while (depth > 0);
  *ret = str_make(start, (size_t) (rest->data - start));
  return true;
}
