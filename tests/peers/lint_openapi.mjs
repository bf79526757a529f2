// Lints an OpenAPI document with Redocly's and Spectral's recommended rules.
// usage: lint_openapi.mjs FILE; prints a JSON list of problems.

import { readFileSync } from "node:fs";
import { createConfig, lintFromString } from "@redocly/openapi-core";
import spectralCore from "@stoplight/spectral-core";
import parsers from "@stoplight/spectral-parsers";
import rulesets from "@stoplight/spectral-rulesets";

const text = readFileSync(process.argv[2], "utf8");

const config = await createConfig({ extends: ["recommended"] });
const redocly = await lintFromString({ source: text, absoluteRef: "openapi.json", config });
const problems = redocly.map(
  (one) => `redocly ${one.ruleId}: ${one.message} at ${one.location?.[0]?.pointer}`,
);

const spectral = new spectralCore.Spectral();
spectral.setRuleset({ extends: [rulesets.oas] });
const found = await spectral.run(new spectralCore.Document(text, parsers.Json, "openapi.json"));
problems.push(...found.map((one) => `spectral ${one.code}: ${one.message} at ${one.path.join("/")}`));

console.log(JSON.stringify(problems));
