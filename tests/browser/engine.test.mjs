// The engine in the page writes what the command writes, and never waits for the GPU.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { browser, native, open, serve, written } from "./support.mjs";

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
  const facts = await page.evaluate(() => isobath.ready());
  assert.equal(facts.adapter.backend, "BrowserWebGpu");
  const report = await page.evaluate((prompt) => isobath.generate(prompt, 48, 1), prompt);
  const wanted = native(null, prompt, 48);
  assert.deepEqual(written(report.sequences[0]), wanted);
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

test("nothing complained", () => assert.deepEqual(page.complaints, []));
