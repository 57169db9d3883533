// One origin made of two servers: Lens's files from Zipkin, what Lens asks of its API from the viewer.

import { once } from "node:events";
import { createServer, request } from "node:http";

/**
 * @param {(path: string) => string} originOf the server that a path belongs to
 * @returns {Promise<{origin: string, asked: string[], stop: () => Promise<void>}>} `asked`: each answer, as `200 /path`
 */
export async function startProxy(originOf) {
  /** @type {string[]} */
  const asked = [];
  const server = createServer((incoming, outgoing) => {
    const path = incoming.url ?? "/";
    const origin = new URL(originOf(path));
    const forwarded = request(
      new URL(path, origin),
      { method: incoming.method, headers: { ...incoming.headers, host: origin.host } },
      (answer) => {
        asked.push(`${answer.statusCode} ${path}`);
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      },
    );
    forwarded.on("error", () => outgoing.destroy());
    incoming.pipe(forwarded);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  return {
    origin: `http://127.0.0.1:${port}`,
    asked,
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}
