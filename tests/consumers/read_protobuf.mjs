// Decodes CycloneDX 1.4 in protocol buffers with code that others generated from the official bom-1.5.proto, in which everything of
// 1.4 has the same number and type, and prints it as JSON.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [folder, path] = process.argv.slice(2);
const { cdx_15: { Bom } } = await import(pathToFileURL(`${folder}/node_modules/@appthreat/cdx-proto/dist/index.js`));

const bytes = readFileSync(path);
const bom = Bom.fromBinary(bytes);
// Fields with numbers that the specification does not have would be among the unknown ones, at any depth.
const unknown = (message) => {
  const type = message.getType();
  const here = type.runtime.bin.listUnknownFields(message).length;
  return type.fields.list().reduce((sum, field) => {
    const value = field.oneof ? message[field.oneof.localName].value : message[field.localName];
    const values = (Array.isArray(value) ? value : [value]).filter((value) => typeof value?.getType === 'function');
    return sum + values.reduce((sum, value) => sum + unknown(value), 0);
  }, here);
};
if (unknown(bom) > 0) {
  throw new Error('there are fields that the specification does not have');
}
if (!Buffer.from(bom.toBinary()).equals(bytes)) {
  throw new Error('written again, it is not the same');
}
console.log(bom.toJsonString());
