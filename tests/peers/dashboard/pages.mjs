// Every page of a tenant, in light and dark, wide and narrow: accessible, within the window, light.
//
// Arguments: the browser, the address of the router, and an admin's key.

import assert from "node:assert/strict";

import { Browser, inspect, weigh } from "./browser.mjs";

const [executable, base, key] = process.argv.slice(2);
const browser = await Browser.start(executable, base);
const paths = [
  "overview", "preferences", "preferences?q=nothing", "destinations", "destinations/down",
  "destinations/daily/edit", "new-destination", "new-destination?channel=webhook",
  "new-destination?channel=email", "new-destination?channel=slack", "new-destination?channel=poll",
  "events", "events?state=dead", "events?from=nonsense", "events/evt_dead", "events/missing",
  "routes", "new-route", "dead-letters", "dead-letters/replay", "suppressions", "digests",
  "digests/daily", "templates", "templates/kyc.session.processed?part=html",
  "templates/kyc.session.processed?part=slack", "templates/_default?part=subject",
  "keys", "audit", "search?q=kyc.session.processed", "search?q=nothing",
];

try {
  for (const [width, colorScheme] of [[1280, "light"], [1280, "dark"], [390, "light"]]) {
    const page = await browser.open({ viewport: { width, height: 900 }, colorScheme });
    await page.goto(`${base}/ui/sign-in`);
    await inspect(page, `sign-in at ${width}, ${colorScheme}`);
    await browser.signIn(page, key);
    for (const path of paths) {
      await page.goto(`${base}/ui/t/acme/${path}`);
      await page.evaluate(() => document.querySelectorAll("main details").forEach((one) => (one.open = true)));
      await inspect(page, `${path} at ${width}, ${colorScheme}`);
    }
    await page.context().close();
  }
  for (const path of ["overview", "preferences", "events", "events/evt_dead"]) {
    const page = await browser.open();
    await browser.signIn(page, key);
    await weigh(page, `${base}/ui/t/acme/${path}`);
    await page.context().close();
  }
  // Only the first element of the keyboard's order leads past the navigation.
  const page = await browser.open();
  await browser.signIn(page, key);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
} finally {
  await browser.close();
}
console.log(JSON.stringify({ ok: true }));
