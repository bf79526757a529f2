// The tenant's story: a link, a destination, its events, a failed delivery and why, and its repair.
//
// Arguments: the browser, the address of the router, an admin's key, a portal link's key, the address
// of a receiver that accepts, and `true` or `false` for JavaScript.

import assert from "node:assert/strict";

import { Browser } from "./browser.mjs";

const [executable, base, link, accepts, script] = process.argv.slice(2);
const browser = await Browser.start(executable, base);
const page = await browser.open({ javaScriptEnabled: script === "true" });
const main = page.getByRole("main");
const press = (name) => main.getByRole("button", { name, exact: true }).click();
const go = (name) => page.getByRole("navigation", { name: "Main" }).getByRole("link", { name, exact: true }).click();
const says = (text) => main.getByText(text).first().waitFor();

try {
  // A portal link signs in, leaves the address, and does not work twice.
  await page.goto(`${base}/ui/sign-in?key=${link}`);
  assert.equal(page.url(), `${base}/ui/t/acme/overview`);
  assert.equal(await page.locator("h1").textContent(), "Acme Bank");
  const cookies = await page.context().cookies();
  const session = cookies.find((cookie) => cookie.name === "fanfare_session");
  assert.ok(session.httpOnly && !session.value.includes(link), "the cookie hides the key");
  const again = await browser.open({ javaScriptEnabled: script === "true" });
  await again.goto(`${base}/ui/sign-in?key=${link}`);
  await again.getByText("This link has ended").waitFor();
  await again.context().close();

  // A new webhook. What is wrong is said beside the field, and what was typed stays.
  await go("Destinations");
  await main.getByRole("link", { name: "Add a destination" }).click();
  await main.getByRole("link", { name: "Webhook" }).click();
  await main.getByLabel("Name").fill("crm");
  await main.getByLabel("URL").fill("nonsense");
  await main.getByLabel("Additional headers").fill("x-team: sales");
  await press("Create");
  await says("Not saved.");
  assert.equal(await main.getByLabel("URL").inputValue(), "nonsense");
  assert.equal(await main.getByLabel("Additional headers").inputValue(), "x-team: sales");
  await main.getByLabel("URL").fill(`${accepts}/crm`);
  await press("Create");
  await says("crm is created");
  const secret = await main.locator(".secret code").textContent();
  assert.match(secret, /^whsec_/);
  await page.reload();
  assert.equal(await main.locator(".secret").count(), 0, "a secret is shown once");
  await press("Send a test");
  await says("crm accepted a test event");

  // Its secret is rotated, and its rate changed.
  await press("Rotate the secret");
  assert.notEqual(await main.locator(".secret code").textContent(), secret);
  await main.getByRole("link", { name: "Edit" }).click();
  await main.getByText("Limits, retries and schedule").click();
  await main.getByLabel("Rate").fill("5/s");
  await press("Save");
  await says("crm is saved");
  await says("5/s");

  // A click in the matrix is saved, says so, and can be undone.
  await go("Preferences");
  const cell = page.getByRole("button", { name: "kyc.session.processed to crm", exact: true });
  assert.equal(await cell.getAttribute("aria-pressed"), "false");
  await cell.click();
  await says("kyc.session.processed now goes to crm.");
  assert.equal(await cell.getAttribute("aria-pressed"), "true");
  await press("Undo");
  await says("kyc.session.processed no longer goes to crm.");
  assert.equal(await cell.getAttribute("aria-pressed"), "false");
  // A filtered cell says what the filter is, and leads to its route.
  await main.getByRole("link", { name: "risk = high" }).click();

  // The route is tried on what was received, changed and saved.
  await says("Only if");
  await press("Try it on the last 1,000 events");
  await says("Would match 0 of the last");
  const value = main.getByLabel("Value of condition 1");
  assert.equal(await value.inputValue(), "high");
  await value.fill("low");
  await press("Try it on the last 1,000 events");
  await says(/Would match [1-9]\d* of the last/);
  await press("Save");
  await says("The route is saved.");

  // The event says why, what the receiver answered, and keeps the producer's bytes.
  await go("Events");
  await main.getByLabel("State").selectOption("dead");
  await press("Filter");
  assert.match(page.url(), /state=dead/);
  await main.getByRole("link", { name: "evt_dead", exact: true }).click();
  await says("The tenant's server answered 500");
  const payload = await page.locator(".json").textContent();
  assert.ok(payload.includes("12345678901234567890123"), "numbers are the producer's");
  assert.ok(payload.includes("<script>alert(1)</script>"), "text is text");
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    main.getByRole("link", { name: "Exact bytes" }).click(),
  ]);
  assert.equal(await download.failure(), null);

  // The receiver is repaired, and what was given up is counted and sent again.
  await go("Destinations");
  await main.getByRole("link", { name: "down", exact: true }).click();
  await main.getByRole("link", { name: "Edit" }).click();
  await main.getByLabel("URL").fill(`${accepts}/repaired`);
  await press("Save");
  await says("down is saved");
  await go("Dead letters");
  await main.getByRole("link", { name: "Send all of these again" }).click();
  await says("Send 1 delivery again?");
  await press("Send them again");
  await says("1 delivery is queued to be sent again.");
  await page.goto(`${base}/ui/t/acme/events/evt_dead`);
  for (let tries = 0; !(await main.getByText("Delivered to 2 of 2 destinations.").count()); tries++) {
    assert.ok(tries < 100, "it is delivered after all");
    await new Promise((wake) => setTimeout(wake, 200));
    await page.reload();
  }
  await says("The tenant's server answered 500, then accepted it");

  // A destination is paused, resumed, and deleted after a question.
  await page.goto(`${base}/ui/t/acme/destinations/crm`);
  await press("Pause");
  await says("crm is paused");
  await press("Resume");
  await says("crm is resumed");
  await press("Delete");
  await says("Delete the destination crm?");
  await press("Delete it");
  await says("The destination crm is deleted.");

  // Who did it is in the audit trail.
  await go("Audit trail");
  await says("destinations/crm");
  assert.equal(await page.getByRole("link", { name: "Keys" }).count(), 0, "a link makes no keys");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByText("You are signed out").waitFor();
} finally {
  await browser.close();
}
console.log(JSON.stringify({ ok: true }));
