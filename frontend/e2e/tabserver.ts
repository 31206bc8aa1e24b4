// Serves the test page of a tab's node as a node serves its own: isolated, and with the node's kernel.
import { createReadStream, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { build } from 'vite';

const types: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' };

export class TabServer {
  private readonly dir = mkdtempSync(join(tmpdir(), 'inos-tab-'));
  private server: Server | undefined;
  url = '';

  /** page is the folder here that is served. */
  constructor(private readonly page = 'tab') {}

  /** start builds the page and serves it beside the kernel of the node at an address. isolated false leaves out COOP and COEP. */
  async start(node: string, isolated = true): Promise<void> {
    await build({ root: join(import.meta.dirname, this.page), configFile: false, logLevel: 'warn', build: { target: 'es2023', outDir: this.dir, emptyOutDir: true, assetsInlineLimit: 0 }, worker: { format: 'es' } });
    this.server = createServer((req, res) => {
      const path = new URL(req.url ?? '/', 'http://x').pathname;
      res.setHeader('Cross-Origin-Resource-Policy', 'same-origin');
      if (isolated) {
        res.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
        res.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
      }
      if (path.startsWith('/kernel/')) {
        const up = request(new URL(path, node), { headers: { 'accept-encoding': req.headers['accept-encoding'] ?? '' } }, (from) => {
          for (const [k, v] of Object.entries(from.headers)) if (v !== undefined && k !== 'connection') res.setHeader(k, v);
          res.statusCode = from.statusCode ?? 500;
          from.pipe(res);
        });
        up.on('error', () => { res.statusCode = 502; res.end(); });
        up.end();
        return;
      }
      const file = join(this.dir, normalize(path === '/' ? '/index.html' : path));
      if (!existsSync(file)) { res.statusCode = 404; res.end(); return; }
      res.setHeader('Content-Type', types[extname(file)] ?? 'application/octet-stream');
      createReadStream(file).pipe(res);
    });
    await new Promise<void>((ok) => this.server?.listen(0, '127.0.0.1', ok));
    const at = this.server.address();
    if (at === null || typeof at === 'string') throw new Error('the page has no address');
    this.url = `http://127.0.0.1:${at.port}/`;
  }

  close(): void {
    this.server?.close();
    this.server?.closeAllConnections();
    rmSync(this.dir, { recursive: true, force: true });
  }
}
