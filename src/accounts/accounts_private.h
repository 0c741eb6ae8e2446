/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside the accounts room: token.c knows tokens, guard.c asks for them. */
#pragma once

#include "accounts/accounts.h"

enum role
{
  ROLE_NONE, /* no living token */
  ROLE_ADMIN,
  ROLE_JOIN,
  ROLE_AGENT,
  ROLE_MAX,
};

#define TOKEN_DIGEST_SIZE 32

/* ROLE_NONE for an unknown name. */
enum role accounts_role_of(struct str name);

/* SHA-256 of a token's text; false when TEXT cannot be a token by its form. */
bool accounts_token_digest(struct str text, unsigned char ret[TOKEN_DIGEST_SIZE]);

/* The role and id of a living token, or ROLE_NONE. */
int accounts_token_look_up(struct db *db, const unsigned char digest[TOKEN_DIGEST_SIZE],
                           enum role *ret_role, int64_t *ret_id, struct error *err);
