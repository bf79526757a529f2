// Asks the npm package `standardwebhooks` about {"secret", "headers", "body" | "body_base64"}.

import { standard } from "./signatures.mjs";
import { bytes, verdict } from "./wire.mjs";

await verdict((asked) => {
  const headers = Object.fromEntries(
    Object.entries(asked.headers).map(([name, value]) => [name.toLowerCase(), value]),
  );
  return standard(asked.secret, headers, bytes(asked));
});
