import { createHmac, timingSafeEqual } from "node:crypto";

const TOLERANCE_S = 300;

/** Is this request from Fanfare? `headers` is Node's `request.headers`, `body` is a Buffer. */
export function verify(secret, headers, body) {
  const id = headers["webhook-id"];
  const timestamp = headers["webhook-timestamp"];
  const signatures = headers["webhook-signature"];
  if (!id || !timestamp || !signatures) return false;
  // Written so that a timestamp that is not a number is refused.
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= TOLERANCE_S)) return false;
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const mac = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body);
  const expected = "v1," + mac.digest("base64");
  // There are several signatures while a secret is being replaced.
  return signatures.split(" ").some((given) => equal(given, expected));
}

/** The same for `X-Webhook-Signature`, which does not protect against replays. */
export function verifyBody(secret, header, body) {
  const expected = "sha256=" + createHmac("sha256", secret).update(body).digest("hex");
  return (header ?? "").split(",").some((given) => equal(given.trim(), expected));
}

function equal(given, expected) {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
