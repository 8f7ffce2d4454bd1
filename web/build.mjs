// Builds the scripts of the pages: each entry becomes one file beside the Python that serves it.
import { readFile, writeFile } from 'node:fs/promises';
import { build } from 'esbuild';

const ENTRIES = {
  'src/review/main.ts': '../engine/review/web/review.js',
  'src/album/main.ts': '../demo/web/album.js',
  'src/studio/main.ts': '../demo/web/stage.js',
  'src/talk/main.ts': '../demo/web/talk.js',
  'src/resting.ts': '../demo/web/resting.js',
};
const OPTIONS = { bundle: true, write: false, minify: true, format: 'iife', target: 'es2022', charset: 'utf8', legalComments: 'none', loader: { '.html': 'text' } };

async function buildEntry(entry) {
  const { outputFiles } = await build({ ...OPTIONS, entryPoints: [entry] });
  return outputFiles[0].text;
}

async function checkEntry([entry, target]) {
  const found = await readFile(target, 'utf8').catch(() => '');
  return found === await buildEntry(entry) ? [] : [target.replace('../', '')];
}

process.chdir(import.meta.dirname);
if (process.argv.includes('--check')) {
  const stale = (await Promise.all(Object.entries(ENTRIES).map(checkEntry))).flat();
  if (stale.length) {
    console.error(`${stale.join(', ')}: not built from the sources in web/. Run "make web" and commit what it writes.`);
    process.exit(1);
  }
} else {
  await Promise.all(Object.entries(ENTRIES).map(async ([entry, target]) => writeFile(target, await buildEntry(entry))));
}
