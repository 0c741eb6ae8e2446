/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys, access-control lists and signatures. */
#include "guix/keys.h"

#include "guix/fuzz/fuzz.h"

static void
try_public_key(struct str text)
{
  struct guix_key *key = NULL, *again = NULL;
  if (guix_key_parse(text, (struct str) { NULL, 0 }, &key, NULL) < 0)
    return;
  CLEANUP_BUF struct buf out = { 0 };
  guix_key_public_text(key, &out);
  MUST(guix_key_parse(buf_str(&out), (struct str) { NULL, 0 }, &again, NULL) == 0);
  guix_key_free(key);
  guix_key_free(again);
}

static void
try_private_key(struct str text)
{
  struct guix_key *key = NULL;
  struct str public_text =
      STR("(public-key (ecc (curve Ed25519) (q "
          "#FBF0B0F23D69B86B03882F41621342133E3CE48DA37D1F4177CE0773886F5BF6#)))");
  if (guix_key_parse(public_text, text, &key, NULL) == 0)
    guix_key_free(key);
}

static void
try_acl(struct str text)
{
  struct guix_acl *acl = NULL;
  if (guix_acl_parse(text, &acl, NULL) == 0)
    guix_acl_free(acl);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct str text = str_make(data, size);
  struct guix_hash hash = { 0 };
  switch (fuzz_choose(&text) % 4) {
  case 0:
    try_public_key(text);
    break;
  case 1:
    try_private_key(text);
    break;
  case 2:
    try_acl(text);
    break;
  case 3:
    guix_verify(text, &hash, NULL, NULL);
    break;
  }
  return 0;
}
