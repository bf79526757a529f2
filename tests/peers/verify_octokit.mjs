// Asks `@octokit/webhooks-methods` about {"secret", "signature", "body" | "body_base64"}.

import { hub } from "./signatures.mjs";
import { bytes, verdict } from "./wire.mjs";

await verdict((asked) => hub(asked.secret, asked.signature, bytes(asked)));
