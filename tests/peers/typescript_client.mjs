// A TypeScript client generated from the OpenAPI document: compiled in strict mode, then run.
// usage: typescript_client.mjs FILE BASE_URL FOLDER; prints what the journey saw, as JSON.

import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import openapiTS, { astToString } from "openapi-typescript";
import ts from "typescript";

const [file, base, folder] = process.argv.slice(2);
const packages = join(dirname(fileURLToPath(import.meta.url)), "node_modules");
const types = astToString(await openapiTS(JSON.parse(readFileSync(file, "utf8"))));
writeFileSync(join(folder, "api.d.ts"), types);
const journey = join(folder, "journey.ts");
writeFileSync(
  journey,
  `
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

export async function journey(baseUrl: string): Promise<unknown> {
  const client = createClient<paths>({ baseUrl });
  const tenant = { path: { tenant: "journey" } };
  const settings: components["schemas"]["WebhookSettings"] = {
    url: "https://hooks.acme.example/kyc", rate: "10/s",
  };
  const made = await client.POST("/v1/tenants", { body: { id: "journey" } });
  const box = await client.POST("/v1/tenants/{tenant}/destinations", {
    params: tenant, body: { id: "box", channel: "poll", settings: {} },
  });
  const hook = await client.POST("/v1/tenants/{tenant}/destinations", {
    params: tenant, body: { id: "hook", channel: "webhook", settings },
  });
  const route = await client.POST("/v1/tenants/{tenant}/routes", {
    params: tenant,
    body: { events: ["kyc.**"], to: ["box"], enabled: true, when: { data: { x: [1] } } },
  });
  const sent = await client.POST("/v1/events", {
    params: { query: { tenant: "journey" } },
    body: { id: "evt_ts", type: "kyc.session.created", data: { x: 1 } },
  });
  let state = "";
  for (let tries = 0; tries < 100 && state !== "delivered"; tries += 1) {
    const found = await client.GET("/v1/tenants/{tenant}/deliveries", {
      params: { ...tenant, query: { state: "delivered" } },
    });
    state = found.data?.data.data[0]?.state ?? "";
    if (state === "") await new Promise((done) => setTimeout(done, 100));
  }
  const wrong = await client.GET("/v1/tenants/{tenant}", { params: { path: { tenant: "nope" } } });
  const destination = hook.data?.data;
  const url = destination?.channel === "webhook" ? destination.settings.url : undefined;
  return {
    tenant: made.data?.data.id, box: box.data?.data.channel, url, route: route.data?.data.to,
    sent: sent.response.status, state, error: wrong.error?.error.code,
  };
}
`,
);
const options = {
  strict: true, noUncheckedIndexedAccess: true, exactOptionalPropertyTypes: false,
  module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler,
  target: ts.ScriptTarget.ES2022, lib: ["lib.es2022.d.ts", "lib.dom.d.ts"], types: [],
  skipLibCheck: true, outDir: folder, baseUrl: packages,
  paths: { "openapi-fetch": ["openapi-fetch"], "openapi-typescript-helpers": ["openapi-typescript-helpers"] },
};
const program = ts.createProgram([journey], options);
const problems = [...ts.getPreEmitDiagnostics(program)].map((one) =>
  ts.flattenDiagnosticMessageText(one.messageText, "\n"),
);
if (problems.length > 0) {
  console.log(JSON.stringify({ problems }));
} else {
  program.emit();
  const script = join(folder, "journey.js");
  const main = pathToFileURL(join(packages, "openapi-fetch/dist/index.mjs")).href;
  writeFileSync(script, readFileSync(script, "utf8").replace('"openapi-fetch"', JSON.stringify(main)));
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  const { journey: run } = await import(pathToFileURL(script).href);
  console.log(JSON.stringify({ problems, saw: await run(base) }));
}
