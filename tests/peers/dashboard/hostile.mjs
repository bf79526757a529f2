// A tenant whose every text is an attack: markup, huge texts, text from right to left, and many of
// everything. No page runs it, breaks, or becomes wider than the window.
//
// Arguments: the browser, the address of the router, an admin's key, and the id of an event.

import assert from "node:assert/strict";

import { Browser, inspect } from "./browser.mjs";

const [executable, base, key, event] = process.argv.slice(2);
const browser = await Browser.start(executable, base);
const paths = [
  "overview", "preferences", "preferences?q=%3Cscript%3E", "destinations", "destinations/d00042",
  "destinations/d00042/edit", "events", `events/${event}`, "routes", "new-route", "dead-letters",
  "suppressions", "digests", "templates", "templates/hostile.type.0?part=text", "keys", "audit",
  "search?q=%3Cscript%3Ewindow.pwned%3D1%3C%2Fscript%3E", "events?type=%22%3E%3Cscript%3Ewindow.pwned%3D1%3C%2Fscript%3E",
  "events?destination=%E2%80%AE%3Cimg%20src%3Dx%20onerror%3Dwindow.pwned%3D1%3E",
];

try {
  for (const width of [1280, 390]) {
    const page = await browser.open({ viewport: { width, height: 900 } });
    page.setDefaultTimeout(120_000);
    page.setDefaultNavigationTimeout(120_000);
    await browser.signIn(page, key);
    for (const path of width === 390 ? paths.slice(0, 9) : paths) {
      await page.goto(`${base}/ui/t/acme/${path}`);
      assert.equal(await page.evaluate(() => window.pwned), undefined, path);
      assert.equal(await page.locator("main script, main img, main iframe[srcdoc]").count(), 0, path);
      await inspect(page, `${path} at ${width}`);
    }
    if (width === 1280) {
      // What is typed comes back as text.
      await page.goto(`${base}/ui/t/acme/new-destination?channel=webhook`);
      const text = `"><script>window.pwned=1</script>\u202eevil`;
      await page.getByLabel("Name").fill(text);
      await page.getByLabel("URL").fill(text);
      await page.getByRole("button", { name: "Create" }).click();
      await page.getByText("Not saved.").waitFor();
      assert.equal(await page.getByLabel("URL").inputValue(), text);
      assert.equal(await page.evaluate(() => window.pwned), undefined);
      // A template cannot break out of its preview.
      await page.goto(`${base}/ui/t/acme/templates/kyc.session.created?part=html`);
      const source = `<mjml><mj-body><mj-raw><script>top.pwned=1</script><img src="x" onerror="top.pwned=1"></mj-raw></mj-body></mjml>`;
      await page.getByLabel("Source").fill(source);
      await page.getByRole("button", { name: "Preview" }).click();
      await page.waitForTimeout(1500);
      assert.equal(await page.evaluate(() => window.pwned), undefined, "the preview");
    }
    await page.context().close();
  }
} finally {
  // The preview's own policy refuses the script, and the browser says so.
  browser.complaints = browser.complaints.filter((line) => !/sandbox|Content Security Policy|ERR_/.test(line));
  await browser.close();
}
console.log(JSON.stringify({ ok: true }));
