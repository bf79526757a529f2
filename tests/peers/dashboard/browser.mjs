// A browser in front of the dashboard, and what must hold on every page.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"];
const offline = ["--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** Largest weight of a first view, with style sheet and script. */
const PAGE_BYTES = 100 * 1024;
/** Largest weight of all scripts. */
const SCRIPT_BYTES = 15 * 1024;

export class Browser {
  constructor(browser, base) {
    Object.assign(this, { browser, base, complaints: [] });
  }

  static async start(executablePath, base) {
    return new Browser(await chromium.launch({ executablePath, args: [...quiet, ...offline] }), base);
  }

  /** A window in which everything that a page complains about is an error. */
  async open(options = {}) {
    const context = await this.browser.newContext({ ...options, bypassCSP: false });
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    page.on("console", (line) => {
      if (line.type() === "error" && !line.text().includes("status of 4")) this.complaints.push(line.text());
    });
    page.on("pageerror", (error) => this.complaints.push(String(error)));
    page.on("dialog", (dialog) => {
      this.complaints.push(`a dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
    return page;
  }

  async signIn(page, key) {
    await page.goto(`${this.base}/ui/`);
    await page.getByLabel("API key").fill(key);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("navigation", { name: "Main" }).waitFor();
  }

  async close() {
    await this.browser.close();
    assert.deepEqual(this.complaints, [], "no page complains");
  }
}

/** Runs in the page although its policy allows no inline scripts: the debugger may. */
async function evaluate(page, expression) {
  const session = await page.context().newCDPSession(page);
  const answer = await session.send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
  await session.detach();
  assert.ok(!answer.exceptionDetails, answer.exceptionDetails?.exception?.description);
  return answer.result.value;
}

/** axe finds nothing, and nothing is wider than the window. */
export async function inspect(page, what) {
  await evaluate(page, axe);
  const run = "axe.run().then((r) => r.violations.map((v) => [v.id, v.nodes.map((n) => n.html).slice(0, 3)]))";
  assert.deepEqual(await evaluate(page, run), [], what);
  const root = "document.documentElement";
  const [scroll, client] = await evaluate(page, `[${root}.scrollWidth, ${root}.clientWidth]`);
  if (scroll > client) {
    const wide = "[...document.querySelectorAll('main *:not(.scroll *, .json *, pre *)')].map((e) => [e.getBoundingClientRect().right, e])"
      + `.filter(([right]) => right > ${root}.clientWidth).slice(-8)`
      + ".map(([right, e]) => `${e.localName}.${e.className} to ${Math.round(right)}: ${e.textContent.trim().slice(0, 40)}`)";
    assert.fail(`${what} is ${scroll} px wide in a window of ${client} px: ${JSON.stringify(await evaluate(page, wide))}`);
  }
  assert.equal(await evaluate(page, "document.querySelectorAll('[style], style, script:not([src])').length"), 0, what);
}

/** A first view with an empty cache is small. */
export async function weigh(page, address) {
  const sizes = new Map();
  const note = async (response) => sizes.set(response.url(), (await response.body().catch(() => "")).length);
  const pending = [];
  page.on("response", (response) => pending.push(note(response)));
  await page.goto(address);
  await page.waitForLoadState("networkidle");
  await Promise.all(pending);
  const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  const scripts = [...sizes].filter(([url]) => url.includes(".js")).reduce((sum, [, size]) => sum + size, 0);
  assert.ok(total <= PAGE_BYTES, `${address} weighs ${total} bytes`);
  assert.ok(scripts > 0 && scripts <= SCRIPT_BYTES, `its scripts weigh ${scripts} bytes`);
}
