// One scriptable model server on a free loopback port; says its address on a line of JSON, ends when stdin does.
import { LLMock } from "@copilotkit/aimock";

const server = new LLMock({ port: 0, host: "127.0.0.1", strict: true, logLevel: "silent" });
let open = 0;
let asked = [];

async function bodyOf(request) {
  let text = "";
  for await (const part of request) text += part;
  return JSON.parse(text);
}

// Our own control: turns are taken as they are, also those that no real model would say, such as broken arguments.
server.mount("/__script", {
  async handleRequest(request, response, path) {
    const reply = (document) => {
      response.writeHead(200, { "Content-Type": "application/json" });
      response.end(JSON.stringify(document));
      return true;
    };
    if (path.endsWith("/open")) return reply({ open });
    if (path.endsWith("/asked")) return reply(asked);
    const { fixtures, keep } = await bodyOf(request);
    if (!keep) {
      server.reset();
      asked = [];
    }
    server.addFixtures(fixtures);
    return reply({ added: fixtures.length });
  },
});

await server.start();
// What was asked is kept as it came: aimock's own journal has it in one form for all wires, and without keys.
server.serverInstance.server.prependListener("request", (request, response) => {
  if (request.method !== "POST" || request.url.startsWith("/__")) return;
  open += 1;
  response.once("close", () => {
    open -= 1;
  });
  const entry = { path: request.url, headers: request.headers, body: null };
  const parts = [];
  const push = request.push;
  asked.push(entry);
  request.push = (part, encoding) => {
    if (part === null) entry.body = JSON.parse(Buffer.concat(parts).toString() || "null");
    else parts.push(Buffer.from(part));
    return push.call(request, part, encoding);
  };
});
process.stdout.write(`${JSON.stringify({ url: server.url })}\n`);
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
