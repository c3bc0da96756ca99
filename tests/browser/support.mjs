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
    if (!rules.some((rule) => rule(request, response, entry))) respond(request, response, entry);
  });
  const found = (path) => {
    const place = Object.keys(extra).find((prefix) => path.startsWith(prefix));
    return place ? extra[place] + path.slice(place.length) : join(folder, normalize(path === "/" ? "/index.html" : path));
  };
  /// Sends the file, unless told otherwise whole and as it is.
  const respond = (request, response, entry, { cutAfter = Infinity, flip = false, file = found(entry.path) } = {}) => {
    if (!existsSync(file) || !statSync(file).isFile()) return response.writeHead(404).end();
    const size = statSync(file).size;
    // Isolation gives the page a clock of 5 microseconds instead of 100.
    const headers = {
      "Content-Type": kinds[extname(file)] ?? "application/octet-stream",
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Embedder-Policy": "require-corp",
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
    stream.on("data", (piece) => {
      if (flip && entry.sent === 0) piece[piece.length >> 1] ^= 255;
      entry.sent += piece.length;
      if (entry.sent >= cutAfter) {
        stream.destroy();
        response.write(piece, () => response.destroy());
        return;
      }
      if (!response.write(piece)) {
        stream.pause();
        response.once("drain", () => stream.resume());
      }
    });
    stream.on("end", () => response.end());
    response.on("close", () => stream.destroy());
  };
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  return { address: `http://127.0.0.1:${server.address().port}/`, log, rules, respond, close: () => server.closeAllConnections() ?? server.close() };
}

export const gpu = ["--enable-unsafe-webgpu", "--use-angle=swiftshader", "--enable-features=Vulkan", "--use-vulkan=swiftshader"];

/// Chromium, unless told otherwise with WebGPU on SwiftShader; the flags of Vulkan are for a canvas that can be seen.
export function browser(flags = gpu) {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", ...flags] });
}

/// A page that collects everything that must not happen in `page.complaints`.
/// `prepare` runs in the page before anything else.
export async function open(context, address, prepare) {
  const page = await context.newPage();
  if (prepare) await page.addInitScript(prepare);
  page.complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => page.complaints.push(`uncaught: ${error.message}`));
  page.on("crash", () => page.complaints.push("the page crashed"));
  page.setDefaultTimeout(180_000);
  // Counts what the page really asks of the GPU, whatever the engine says.
  await page.addInitScript(() => {
    const counts = (window.gpuCounts = { submits: 0, maps: 0, pending: 0, mostPending: 0, devices: [] });
    const wrap = (type, name, around) => {
      if (!type) return;
      const original = type.prototype[name];
      type.prototype[name] = function (...rest) { return around(() => original.apply(this, rest), this); };
    };
    // The panel draws on a device of its own, as often as the screen asks; what is counted is the engine's.
    const engine = (queue) => counts.devices.some((device) => device.label === "isobath" && device.queue === queue);
    wrap(window.GPUQueue, "submit", (go, queue) => ((counts.submits += engine(queue)), go()));
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

/// The colours of depth 1, 2 and 3 of 3, as the panel's palette has them.
const colours = [[68, 1, 84], [35, 144, 140], [253, 231, 37]];

/// Keeps a picture of the page, and counts its pixels in the colours of the three depths.
export async function picture(page, name) {
  const png = await page.screenshot({ path: join(pictures, `${name}.png`) });
  return page.evaluate(async ({ png, colours }) => {
    const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${png}`)).blob());
    const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, image.width, image.height);
    const counts = colours.map(() => 0);
    for (let at = 0; at < data.length; at += 4) {
      colours.forEach(([r, g, b], depth) => {
        counts[depth] += Math.abs(data[at] - r) + Math.abs(data[at + 1] - g) + Math.abs(data[at + 2] - b) < 12;
      });
    }
    return counts;
  }, { png: png.toString("base64"), colours });
}

/// Waits until the panel is on the canvas: its header shows the colours of depth.
export async function drawn(page) {
  for (let attempt = 0; attempt < 100; attempt++) {
    if ((await picture(page, "first_frame")).every((count) => count > 100)) return;
    await page.waitForTimeout(200);
  }
  throw new Error("nothing is drawn");
}

/// Tokens, depths and text of a sequence that the page wrote.
export const written = (sequence) => ({
  text: sequence.text,
  tokens: sequence.tokens.map((token) => token.token),
  depths: sequence.tokens.map((token) => token.depth),
});

/// What the command writes: the events of `isobath run --json`. `ISOBATH_COMMAND` names one that is built already.
export function native(model, prompt, tokens, more = []) {
  const args = ["run", ...(model ? [model] : []), "-p", prompt, "-n", String(tokens), "--json", ...more];
  const built = process.env.ISOBATH_COMMAND;
  const [command, before] = built ? [built, []] : ["cargo", ["run", "--quiet", "--"]];
  const out = execFileSync(command, [...before, ...args], { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  const events = out.trim().split("\n").map((line) => JSON.parse(line));
  const written = events.filter((event) => event.event === "token");
  const last = events.at(-1);
  return {
    text: written.map((token) => token.text).join("") + (last.text ?? ""),
    tokens: written.map((token) => token.token),
    depths: written.map((token) => token.depth),
  };
}
