// The engine in the page writes what the command writes, and never waits for the GPU.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { browser, native, open, serve } from "./support.mjs";

let server, chromium, page;
before(async () => {
  server = await serve();
  chromium = await browser();
  page = await open(await chromium.newContext(), server.address);
});
after(async () => {
  await chromium?.close();
  server?.close();
});

test("greedy text and depths equal the command's", async () => {
  const prompt = "Once upon a time there was a little boat";
  const facts = await page.evaluate(() => isobath.load());
  assert.equal(facts.adapter.backend, "BrowserWebGpu");
  const report = await page.evaluate((prompt) => isobath.generate(prompt, 48, 1), prompt);
  const [written] = report.sequences;
  const wanted = native(null, prompt, 48);
  assert.deepEqual(written.tokens.map((token) => token.token), wanted.tokens);
  assert.deepEqual(written.tokens.map((token) => token.depth), wanted.depths);
  assert.equal(written.text, wanted.text);
  assert.ok(new Set(wanted.depths).size > 1, "a model whose tokens all have one depth shows nothing");
});

test("one submission and one read a tick, and reads overlap with later ticks", async () => {
  const counts = await page.evaluate(async () => {
    const before = { ...gpuCounts };
    gpuCounts.mostPending = 0;
    const report = await isobath.generate("Once upon a time", 64, 4);
    return {
      ticks: report.ticks,
      submits: gpuCounts.submits - before.submits,
      maps: gpuCounts.maps - before.maps,
      mostPending: gpuCounts.mostPending,
      tokens: report.sequences.map((sequence) => sequence.tokens.length),
    };
  });
  assert.deepEqual(counts.tokens, [64, 64, 64, 64]);
  // Ticks that were submitted before the last one was told of come on top.
  assert.ok(Math.abs(counts.submits - counts.ticks) <= 3, JSON.stringify(counts));
  assert.ok(counts.maps <= counts.submits, JSON.stringify(counts));
  assert.ok(counts.mostPending >= 2, "a read was awaited before the next tick was submitted: " + JSON.stringify(counts));
});

test("every kernel text compiles in Chromium", async () => {
  const outcome = await page.evaluate(() => isobath.pipelines());
  assert.deepEqual(outcome.refused, []);
  assert.ok(outcome.built > 50, `only ${outcome.built} texts`);
});

test("a folder without a model is told of in the page", async () => {
  const message = await page.evaluate(() => isobath.load("nowhere").catch((error) => error.message));
  assert.match(message, /nowhere\/config\.json.*404/);
  assert.match(await page.textContent("#notice"), /nowhere\/config\.json.*404/);
  page.complaints = page.complaints.filter((complaint) => !/404/.test(complaint));
});

test("nothing complained", () => assert.deepEqual(page.complaints, []));
