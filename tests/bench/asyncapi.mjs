// Has the AsyncAPI parser and ajv read docs/: `make asyncapi`. Exit 1 when one of them objects.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.cwd()}/.venv/npm/`);
const { Parser } = require("@asyncapi/parser");
const Ajv = require("ajv/dist/2020").default;

const { document, diagnostics } = await new Parser().parse(readFileSync("docs/asyncapi.json", "utf8"));
const errors = diagnostics.filter((found) => found.severity === 0);
for (const found of errors) console.log(found.code, found.message, found.path.join("."));
if (!document || errors.length) process.exit(1);

const messages = document.allMessages().all();
for (const message of messages) {
  const schema = JSON.parse(readFileSync(`docs/schemas/${message.name()}.json`, "utf8"));
  const validate = new Ajv({ strict: true, strictTypes: false }).compile(schema);
  if (!validate(message.examples().all()[0].payload())) {
    console.log(message.name(), validate.errors);
    process.exit(1);
  }
}
console.log(`AsyncAPI ${document.version()}: accepted; ${messages.length} messages: each example valid by ajv`);
