// A static server, a headless Chromium with WebGPU, and the native command to compare with.

import { execFileSync } from "node:child_process";
import { createReadStream, existsSync, mkdirSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

export const root = fileURLToPath(new URL("../..", import.meta.url));
export const folder = process.env.ISOBATH_PAGE ?? join(root, "target/web");
export const pictures = join(root, "target/browser");
mkdirSync(pictures, { recursive: true });

const kinds = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm", ".json": "application/json" };

/// Serves the page, and under /models/ the test models; answers ranges. `log` is every request, `rules` may answer first.
export async function serve(extra = {}) {
  const log = [];
  const rules = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://x").pathname);
    const entry = { path, range: request.headers.range, sent: 0 };
    log.push(entry);
    if (rules.some((rule) => rule(request, response, entry))) return;
    const place = Object.keys(extra).find((prefix) => path.startsWith(prefix));
    const file = place ? extra[place] + path.slice(place.length) : join(folder, normalize(path === "/" ? "/index.html" : path));
    if (!existsSync(file) || !statSync(file).isFile()) return response.writeHead(404).end();
    const size = statSync(file).size;
    // Isolation gives the page a clock of 5 microseconds instead of 100.
    const headers = {
      "Content-Type": kinds[extname(file)] ?? "application/octet-stream",
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Embedder-Policy": "require-corp",
      "Accept-Ranges": "bytes",
      "Cache-Control": "no-store",
      ETag: `"${size}-${Math.trunc(statSync(file).mtimeMs)}"`,
    };
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
    const [start, end] = range ? [Number(range[1]), range[2] ? Math.min(Number(range[2]), size - 1) : size - 1] : [0, size - 1];
    headers["Content-Length"] = Math.max(end - start + 1, 0);
    if (range) headers["Content-Range"] = `bytes ${start}-${end}/${size}`;
    response.writeHead(range ? 206 : 200, headers);
    if (request.method === "HEAD" || size === 0) return response.end();
    const stream = createReadStream(file, { start, end });
    stream.on("data", (piece) => (entry.sent += piece.length));
    stream.pipe(response);
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  return { address: `http://127.0.0.1:${server.address().port}/`, log, rules, close: () => server.closeAllConnections() ?? server.close() };
}

/// Chromium with WebGPU on SwiftShader; the flags of Vulkan are for a canvas that can be seen.
export function browser() {
  const args = ["--no-sandbox", "--enable-unsafe-webgpu", "--use-angle=swiftshader", "--enable-features=Vulkan", "--use-vulkan=swiftshader"];
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args });
}

/// A page that collects everything that must not happen in `page.complaints`.
export async function open(context, address) {
  const page = await context.newPage();
  page.complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => page.complaints.push(`uncaught: ${error.message}`));
  page.on("crash", () => page.complaints.push("the page crashed"));
  page.setDefaultTimeout(60_000);
  // Counts what the page really asks of the GPU, whatever the engine says.
  await page.addInitScript(() => {
    const counts = (window.gpuCounts = { submits: 0, maps: 0, pending: 0, mostPending: 0, devices: [] });
    const wrap = (type, name, around) => {
      if (!type) return;
      const original = type.prototype[name];
      type.prototype[name] = function (...rest) { return around(() => original.apply(this, rest)); };
    };
    wrap(window.GPUQueue, "submit", (go) => (counts.submits++, go()));
    wrap(window.GPUBuffer, "mapAsync", (go) => {
      counts.maps++;
      counts.mostPending = Math.max(counts.mostPending, ++counts.pending);
      return go().finally(() => counts.pending--);
    });
    wrap(window.GPUAdapter, "requestDevice", async (go) => {
      const device = await go();
      counts.devices.push(device);
      return device;
    });
  });
  await page.goto(address);
  await page.waitForFunction(() => window.isobath);
  return page;
}

/// What the command writes: the events of `isobath run --json`.
export function native(model, prompt, tokens, more = []) {
  const args = ["run", "--quiet", "--", "run", ...(model ? [model] : []), "-p", prompt, "-n", String(tokens), "--json", ...more];
  const out = execFileSync("cargo", args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  const events = out.trim().split("\n").map((line) => JSON.parse(line));
  const written = events.filter((event) => event.event === "token");
  const last = events.at(-1);
  return {
    text: written.map((token) => token.text).join("") + (last.text ?? ""),
    tokens: written.map((token) => token.token),
    depths: written.map((token) => token.depth),
  };
}
