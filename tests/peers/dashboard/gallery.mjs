// Pictures of the pages.
//
// Arguments: the browser, the address of the router, an operator's key, a folder, and `all` for every
// page in every look, or `docs` for those of the documentation.

import { Browser } from "./browser.mjs";

const [executable, base, key, folder, which] = process.argv.slice(2);
const browser = await Browser.start(executable, base);

const wide = { width: 1280, height: 800 };
const narrow = { width: 390, height: 780 };
const docs = [
  ["overview", "t/acme/overview", wide, "light"],
  ["overview-dark", "t/acme/overview", wide, "dark"],
  ["overview-phone", "t/acme/overview", narrow, "light"],
  ["preferences", "t/acme/preferences", wide, "light"],
  ["event", "t/acme/events/evt_04flagged", wide, "light"],
  ["event-phone", "t/acme/events/evt_04flagged", narrow, "dark"],
  ["destination", "t/acme/destinations/crm", wide, "light"],
  ["route", "t/acme/routes/risky", wide, "light"],
  ["template", "t/acme/templates/kyc.session.processed?part=slack", wide, "light"],
  ["server", "server", wide, "light"],
];
const pages = [
  "t/acme/overview", "t/acme/preferences", "t/acme/destinations", "t/acme/destinations/crm",
  "t/acme/destinations/legacy", "t/acme/destinations/crm/edit", "t/acme/new-destination",
  "t/acme/new-destination?channel=webhook", "t/acme/events", "t/acme/events/evt_04flagged",
  "t/acme/routes", "t/acme/routes/risky", "t/acme/new-route", "t/acme/dead-letters",
  "t/acme/dead-letters/replay", "t/acme/suppressions", "t/acme/digests",
  "t/acme/digests/compliance-daily", "t/acme/templates",
  "t/acme/templates/kyc.session.processed?part=html",
  "t/acme/templates/kyc.session.processed?part=slack", "t/acme/keys", "t/acme/audit",
  "t/acme/search?q=kyc.session.processed", "tenants", "server", "settings", "types",
  "types/kyc.session.created", "rejected", "search?q=x",
];
const name = (path) => path.replace("t/acme/", "").replace(/[^a-z0-9]+/gi, "-");
const looks = [[wide, "light"], [wide, "dark"], [narrow, "light"], [narrow, "dark"]];
const all = pages.flatMap((path) =>
  looks.map(([size, scheme]) => [`${name(path)}-${size.width}-${scheme}`, path, size, scheme]),
);

try {
  for (const [viewport, colorScheme] of looks) {
    const wanted = which === "all" ? all : docs;
    const shots = wanted.filter(([, , size, scheme]) => size === viewport && scheme === colorScheme);
    const page = await browser.open({ viewport, colorScheme, timezoneId: "Europe/Madrid", locale: "en-GB" });
    await page.goto(`${base}/ui/sign-in`);
    if (which === "all") await page.screenshot({ path: `${folder}/sign-in-${viewport.width}-${colorScheme}.png` });
    await browser.signIn(page, key);
    for (const [file, path] of shots) {
      await page.goto(`${base}/ui/${path}`);
      await page.waitForLoadState("networkidle");
      const height = await page.evaluate(() => document.documentElement.scrollHeight);
      await page.screenshot({ path: `${folder}/${file}.png`, fullPage: which === "all" && height < 4000 });
    }
    await page.context().close();
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify({ files: docs.map(([file]) => `${file}.png`) }));
