// SPDX-License-Identifier: GPL-3.0-or-later
// How long a connection is waited for, and when one that broke is made again.

const RETRY_MS = [1000, 2000, 5000, 15000];

export class Silence extends Error {}

// The pause after one more failure; FAILURES: of before, in a row.
export const retryAfter = (failures) => RETRY_MS[Math.min(failures, RETRY_MS.length - 1)];

// What PROMISE gives, unless it takes longer: a dead connection looks like a quiet one.
export function within(milliseconds, promise) {
  let timer = 0;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Silence("the server is silent")), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
