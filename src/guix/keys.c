/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys and signatures. Guix signs by ECDSA over the curve of Ed25519 with
   nonces after RFC 6979 (not by EdDSA); RSA keys from before can verify. */
#include "guix/keys.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "guix/acl.h"
#include "guix/key_shape.h"
#include "guix/sexp.h"

#define KEY_SIZE_MAX (16u << 10)       /* bytes of a key's text */
#define SIGNATURE_SIZE_MAX (32u << 10) /* bytes of a signature's text */

struct guix_key
{
  gcry_sexp_t public_part;
  gcry_sexp_t private_part; /* NULL = none */
  struct buf canonical;     /* of the public part */
  enum key_kind kind;
};

struct str
guix_key_canonical(const struct guix_key *key)
{
  return buf_str(&key->canonical);
}

static int
fail_gcrypt(struct error *err, int code, const char *doing, gcry_error_t e)
{
  return error_set(err, code, "cannot %s: %s", doing, gcry_strerror(e));
}

static int
make_data(enum key_kind kind, const struct guix_hash *hash, gcry_sexp_t *ret, struct error *err)
{
  gcry_error_t e = gcry_sexp_build(ret, NULL, "(data (flags %s) (hash sha256 %b))", key_flags(kind),
                                   GUIX_HASH_SIZE, hash->bytes);
  return e == 0 ? 0 : fail_gcrypt(err, -EINVAL, "put a hash into words", e);
}

/* ---- keys ---- */

static struct guix_key *
key_new(gcry_sexp_t public_part, gcry_sexp_t private_part)
{
  struct guix_key *key = mem_alloc(sizeof *key);
  key->public_part = public_part;
  key->private_part = private_part;
  sexp_print_canonical(public_part, &key->canonical);
  key->kind = key_kind_of(buf_str(&key->canonical));
  return key;
}

void
guix_key_free(struct guix_key *key)
{
  if (key == NULL)
    return;
  gcry_sexp_release(key->public_part);
  gcry_sexp_release(key->private_part);
  buf_free(&key->canonical);
  free(key);
}

static void
key_freep(struct guix_key **key)
{
  guix_key_free(*key);
}

int
guix_key_generate(struct guix_key **ret, struct error *err)
{
  struct str wish = STR("(genkey (ecdsa (curve Ed25519) (flags rfc6979)))");
  CLEANUP_SEXP gcry_sexp_t parameters = NULL;
  CLEANUP_SEXP gcry_sexp_t pair = NULL;
  int r = sexp_parse(wish, wish.size, &parameters, err);
  if (r < 0)
    return r;
  gcry_error_t e = gcry_pk_genkey(&pair, parameters);
  if (e != 0)
    return fail_gcrypt(err, -EIO, "make a key", e);
  *ret = key_new(gcry_sexp_find_token(pair, "public-key", 0),
                 gcry_sexp_find_token(pair, "private-key", 0));
  return 0;
}

static bool
has_private_shape(gcry_sexp_t sexp)
{
  CLEANUP_BUF struct buf text = { 0 };
  sexp_print_canonical(sexp, &text);
  bool has_it = key_is_private(buf_str(&text));
  explicit_bzero(text.data, text.size);
  return has_it;
}

/* Signs and verifies something: the parts are sound and belong together. */
static int
check_pair(const struct guix_key *key, struct error *err)
{
  if (key->kind != KEY_KIND_ECDSA || !has_private_shape(key->private_part))
    return error_set(err, -EINVAL, "this is no private key that Guix would use");
  struct guix_hash hash = guix_hash_of(STR("do these keys belong together?"));
  CLEANUP_SEXP gcry_sexp_t data = NULL;
  CLEANUP_SEXP gcry_sexp_t value = NULL;
  int r = make_data(key->kind, &hash, &data, err);
  if (r < 0)
    return r;
  if (gcry_pk_sign(&value, data, key->private_part) != 0
      || gcry_pk_verify(value, data, key->public_part) != 0)
    return error_set(err, -EINVAL, "the private key is broken or not that of the public key");
  return 0;
}

int
guix_key_parse(struct str public_text, struct str private_text, struct guix_key **ret,
               struct error *err)
{
  CLEANUP_SEXP gcry_sexp_t public_part = NULL;
  CLEANUP_SEXP gcry_sexp_t private_part = NULL;
  int r = sexp_parse(public_text, KEY_SIZE_MAX, &public_part, err);
  if (r == 0 && private_text.data != NULL)
    r = sexp_parse(private_text, KEY_SIZE_MAX, &private_part, err);
  if (r < 0)
    return r;
  PN_CLEANUP(key_freep)
  struct guix_key *key = key_new(TAKE_PTR(public_part), TAKE_PTR(private_part));
  if (key->kind == KEY_KIND_INVALID)
    return error_set(err, -EINVAL, "this is no public key that Guix would use");
  r = key->private_part == NULL ? 0 : check_pair(key, err);
  if (r < 0)
    return r;
  *ret = TAKE_PTR(key);
  return 0;
}

