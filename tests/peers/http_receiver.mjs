// A webhook receiver that trusts nothing: every request is checked with `standardwebhooks` and with
// `@octokit/webhooks-methods`, and printed as one line of JSON:
// {"method", "path", "headers", "body", "body_base64", "standard": {ok, error?},
//  "hub": {ok, error?}, "status"}.
// Only a request that both accept is answered 200; others get 401, unless a failure is scripted.
//
// --secret S (repeatable: any of them may match)   --fail-first N STATUS   --retry-after TEXT
// --delay MS   --hang (never answers)   --answer TEXT

import { createServer } from "node:http";
import { check } from "./signatures.mjs";
import { say, ready, fatal } from "./wire.mjs";

const options = parse(process.argv.slice(2));
let failuresLeft = options.failFirst.count;

const server = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => receive(request, Buffer.concat(chunks), response).catch(fatal));
});
server.listen(0, "127.0.0.1", () => ready(server.address().port));

async function receive(request, body, response) {
  const { standard, hub } = await check(options.secrets, request.headers, body);
  const status = options.hang ? null : choose(standard.ok && hub.ok);
  say({
    method: request.method,
    path: request.url,
    headers: request.headers,
    body: body.toString("utf8"),
    body_base64: body.toString("base64"),
    standard,
    hub,
    status,
  });
  if (status === null) return;
  if (options.delayMs > 0) await new Promise((done) => setTimeout(done, options.delayMs));
  const headers = { "content-type": "text/plain" };
  if (status >= 400 && options.retryAfter) headers["retry-after"] = options.retryAfter;
  response.writeHead(status, headers).end(options.answer);
}

function choose(verified) {
  if (failuresLeft > 0) {
    failuresLeft -= 1;
    return options.failFirst.status;
  }
  return verified ? 200 : 401;
}

function parse(args) {
  const found = {
    secrets: [],
    failFirst: { count: 0, status: 500 },
    retryAfter: null,
    delayMs: 0,
    hang: false,
    answer: "thank you",
  };
  const next = (option) => args.shift() ?? fatal(new Error(`${option} needs a value`));
  while (args.length > 0) {
    const option = args.shift();
    if (option === "--secret") found.secrets.push(next(option));
    else if (option === "--fail-first")
      found.failFirst = { count: Number(next(option)), status: Number(next(option)) };
    else if (option === "--retry-after") found.retryAfter = next(option);
    else if (option === "--delay") found.delayMs = Number(next(option));
    else if (option === "--hang") found.hang = true;
    else if (option === "--answer") found.answer = next(option);
    else fatal(new Error(`unknown option ${option}`));
  }
  if (found.secrets.length === 0) fatal(new Error("--secret is missing"));
  return found;
}
