// Starts the reference server: node node_server.mjs PACKAGE_FOLDER [DATA_FOLDER]; without a folder it keeps everything in
// memory. Prints "ready: URL".

import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [packageFolder, dataDir] = process.argv.slice(2);
const { DurableStreamTestServer } = await import(pathToFileURL(join(packageFolder, "dist/index.js")));
const server = new DurableStreamTestServer({ port: 0, host: "127.0.0.1", dataDir, compression: false });
console.log(`ready: ${await server.start()}`);