void
guix_key_public_text(const struct guix_key *key, struct buf *out)
{
  sexp_print_advanced(key->public_part, out);
}

int
guix_key_private_text(const struct guix_key *key, struct buf *out)
{
  if (key->private_part == NULL)
    return -ENOENT;
  sexp_print_advanced(key->private_part, out);
  return 0;
}

/* ---- signatures ---- */

int
guix_sign(const struct guix_key *key, const struct guix_hash *hash, struct buf *out,
          struct error *err)
{
  if (key->private_part == NULL)
    return error_set(err, -ENOENT, "a public key alone cannot sign");
  CLEANUP_SEXP gcry_sexp_t data = NULL;
  CLEANUP_SEXP gcry_sexp_t value = NULL;
  CLEANUP_SEXP gcry_sexp_t signature = NULL;
  int r = make_data(key->kind, hash, &data, err);
  if (r < 0)
    return r;
  gcry_error_t e = gcry_pk_sign(&value, data, key->private_part);
  if (e == 0)
    e = gcry_sexp_build(&signature, NULL, "(signature %S %S %S)", data, value, key->public_part);
  if (e != 0)
    return fail_gcrypt(err, -EIO, "sign", e);
  sexp_print_advanced(signature, out);
  return 0;
}

/* Parts of a signature, canonical. */
struct signature
{
  struct str flags;
  struct str hash_algorithm;
  struct str hash;
  struct str value;
  struct str public_key;
};

static bool
take_data(struct str *rest, struct signature *ret)
{
  return sexp_open(rest, STR("data")) && sexp_open(rest, STR("flags"))
         && sexp_atom(rest, &ret->flags) && sexp_close(rest) && sexp_open(rest, STR("hash"))
         && sexp_atom(rest, &ret->hash_algorithm) && sexp_atom(rest, &ret->hash) && sexp_close(rest)
         && sexp_close(rest);
}

/* The whole shape is demanded, more than Guix does, so that no part can be
   hidden behind another of its name. */
static bool
take_signature(struct str *rest, struct signature *ret)
{
  return sexp_open(rest, STR("signature")) && take_data(rest, ret) && sexp_any(rest, &ret->value)
         && sexp_any(rest, &ret->public_key) && sexp_close(rest) && rest->size == 0;
}

static bool
is_hash(const struct signature *signature, const struct guix_hash *hash)
{
  return str_equal(signature->hash_algorithm, STR("sha256"))
         && str_equal(signature->hash, str_make(hash->bytes, GUIX_HASH_SIZE));
}

/* The data that is verified is made anew; what the signature calls its data can
   only agree with it. */
static int
check_value(const struct signature *signature, const struct guix_hash *hash, struct error *err)
{
  enum key_kind kind = key_kind_of(signature->public_key);
  if (!key_is_value(kind, signature->value)
      || !str_equal(signature->flags, str_of(key_flags(kind))))
    return error_set(err, -EINVAL, "corrupt signature, or a key of unknown kind");
  CLEANUP_SEXP gcry_sexp_t value = NULL;
  CLEANUP_SEXP gcry_sexp_t key = NULL;
  CLEANUP_SEXP gcry_sexp_t data = NULL;
  int r = sexp_parse(signature->value, SIGNATURE_SIZE_MAX, &value, err);
  if (r == 0)
    r = sexp_parse(signature->public_key, SIGNATURE_SIZE_MAX, &key, err);
  if (r == 0)
    r = make_data(kind, hash, &data, err);
  if (r < 0)
    return r;
  gcry_error_t e = gcry_pk_verify(value, data, key);
  return e == 0 ? 0 : error_set(err, -EPERM, "wrong signature: %s", gcry_strerror(e));
}

int
guix_verify(struct str signature, const struct guix_hash *hash, const struct guix_acl *acl,
            struct error *err)
{
  CLEANUP_SEXP gcry_sexp_t sexp = NULL;
  int r = sexp_parse(signature, SIGNATURE_SIZE_MAX, &sexp, err);
  if (r < 0)
    return r;
  CLEANUP_BUF struct buf canonical = { 0 };
  sexp_print_canonical(sexp, &canonical);
  struct signature parts;
  struct str rest = buf_str(&canonical);
  if (!take_signature(&rest, &parts))
    return error_set(err, -EINVAL, "corrupt signature");
  if (acl != NULL && !acl_contains_canonical(acl, parts.public_key))
    return error_set(err, -EKEYREJECTED, "the signature's key is not authorized");
  if (!is_hash(&parts, hash))
    return error_set(err, -EBADMSG, "the signature is over another hash");
  return check_value(&parts, hash, err);
}
