// A person with a browser, in front of the dashboard.
//
// Arguments: the address of the router, and a key of the tenant. It goes through the tenant's story,
// first without JavaScript and then with it, and looks at every page with axe. It prints one JSON
// object; what does not hold ends it with an error.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { chromium } from "playwright-core";

const [base, key, executablePath] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"];
const offline = ["--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath, args: [...quiet, ...offline] });
const looked = [];

/** A window in which everything that a page complains about is an error. */
async function open(options) {
  const context = await browser.newContext({ ...options, bypassCSP: false });
  const page = await context.newPage();
  page.on("console", (line) => {
    if (line.type() === "error" && !line.text().includes("status of 4")) looked.push(line.text());
  });
  page.on("pageerror", (error) => looked.push(String(error)));
  page.on("dialog", (dialog) => dialog.accept());
  return page;
}

async function signIn(page) {
  await page.goto(`${base}/ui/`);
  await page.getByLabel("API key").fill("sk_live_wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("This key is not valid").waitFor();
  await page.getByLabel("API key").fill(key);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { level: 1 }).waitFor();
}

/** The tenant's story: what happened to my event, and what can I do about it? */
async function story(page) {
  await signIn(page);
  assert.equal(await page.locator("h1").textContent(), "Acme Bank");
  const cookies = await page.context().cookies();
  const session = cookies.find((cookie) => cookie.name === "fanfare_session");
  assert.ok(session.httpOnly && !session.value.includes(key), "the cookie hides the key");

  // A click in the matrix is saved, says so, and can be undone.
  await page.getByRole("link", { name: "Preferences" }).click();
  const cell = page.getByRole("button", { name: "kyc.session.processed to down", exact: true });
  assert.equal(await cell.getAttribute("aria-pressed"), "true");
  await cell.click();
  await page.getByText("kyc.session.processed no longer goes to down.").waitFor();
  assert.equal(await cell.getAttribute("aria-pressed"), "false");
  await cell.click();
  await page.getByText("kyc.session.processed now goes to down.").waitFor();

  // The event says why one route does not match, and what the receiver answered.
  await page.getByRole("link", { name: "Events", exact: true }).click();
  await page.getByRole("link", { name: "evt_dead", exact: true }).click();
  await page.getByText(/is .?low.?,/).waitFor();
  const payload = await page.locator("pre").textContent();
  assert.ok(payload.includes("12345678901234567890123"), "numbers are the producer's");
  assert.ok(payload.includes("<script>alert(1)</script>"), "text is text");
  await page.getByText("500").first().waitFor();

  // It was given up, and is sent again.
  await page.getByRole("link", { name: "Dead letters" }).click();
  await page.getByRole("button", { name: "Send all dead ones again" }).click();
  await page.getByText("queued to be sent again").waitFor();

  // A destination can be tested, paused and resumed.
  await page.getByRole("link", { name: "Destinations" }).click();
  await page.getByRole("link", { name: "down", exact: true }).click();
  await page.getByRole("button", { name: "Send a test" }).click();
  await page.getByText("did not accept a test event").waitFor();
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByText("down is paused").waitFor();
  await page.getByRole("button", { name: "Resume" }).click();
  await page.getByText("down is resumed").waitFor();

  // Who did it is in the audit trail.
  await page.getByRole("link", { name: "Audit trail" }).click();
  await page.getByText("pause").first().waitFor();
}

/** Every page, in light and dark, wide and narrow. */
async function look() {
  const paths = ["overview", "preferences", "destinations", "destinations/down", "events"];
  const more = ["events/evt_dead", "events/missing", "dead-letters", "keys", "audit"];
  for (const [width, colorScheme] of [[1280, "light"], [1280, "dark"], [390, "light"]]) {
    const page = await open({ viewport: { width, height: 900 }, colorScheme });
    await signIn(page);
    for (const path of [...paths, ...more]) {
      await page.goto(`${base}/ui/t/acme/${path}`);
      // The page allows no inline scripts. The debugger may run one nevertheless.
      const session = await page.context().newCDPSession(page);
      await session.send("Runtime.evaluate", { expression: axe });
      const run = "axe.run().then((r) => JSON.stringify(r.violations.map((v) => [v.id, v.nodes[0].html])))";
      const answer = await session.send("Runtime.evaluate", { expression: run, awaitPromise: true });
      const violations = JSON.parse(answer.result.value);
      assert.deepEqual(violations, [], `${path} at ${width}, ${colorScheme}`);
      const scrolls = "document.documentElement.scrollWidth > document.documentElement.clientWidth";
      const wide = await session.send("Runtime.evaluate", { expression: scrolls });
      assert.equal(wide.result.value, false, `${path} is wider than ${width}`);
    }
    await page.context().close();
  }
}

try {
  await story(await open({ javaScriptEnabled: false }));
  await story(await open({}));
  await look();
  // A session ends with its cookie, and a page then asks for a key and leads back.
  const page = await open({});
  await page.goto(`${base}/ui/t/acme/events?type=kyc.x`);
  await page.getByLabel("API key").fill(key);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Events", exact: true }).waitFor();
  assert.equal(page.url(), `${base}/ui/t/acme/events?type=kyc.x`);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByText("Your session has ended").waitFor();
  assert.deepEqual(looked, [], "no page complains");
  console.log(JSON.stringify({ ok: true }));
} finally {
  await browser.close();
}
