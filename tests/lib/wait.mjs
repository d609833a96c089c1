// Waiting for something to become true, instead of sleeping and hoping.

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// How many times slower than usual the build is (sanitizers): what a test does on purpose for a while takes as much longer.
export const SLOW = Number(process.env.STREAMD_SLOW ?? 1);

// A limit that only ends a hang is multiplied by this. Passing costs nothing, so it also covers a machine of a third of
// the usual speed whose cores are busy with something else.
export const PATIENCE = 8 * SLOW;

// Calls `probe` until it gives something true, and returns that; an error with `what` in it after `ms`.
export async function until(what, probe, ms = 10_000) {
  const deadline = Date.now() + ms * PATIENCE;
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
    timer = setTimeout(() => reject(new Error(`timed out: ${what}`)), ms * PATIENCE);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
