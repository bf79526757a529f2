// A session ends while a form is filled in, a second tab signs in again, and a person goes back.
//
// Arguments: the browser, the address of the router, and two keys of the tenant.

import assert from "node:assert/strict";

import { Browser } from "./browser.mjs";

const [executable, base, first, second] = process.argv.slice(2);
const browser = await Browser.start(executable, base);

try {
  for (const javaScriptEnabled of [false, true]) {
    const page = await browser.open({ javaScriptEnabled });
    const main = page.getByRole("main");
    // A page that needs a session leads back to itself.
    await page.goto(`${base}/ui/t/acme/events?type=kyc.x`);
    await page.getByLabel("API key").fill("sk_live_wrong");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("This key is not valid").waitFor();
    await page.getByLabel("API key").fill(first);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Events", exact: true }).waitFor();
    assert.equal(page.url(), `${base}/ui/t/acme/events?type=kyc.x`);

    // The session is gone when the form is sent.
    const id = `typed-${javaScriptEnabled}`;
    await page.goto(`${base}/ui/t/acme/new-destination?channel=webhook`);
    await main.getByLabel("Name").fill(id);
    await main.getByLabel("URL").fill("http://127.0.0.1:9/typed");
    await page.context().clearCookies({ name: "fanfare_session" });
    await main.getByRole("button", { name: "Create" }).click();
    await page.getByText("What you typed is kept").waitFor();
    await page.getByLabel("API key").fill(second);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("You are signed in again").waitFor();
    await page.getByRole("button", { name: "Send it" }).click();
    await main.getByText(`${id} is created`).waitFor();

    // Another tab signs in with another key. The form of the first tab asks once, and loses nothing.
    await page.goto(`${base}/ui/t/acme/destinations/${id}/edit`);
    await main.getByLabel("URL").fill("http://127.0.0.1:9/changed");
    const tab = await page.context().newPage();
    await tab.goto(`${base}/ui/sign-in?why=ended`);
    await tab.getByLabel("API key").fill(first);
    await tab.getByRole("button", { name: "Sign in" }).click();
    await tab.getByRole("navigation", { name: "Main" }).waitFor();
    await main.getByRole("button", { name: "Save" }).click();
    await page.getByText("You signed in again since this page was opened").waitFor();
    await page.getByRole("button", { name: "Send it" }).click();
    await main.getByText(`${id} is saved`).waitFor();

    // Two tabs edit the same thing. The second one is asked, and its text stays.
    await page.goto(`${base}/ui/t/acme/destinations/${id}/edit`);
    await tab.goto(`${base}/ui/t/acme/destinations/${id}/edit`);
    await tab.getByLabel("URL").fill("http://127.0.0.1:9/other-tab");
    await tab.getByRole("button", { name: "Save" }).click();
    await tab.getByText(`${id} is saved`).waitFor();
    await main.getByLabel("URL").fill("http://127.0.0.1:9/this-tab");
    await main.getByRole("button", { name: "Save" }).click();
    await main.getByText("Somebody changed this while you edited it").waitFor();
    assert.equal(await main.getByLabel("URL").inputValue(), "http://127.0.0.1:9/this-tab");
    await main.getByRole("button", { name: "Save" }).click();
    await main.getByText(`${id} is saved`).waitFor();

    // Going back after an action sends nothing again.
    await main.getByRole("button", { name: "Pause" }).click();
    await main.getByText(`${id} is paused`).waitFor();
    await main.getByRole("button", { name: "Resume" }).click();
    await main.getByText(`${id} is resumed`).waitFor();
    await page.goBack();
    await page.goForward();
    await main.getByRole("button", { name: "Pause" }).waitFor();
    await page.context().close();
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify({ ok: true }));
