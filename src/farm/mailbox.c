/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "farm/mailbox.h"

#include <sys/eventfd.h>
#include <unistd.h>

void
mailbox_init(struct mailbox *mailbox)
{
  *mailbox = (struct mailbox) { .wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
  mailbox->last = &mailbox->first;
  pthread_mutex_init(&mailbox->lock, NULL);
}

void
mailbox_free(struct mailbox *mailbox)
{
  pthread_mutex_destroy(&mailbox->lock);
  close(mailbox->wake);
}

void
mailbox_wake(struct mailbox *mailbox)
{
  uint64_t one = 1;
  /* It can fail only when the counter is full: then it is readable already. */
  ssize_t written = write(mailbox->wake, &one, sizeof one);
  (void) written;
}

void
mailbox_calm(struct mailbox *mailbox)
{
  uint64_t count;
  ssize_t got = read(mailbox->wake, &count, sizeof count);
  (void) got; /* nothing to read: woken by something else */
}

bool
mailbox_put(struct mailbox *mailbox, struct message *message)
{
  pthread_mutex_lock(&mailbox->lock);
  bool open = mailbox->open;
  if (open) {
    message->next = NULL;
    *mailbox->last = message;
    mailbox->last = &message->next;
  }
  pthread_mutex_unlock(&mailbox->lock);
  if (open)
    mailbox_wake(mailbox);
  return open;
}

static struct message *
set_open(struct mailbox *mailbox, bool open)
{
  pthread_mutex_lock(&mailbox->lock);
  struct message *first = mailbox->first;
  mailbox->first = NULL;
  mailbox->last = &mailbox->first;
  mailbox->open = open;
  pthread_mutex_unlock(&mailbox->lock);
  return first;
}

void
mailbox_open(struct mailbox *mailbox)
{
  set_open(mailbox, true); /* nothing can be in a closed one */
}

struct message *
mailbox_take(struct mailbox *mailbox)
{
  mailbox_calm(mailbox);
  return set_open(mailbox, true);
}

struct message *
mailbox_close(struct mailbox *mailbox)
{
  return set_open(mailbox, false);
}
