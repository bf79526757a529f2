// What every Node peer says on standard output: one JSON object a line. See wire.py.

import { readFileSync } from "node:fs";

/** Prints one line. */
export const say = (thing) => process.stdout.write(JSON.stringify(thing) + "\n");

/** The first line: the port that is listened on. */
export const ready = (port) => say({ ready: port });

/** Ends the peer: its own fault, not a verdict. */
export function fatal(error) {
  console.error(error);
  process.exit(2);
}

/**
 * Runs `judge` on each question of the JSON list on standard input, and prints the answers, each
 * `{ok, error?}`. What `judge` throws is its own fault, and leaves no answers.
 */
export async function verdict(judge) {
  try {
    say(await Promise.all(JSON.parse(readFileSync(0, "utf8")).map(judge)));
  } catch (error) {
    fatal(error);
  }
}

/** The bytes that a question carries as `body` (text) or `body_base64`. */
export function bytes(asked) {
  if (typeof asked.body === "string") return Buffer.from(asked.body, "utf8");
  return Buffer.from(asked.body_base64, "base64");
}
