/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "guix/key_shape.h"

#include "guix/sexp.h"

/* Bytes. Numbers may have a zero in front, which keeps them positive. */
#define POINT_SIZE 32
#define SCALAR_SIZE_MAX 33
#define MODULUS_SIZE_MIN 64   /* 512 bits */
#define MODULUS_SIZE_MAX 1025 /* 8192 bits */
#define EXPONENT_SIZE_MAX 8

/* "(NAME BYTES)" with SMALLEST to LARGEST bytes. */
static bool
take_number(struct str *rest, const char *name, size_t smallest, size_t largest, struct str *ret)
{
  return sexp_open(rest, str_of(name)) && sexp_atom(rest, ret) && ret->size >= smallest
         && ret->size <= largest && sexp_close(rest);
}

static bool
take_curve_and_point(struct str *rest)
{
  struct str curve, point;
  return sexp_open(rest, STR("ecc")) && sexp_open(rest, STR("curve")) && sexp_atom(rest, &curve)
         && str_equal(curve, STR("Ed25519")) && sexp_close(rest)
         && take_number(rest, "q", POINT_SIZE, POINT_SIZE, &point);
}

/* Closes COUNT lists, the last of which must end the text. */
static bool
take_end(struct str *rest, int count)
{
  while (count-- > 0)
    if (!sexp_close(rest))
      return false;
  return rest->size == 0;
}

static bool
is_ecdsa_key(struct str key)
{
  return sexp_open(&key, STR("public-key")) && take_curve_and_point(&key) && take_end(&key, 2);
}

/* Odd and not tiny: what modular arithmetic cannot do without. */
static bool
is_odd(struct str number)
{
  return (number.data[number.size - 1] & 1) != 0;
}

static bool
is_modulus(struct str number)
{
  return is_odd(number) && (number.data[0] != 0 || number.data[1] != 0);
}

static bool
is_rsa_key(struct str key)
{
  struct str modulus, exponent;
  return sexp_open(&key, STR("public-key")) && sexp_open(&key, STR("rsa"))
         && take_number(&key, "n", MODULUS_SIZE_MIN, MODULUS_SIZE_MAX, &modulus)
         && take_number(&key, "e", 1, EXPONENT_SIZE_MAX, &exponent) && take_end(&key, 2)
         && is_modulus(modulus) && is_odd(exponent);
}

enum key_kind
key_kind_of(struct str public_key)
{
  if (is_ecdsa_key(public_key))
    return KEY_KIND_ECDSA;
  return is_rsa_key(public_key) ? KEY_KIND_RSA : KEY_KIND_INVALID;
}

bool
key_is_private(struct str private_key)
{
  struct str scalar;
  return sexp_open(&private_key, STR("private-key")) && take_curve_and_point(&private_key)
         && take_number(&private_key, "d", 1, SCALAR_SIZE_MAX, &scalar)
         && take_end(&private_key, 2);
}

static bool
is_ecdsa_value(struct str value)
{
  struct str number;
  return sexp_open(&value, STR("sig-val")) && sexp_open(&value, STR("ecdsa"))
         && take_number(&value, "r", 1, SCALAR_SIZE_MAX, &number)
         && take_number(&value, "s", 1, SCALAR_SIZE_MAX, &number) && take_end(&value, 2);
}

static bool
is_rsa_value(struct str value)
{
  struct str number;
  return sexp_open(&value, STR("sig-val")) && sexp_open(&value, STR("rsa"))
         && take_number(&value, "s", 1, MODULUS_SIZE_MAX, &number) && take_end(&value, 2);
}

bool
key_is_value(enum key_kind kind, struct str value)
{
  switch (kind) {
  case KEY_KIND_ECDSA:
    return is_ecdsa_value(value);
  case KEY_KIND_RSA:
    return is_rsa_value(value);
  case KEY_KIND_INVALID:
    return false;
  }
  return false;
}

const char *
key_flags(enum key_kind kind)
{
  return kind == KEY_KIND_RSA ? "pkcs1" : "rfc6979";
}
