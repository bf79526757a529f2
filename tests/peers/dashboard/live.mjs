// The list of events follows what happens, can be paused, and is saved as it is filtered.
//
// Arguments: the browser, the address of the router, an admin's key.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { Browser } from "./browser.mjs";

const [executable, base, key] = process.argv.slice(2);
const browser = await Browser.start(executable, base);
const page = await browser.open();
const main = page.getByRole("main");

async function send(id) {
  const answer = await fetch(`${base}/v1/events`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ id, type: "live.tail", data: { formula: "=1+1" } }),
  });
  assert.equal(answer.status, 202);
}

async function saved(name) {
  const [download] = await Promise.all([page.waitForEvent("download"), main.getByRole("link", { name, exact: true }).click()]);
  return [download.suggestedFilename(), readFileSync(await download.path(), "utf8")];
}

try {
  await browser.signIn(page, key);
  await page.goto(`${base}/ui/t/acme/events?type=live.tail`);
  await send("evt_live_0");
  await page.reload();
  await main.getByRole("button", { name: "Follow live" }).click();
  await send("evt_live_1");
  await main.getByRole("link", { name: "evt_live_1" }).waitFor();
  await main.getByRole("button", { name: "Pause" }).click();
  await send("evt_live_2");
  await page.waitForTimeout(2500);
  assert.equal(await main.getByRole("link", { name: "evt_live_2" }).count(), 0, "paused");
  await main.getByRole("button", { name: "Follow live" }).click();
  await main.getByRole("link", { name: "evt_live_2" }).waitFor();
  assert.equal(await main.getByRole("link", { name: "evt_dead" }).count(), 0, "the filter holds");
  await main.getByRole("button", { name: "Pause" }).click();

  const [csvName, csv] = await saved("CSV");
  assert.equal(csvName, "events-acme.csv");
  const lines = csv.trim().split("\r\n");
  assert.equal(lines.length, 4);
  assert.match(lines[0], /^id,type,created,/);
  assert.match(lines[1], /^evt_live_2,live\.tail,/);
  const [, ndjson] = await saved("NDJSON");
  const events = ndjson.trim().split("\n").map((line) => JSON.parse(line).id);
  assert.deepEqual(events, ["evt_live_2", "evt_live_1", "evt_live_0"]);
} finally {
  await browser.close();
}
console.log(JSON.stringify({ ok: true }));
