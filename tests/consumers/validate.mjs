// Validates CycloneDX JSON with the validator of @cyclonedx/cyclonedx-library: another engine, and the project's own copy of the schema.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [folder, path] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${folder}/`));
const { Spec, Validation } = require('@cyclonedx/cyclonedx-library');
const wrong = await new Validation.JsonStrictValidator(Spec.Version.v1dot6).validate(readFileSync(path, 'utf8'));
if (wrong !== null) {
  throw new Error(JSON.stringify(wrong));
}
