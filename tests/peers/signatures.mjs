// The two signatures of a webhook, each judged by a library that we did not write.

import { verify } from "@octokit/webhooks-methods";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

/** Both judgements; `headers` has lower-case names. Any of `secrets` may match. */
export async function check(secrets, headers, body) {
  return {
    standard: anyOf(secrets.map((secret) => standard(secret, headers, body))),
    hub: anyOf(
      await Promise.all(secrets.map((secret) => hub(secret, headers["x-webhook-signature"], body))),
    ),
  };
}

/** Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature`. */
export function standard(secret, headers, body) {
  try {
    new Webhook(secret).verify(body, headers, { jsonParse: false });
    return { ok: true };
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    return { ok: false, error: error.message };
  }
}

/** `sha256=<hex>` over the raw body, as GitHub does it, with the secret's text as key. */
export async function hub(secret, signature, body) {
  if (!signature) return { ok: false, error: "no signature" };
  // The library takes text only; bytes that are not UTF-8 would be changed on the way.
  const text = body.toString("utf8");
  if (!Buffer.from(text, "utf8").equals(body)) return { ok: false, error: "body is not UTF-8" };
  if (text === "") return { ok: false, error: "empty body" };
  const ok = await verify(secret, text, signature);
  return ok ? { ok } : { ok, error: "signature does not match" };
}

const anyOf = (results) => results.find((result) => result.ok) ?? results[0];
