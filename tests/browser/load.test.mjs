// Models from a server: in chunks, kept between visits, whatever the server or somebody else does to them.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { browser, native, open, root, serve, written } from "./support.mjs";

const CHUNK = 2 << 20;
const weights = "/stories/model.safetensors";
const prompt = "The sea was";

let server, chromium, context;
before(async () => {
  server = await serve({ "/models/": join(root, "tests/models/") });
  chromium = await browser();
});
after(async () => {
  await chromium?.close();
  server?.close();
});
beforeEach(async () => {
  await context?.close();
  context = await chromium.newContext({ viewport: { width: 900, height: 700 } });
  server.rules.length = 0;
  server.log.length = 0;
});

const asked = () => server.log.filter((entry) => entry.path === weights && entry.range !== "bytes=0-0");
const sent = () => asked().reduce((sum, entry) => sum + entry.sent, 0);

async function right(page, model) {
  const report = await page.evaluate((prompt) => isobath.generate(prompt, 16, 1), prompt);
  assert.deepEqual(written(report.sequences[0]), native(model, prompt, 16));
}

async function ready(prepare) {
  const page = await open(context, server.address, prepare);
  await page.evaluate(() => isobath.ready());
  return page;
}

/// What the cache holds: names of all files, and the manifest.
const cache = (page) =>
  page.evaluate(async () => {
    const root = await navigator.storage.getDirectory();
    const models = await root.getDirectoryHandle("models");
    const found = [];
    for await (const [, folder] of models.entries()) {
      const names = [];
      for await (const [name] of folder.entries()) names.push(name);
      const manifest = JSON.parse(await (await (await folder.getFileHandle("manifest.json")).getFile()).text());
      found.push({ names: names.sort(), hashes: manifest.hashes, address: manifest.address });
    }
    return found;
  });

test("what was loaded once is not fetched again", async () => {
  const page = await ready();
  const size = sent();
  assert.ok(size > CHUNK && asked().every((entry) => entry.sent <= CHUNK), "whole chunks and no more");
  const [kept] = await cache(page);
  assert.deepEqual(kept.names, ["0", "1", "manifest.json"]);
  server.log.length = 0;
  await page.reload();
  await page.waitForFunction(() => window.isobath);
  await page.evaluate(() => isobath.ready());
  assert.equal(sent(), 0, JSON.stringify(asked()));
  await right(page, null);
  assert.deepEqual(page.complaints, []);
});

test("a damaged or half-written cache is mended", async () => {
  const page = await ready();
  await page.evaluate(async () => {
    const models = await (await navigator.storage.getDirectory()).getDirectoryHandle("models");
    for await (const [, folder] of models.entries()) {
      const file = await folder.getFileHandle("0");
      const bytes = new Uint8Array(await (await file.getFile()).arrayBuffer());
      bytes[1_000_000] ^= 1;
      const stream = await file.createWritable();
      await stream.write(bytes);
      await stream.close();
      // Begun and never finished, as when the browser is closed.
      await (await (await folder.getFileHandle("1")).createWritable()).write(new Uint8Array(10));
    }
  });
  server.log.length = 0;
  await page.reload();
  await page.waitForFunction(() => window.isobath);
  await page.evaluate(() => isobath.ready());
  assert.deepEqual(asked().map((entry) => entry.range), [`bytes=0-${CHUNK - 1}`], "the damaged chunk alone");
  await right(page, null);
  assert.deepEqual(page.complaints, []);
});

test("a server that cuts off, stalls, is busy, or sends wrong bytes is asked again", async () => {
  let cut = 2, busy = 1, wrong = 1;
  server.rules.push((request, response, entry) => {
    if (entry.path !== weights || !entry.range || entry.range === "bytes=0-0") return false;
    if (busy-- > 0) return response.writeHead(503).end() && true;
    if (cut-- > 0) {
      const [start, end] = entry.range.match(/\d+/g).map(Number);
      server.respond(request, response, entry, { cutAfter: Math.min(300_000, end - start) });
      return true;
    }
    if (wrong-- > 0) {
      server.respond(request, response, entry, { flip: true });
      return true;
    }
    return false;
  });
  const page = await ready();
  await right(page, null);
  page.complaints = page.complaints.filter((complaint) => !/503|ERR_CONTENT_LENGTH_MISMATCH|ERR_INCOMPLETE|ERR_CONNECTION|ERR_EMPTY/.test(complaint));
  assert.deepEqual(page.complaints, []);
  const [kept] = await cache(page);
  assert.ok(kept.hashes.every(Boolean));
});

test("a server without ranges sends the file once", async () => {
  server.rules.push((request, response, entry) => {
    if (entry.path !== weights) return false;
    delete request.headers.range;
    return false;
  });
  const page = await ready();
  await right(page, null);
  assert.equal(server.log.filter((entry) => entry.path === weights).length, 1);
  server.log.length = 0;
  await page.reload();
  await page.waitForFunction(() => window.isobath);
  await page.evaluate(() => isobath.ready());
  await right(page, null);
  assert.deepEqual(page.complaints, []);
});

