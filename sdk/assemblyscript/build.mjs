// Builds the examples, each with the flags of its asconfig.json, into build/.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const examples = fileURLToPath(new URL('examples/', import.meta.url));
for (const name of (await readdir(examples)).sort()) {
  const { error, stderr } = await asc.main(['assembly/index.ts', '--target', 'release', '--outFile', `../../build/${name}.wasm`, '--baseDir', join(examples, name)]);
  process.stderr.write(stderr.toString());
  if (error) {
    console.error(`${name}: ${error.message}`);
    process.exitCode = 1;
  } else {
    console.log(`build/${name}.wasm`);
  }
}
