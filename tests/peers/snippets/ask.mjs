// Asks docs/snippets/verify.mjs, whose path is the first argument. The protocol is in ask.py.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const NAMES = ["webhook-id", "webhook-timestamp", "webhook-signature"];
const { verify, verifyBody } = await import(pathToFileURL(process.argv[2]));

for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  const [secret, ...fields] = line.split("\t");
  const body = Buffer.from(fields.pop(), "base64");
  const bodySignature = fields.pop();
  const present = NAMES.map((name, at) => [name, fields[at]]).filter(([, value]) => value);
  const headers = Object.fromEntries(present);
  console.log(verify(secret, headers, body), verifyBody(secret, bodySignature, body));
}
