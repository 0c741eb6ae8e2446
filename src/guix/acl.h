/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Private: what keys and access-control lists ask of each other. */
#pragma once

#include "guix/keys.h"

/* KEY: a public key's s-expression in canonical form. */
bool acl_contains_canonical(const struct guix_acl *acl, struct str key);

/* The canonical public part; lives as long as the key. */
struct str guix_key_canonical(const struct guix_key *key);
