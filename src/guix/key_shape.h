/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Private: the shapes of keys and signatures that are given to libgcrypt. It
   crashes on some others (a key without its curve, a shortened point, a modulus
   of zero), so nothing else may reach it. All texts are canonical. */
#pragma once

#include <stdbool.h>

#include "base/str.h"

enum key_kind
{
  KEY_KIND_ECDSA,         /* over the curve of Ed25519: what Guix makes */
  KEY_KIND_RSA,           /* what Guix made until 2014; verifies, does not sign */
  KEY_KIND_INVALID = -22, /* -EINVAL */
};

enum key_kind key_kind_of(struct str public_key);

/* (private-key (ecc (curve Ed25519) (q Q) (d D))) */
bool key_is_private(struct str private_key);

/* The signature value of a key of KIND: (sig-val ...). */
bool key_is_value(enum key_kind kind, struct str value);

/* The flags of the data that a key of KIND signs. */
const char *key_flags(enum key_kind kind);