test("loading can be broken off, and goes on where it stopped", async () => {
  let hold = true;
  server.rules.push((request, response, entry) => {
    // The second chunk never comes.
    return hold && entry.path === weights && entry.range?.startsWith(`bytes=${CHUNK}-`);
  });
  const page = await open(context, server.address);
  await page.waitForFunction(() => isobath.loading()?.done > 0);
  await page.evaluate(() => isobath.cancel());
  assert.match(await page.evaluate(() => isobath.ready().catch((error) => error.message)), /no model is loaded/);
  hold = false;
  server.log.length = 0;
  await page.evaluate(() => isobath.load());
  assert.ok(asked().every((entry) => entry.range.startsWith(`bytes=${CHUNK}-`)), JSON.stringify(asked()));
  await right(page, null);
  assert.deepEqual(page.complaints, []);
});

test("a browser that keeps no files, or has no room, loads all the same", async () => {
  const page = await ready(() => {
    StorageManager.prototype.getDirectory = () => Promise.reject(new DOMException("no", "SecurityError"));
  });
  await right(page, null);
  await context.close();
  context = await chromium.newContext();
  const full = await ready(() => {
    FileSystemFileHandle.prototype.createWritable = () => Promise.reject(new DOMException("full", "QuotaExceededError"));
  });
  await right(full, null);
  assert.deepEqual([...page.complaints, ...full.complaints], []);
});

test("never a whole large file in WASM memory", async () => {
  // The tiny model with a vocabulary that it never uses: 96 MB of embeddings.
  const large = mkdtempSync(join(tmpdir(), "isobath-"));
  try {
    enlarge(join(root, "tests/models/tiny"), large, 96 << 20);
    server.rules.push((request, response, entry) => entry.path.startsWith("/large/") && (server.respond(request, response, entry, { file: large + entry.path.slice(6) }), true));
    const page = await ready();
    const before = await page.evaluate(() => isobath.memory());
    await page.evaluate((address) => isobath.load(address), `${server.address}large`);
    const after = await page.evaluate(() => isobath.memory());
    assert.ok(after.largest_read <= 8 << 20, `a read of ${after.largest_read} bytes`);
    assert.ok(after.bytes - before.bytes < 48 << 20, `the module grew by ${after.bytes - before.bytes} bytes`);
    await page.evaluate((prompt) => isobath.generate(prompt, 4, 1), prompt);
    page.complaints = page.complaints.filter((complaint) => !/404/.test(complaint));
    assert.deepEqual(page.complaints, []);
  } finally {
    rmSync(large, { recursive: true });
  }
});

/// A model folder whose embedding has rows of zeros behind its own, `bytes` in all.
function enlarge(from, to, bytes) {
  const config = JSON.parse(readFileSync(join(from, "config.json"), "utf8"));
  const weights = readFileSync(join(from, "model.safetensors"));
  const length = Number(weights.readBigUInt64LE(0));
  const header = JSON.parse(weights.subarray(8, 8 + length).toString());
  const name = "model.embed_tokens.weight";
  const line = { F32: 4, F16: 2 }[header[name].dtype] * config.hidden_size;
  const rows = Math.floor(bytes / line);
  const order = Object.entries(header).filter(([key]) => key !== "__metadata__").sort((a, b) => a[1].data_offsets[0] - b[1].data_offsets[0]);
  const pieces = [];
  let end = 0;
  for (const [key, info] of order) {
    let data = weights.subarray(8 + length + info.data_offsets[0], 8 + length + info.data_offsets[1]);
    if (key === name || key === "lm_head.weight") {
      const whole = Buffer.alloc(rows * line);
      data.copy(whole);
      data = whole;
      info.shape[0] = rows;
    }
    info.data_offsets = [end, (end += data.length)];
    pieces.push(data);
  }
  const text = Buffer.from(JSON.stringify(header));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(join(to, "model.safetensors"), Buffer.concat([size, text, ...pieces]));
  writeFileSync(join(to, "config.json"), JSON.stringify({ ...config, vocab_size: rows }));
  copyFileSync(join(from, "tokenizer.json"), join(to, "tokenizer.json"));
}

test("a model at another address, and one that is not there", async () => {
  const page = await ready();
  const facts = await page.evaluate((address) => isobath.load(address), `${server.address}models/tiny`);
  assert.equal(facts.name, "tiny");
  await right(page, join(root, "tests/models/tiny"));
  const message = await page.evaluate(() => isobath.load("nowhere").catch((error) => error.message));
  assert.match(message, /nowhere\/config\.json.*404/);
  assert.match(await page.textContent("#said"), /nowhere\/config\.json.*404/);
  await page.evaluate(() => isobath.load());
  await right(page, null);
  page.complaints = page.complaints.filter((complaint) => !/404/.test(complaint));
  assert.deepEqual(page.complaints, []);
});

test("a generation_config.json at the address counts", async () => {
  const page = await ready();
  let file = JSON.stringify({ eos_token_id: [0], do_sample: true, temperature: 0.5, num_beams: 4 });
  server.rules.push((request, response, entry) => entry.path === "/models/tiny/generation_config.json" && (response.end(file), true));
  const facts = await page.evaluate((address) => isobath.load(address), `${server.address}models/tiny`);
  assert.deepEqual(facts.warnings, ["generation_config.json: not followed: num_beams 4"]);
  assert.equal(facts.suggestion.temperature, 0.5);
  file = "<html>";
  const message = await page.evaluate((address) => isobath.load(address).catch((error) => error.message), `${server.address}models/tiny`);
  assert.match(message, /generation_config\.json.*not valid JSON/);
});

test("without a connection the cache is enough for the weights", async () => {
  await ready();
  server.rules.push((request, response, entry) => entry.path === weights && (request.socket.destroy(), true));
  const page = await open(context, server.address);
  await page.evaluate(() => isobath.ready());
  await right(page, null);
});
