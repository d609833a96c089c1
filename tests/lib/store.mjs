// Where the segments of a test's server go: STREAMD_STORE=s3 brings up a real S3 server for them, otherwise a directory.

import { Swift } from "./swift.mjs";

export const STORE = process.env.STREAMD_STORE ?? "directory";
const BUCKET = "streamd";

// { settings, environment, backups, list(), close() }; backups: it takes them; list: the names of all segments that are kept.
export async function openStore() {
  if (STORE !== "s3")
    return {
      settings: {},
      environment: {},
      backups: false,
      list: async (server) => Object.keys(server.files()).filter((name) => name.endsWith(".seg")),
      close: () => {},
    };
  const swift = await Swift.start();
  const made = await swift.request("PUT", `/${BUCKET}`);
  if (made.status !== 200) throw new Error(`no bucket: ${made.status}`);
  return {
    settings: {
      "segment.store": "s3",
      "s3.endpoint": swift.url,
      "s3.region": Swift.REGION,
      "s3.bucket": BUCKET,
      "segment.cache_bytes": "1M",
      "backup.interval": "0s",
    },
    backups: true,
    environment: { AWS_ACCESS_KEY_ID: Swift.ACCESS_KEY, AWS_SECRET_ACCESS_KEY: Swift.SECRET_KEY },
    list: async () => (await swift.list(BUCKET)).filter((name) => name.endsWith(".seg")),
    close: () => swift.close(),
  };
}
