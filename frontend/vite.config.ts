import react from '@vitejs/plugin-react';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync } from 'node:zlib';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

/** builtin makes a file of each built-in module that is imported as builtin:NAME: the very bytes that nodes carry. The import is its address. */
function builtin(): Plugin {
  const prefix = 'builtin:', file = (name: string): Buffer => brotliDecompressSync(readFileSync(new URL(`../modules/dist/${name}.wasm.br`, import.meta.url)));
  let serving = false;
  return {
    name: 'inos-builtin',
    configResolved: (c) => { serving = c.command === 'serve'; },
    resolveId: (id) => (id.startsWith(prefix) ? id : undefined),
    load(id) {
      if (!id.startsWith(prefix)) return undefined;
      const name = id.slice(prefix.length);
      if (serving) return `export default 'data:application/wasm;base64,${file(name).toString('base64')}'`;
      const ref = this.emitFile({ type: 'asset', name: `${name}.wasm`, source: file(name) });
      return `export default import.meta.ROLLUP_FILE_URL_${ref}`;
    },
  };
}

export default defineConfig({
  plugins: [react(), builtin()],
  resolve: { alias: { 'capnp-es': fileURLToPath(import.meta.resolve('capnp-es')) } }, // for generated code, which lies outside this folder
  worker: { format: 'es' },
  build: {
    target: 'es2023',
    outDir: process.env.INOS_PAGE_OUT ?? 'node_modules/.page',
    emptyOutDir: true,
    assetsInlineLimit: 0, // the page's policy allows no data: addresses
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 800,
  },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
});
