// Waiting for something to become true, instead of sleeping and hoping.

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Builds with sanitizers, and valgrind, are several times slower: every limit in the tests is multiplied by this.
export const SLOW = Number(process.env.STREAMD_SLOW ?? 1);

// Calls `probe` until it gives something true, and returns that; an error with `what` in it after `ms`.
export async function until(what, probe, ms = 10_000) {
  const deadline = Date.now() + ms * SLOW;
  for (;;) {
    const result = await probe();
    if (result) return result;
    if (Date.now() > deadline) throw new Error(`timed out waiting for ${what}`);
    await sleep(10);
  }
}

// `promise`, or an error with `what` in it after `ms`.
export async function within(what, promise, ms = 10_000) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`timed out: ${what}`)), ms * SLOW);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
