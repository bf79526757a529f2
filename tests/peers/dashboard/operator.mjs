// The operator's story and the support staff's search.
//
// Arguments: the browser, the address of the router, an operator's key, and `true` or `false` for
// JavaScript.

import assert from "node:assert/strict";

import { Browser, inspect } from "./browser.mjs";

const [executable, base, key, script] = process.argv.slice(2);
const browser = await Browser.start(executable, base);
const page = await browser.open({ javaScriptEnabled: script === "true" });
const main = page.getByRole("main");
const press = (name) => main.getByRole("button", { name, exact: true }).click();
const go = (name) => page.getByRole("navigation", { name: "Main" }).getByRole("link", { name, exact: true }).click();
const says = (text) => main.getByText(text).first().waitFor();

try {
  await browser.signIn(page, key);
  assert.equal(page.url(), `${base}/ui/tenants`);

  // A tenant is created; a wrong id is named and kept.
  await main.getByText("Create a tenant").click();
  await main.getByLabel("Id").fill("Not an id");
  await press("Create");
  await says("Not saved.");
  assert.equal(await main.getByLabel("Id").inputValue(), "Not an id");
  await main.getByLabel("Id").fill(`globex-${script}`);
  await main.getByLabel("Name").fill("Globex");
  await press("Create");
  await says("The tenant is created.");
  await says("There are no destinations yet.");

  // Support looks up an event by its id, and reads what happened.
  const search = page.getByRole("searchbox", { name: /^Find/ });
  await go("Tenants");
  await search.fill("evt_dead");
  await search.press("Enter");
  await says("Session processed");
  assert.equal(page.url(), `${base}/ui/t/acme/events/evt_dead`);
  await says("The tenant's server answered 500");
  await go("Tenants");
  await search.fill("globex");
  await search.press("Enter");
  await says("Globex");
  await go("Tenants");
  await search.fill("evt_nowhere");
  await search.press("Enter");
  await says("Nothing found");

  // A key is created with a role, shown once, and revoked after a question.
  await page.goto(`${base}/ui/t/acme/keys`);
  if (!(await main.getByLabel("Label").isVisible())) await main.getByText("Create a key").click();
  await main.getByLabel("Label").fill(`shop ${script}`);
  await main.getByLabel("Role").selectOption("publisher");
  await press("Create");
  await says("The key is created.");
  assert.match(await main.locator(".secret code").textContent(), /^sk_live_/);
  const row = main.getByRole("row", { name: `shop ${script}` });
  await row.getByRole("button", { name: /^Revoke/ }).click();
  await says("Revoke the key");
  await press("Revoke it");
  await says("The key is revoked.");
  assert.equal(await row.count(), 0);

  // The server says in words whether it is well, and which settings are in force.
  await go("Tenants");
  await go("Server");
  await says("The store answers.");
  await go("Settings");
  await says("ingest");
  assert.equal(await main.getByText("a-key-that-closes-the-rest").count(), 0, "secrets are left out");
  await go("Event types");
  await go("Rejected entries");
  await says("Nothing was rejected");

  for (const path of ["tenants", "server", "settings", "types", "rejected", "search?q=acme%20", "search?q=x"]) {
    await page.goto(`${base}/ui/${path}`);
    if (script === "true") await inspect(page, path);
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify({ ok: true }));
