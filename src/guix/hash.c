/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "guix/hash.h"

#include <errno.h>
#include <gcrypt.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"

struct guix_hasher
{
  gcry_md_hd_t handle;
};

static const char base32_digits[] = "0123456789abcdfghijklmnpqrsvwxyz";

/* A program that has set libgcrypt up itself keeps its own settings. Secure
   memory is not asked for: signing keys lie in plain files anyway, and its
   fixed pool runs out under many threads. */
static void
start_gcrypt(void)
{
  if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P))
    return;
  if (gcry_check_version(GCRYPT_VERSION) == NULL)
    abort();
  gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
  gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
}

void
guix_init(void)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, start_gcrypt);
}

/* SHA-256 is always there; the only failure is want of memory, which ends the
   process here as everywhere (base/mem.h). */
struct guix_hasher *
guix_hasher_new(void)
{
  guix_init();
  struct guix_hasher *hasher = mem_alloc(sizeof *hasher);
  if (gcry_md_open(&hasher->handle, GCRY_MD_SHA256, 0) != 0)
    abort();
  return hasher;
}

void
guix_hasher_update(struct guix_hasher *hasher, const void *data, size_t size)
{
  gcry_md_write(hasher->handle, data, size);
}

/* Reading a digest closes its handle to further data: read that of a copy. */
struct guix_hash
guix_hasher_digest(struct guix_hasher *hasher)
{
  gcry_md_hd_t copy;
  if (gcry_md_copy(&copy, hasher->handle) != 0)
    abort();
  struct guix_hash hash;
  memcpy(hash.bytes, gcry_md_read(copy, GCRY_MD_SHA256), sizeof hash.bytes);
  gcry_md_close(copy);
  return hash;
}

void
guix_hasher_free(struct guix_hasher *hasher)
{
  if (hasher == NULL)
    return;
  gcry_md_close(hasher->handle);
  free(hasher);
}

struct guix_hash
guix_hash_of(struct str data)
{
  guix_init();
  struct guix_hash hash;
  gcry_md_hash_buffer(GCRY_MD_SHA256, hash.bytes, data.data, data.size);
  return hash;
}

static size_t
base32_length(size_t size)
{
  return (8 * size + 4) / 5;
}

/* Digit K holds bits 5K..5K+4 of the bytes read as a little-endian number, and
   the highest digit stands first. */
void
guix_base32_encode(const void *data, size_t size, char *ret_digits)
{
  const unsigned char *bytes = data;
  for (size_t k = base32_length(size); k-- > 0;) {
    size_t byte = 5 * k / 8, shift = 5 * k % 8;
    unsigned window = bytes[byte];
    if (byte + 1 < size)
      window |= (unsigned) bytes[byte + 1] << 8;
    *ret_digits++ = base32_digits[window >> shift & 31];
  }
}

static int
base32_value(char digit)
{
  const char *found = digit == '\0' ? NULL : strchr(base32_digits, digit);
  return found == NULL ? -1 : (int) (found - base32_digits);
}

int
guix_base32_decode(struct str digits, void *ret_data, size_t size)
{
  if (digits.size != base32_length(size))
    return -EINVAL;
  unsigned char *bytes = ret_data;
  unsigned pending = 0, bits = 0; /* low bits not yet stored, and how many */
  for (size_t k = digits.size; k-- > 0;) {
    int value = base32_value(digits.data[k]);
    if (value < 0)
      return -EINVAL;
    pending |= (unsigned) value << bits;
    bits += 5;
    if (bits >= 8) {
      *bytes++ = (unsigned char) pending;
      pending >>= 8;
      bits -= 8;
    }
  }
  return pending == 0 ? 0 : -EINVAL;
}

int
guix_hash_parse(struct str text, struct guix_hash *ret)
{
  if (str_starts(text, STR("sha256:")))
    text = str_from(text, 7);
  struct guix_hash hash;
  int r = text.size == GUIX_HASH_HEX_SIZE ? str_from_hex(text, hash.bytes, sizeof hash.bytes)
                                          : guix_base32_decode(text, hash.bytes, sizeof hash.bytes);
  if (r == 0)
    *ret = hash;
  return r;
}
