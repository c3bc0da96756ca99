// The panel on the page's canvas: drawn, used, resized, hidden, bereft of its device.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { browser, drawn, native, open, picture, serve, written } from "./support.mjs";

let server, chromium, page;
before(async () => {
  server = await serve();
  chromium = await browser();
  const context = await chromium.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: "dark" });
  page = await open(context, server.address);
  await page.evaluate(() => isobath.ready());
  await drawn(page);
});
after(async () => {
  await chromium?.close();
  server?.close();
});

const frames = (count) =>
  page.evaluate(async (count) => {
    for (; count > 0; count--) await new Promise(requestAnimationFrame);
  }, count);

/// Tokens told so far.
const tokens = () => page.evaluate(() => isobath.statistics()?.tokens ?? 0);

async function quiet() {
  await page.waitForFunction(() => {
    const tick = isobath.statistics();
    return tick && tick.waiting === 0 && tick.lanes.every((lane) => lane[0] === 0);
  });
}

test("what is typed is continued, each token on the colour of its depth", async () => {
  await page.mouse.click(500, 785);
  await page.keyboard.type("Once upon a time there was a little boat");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => isobath.statistics()?.burst_tokens > 250);
  await frames(4);
  const counts = await picture(page, "desktop_dark");
  assert.ok(counts.every((count) => count > 2000), `pixels in the colours of depth: ${counts}`);
  await page.keyboard.press("Escape");
  await quiet();
});

test("light, and on a phone", async () => {
  await page.emulateMedia({ colorScheme: "light" });
  await frames(6);
  assert.ok((await picture(page, "desktop_light")).every((count) => count > 2000));
  await page.setViewportSize({ width: 390, height: 844 });
  await frames(6);
  assert.ok((await picture(page, "phone_light")).every((count) => count > 500));
  await page.emulateMedia({ colorScheme: "dark" });
  await frames(6);
  assert.ok((await picture(page, "phone_dark")).every((count) => count > 500));
  await page.mouse.wheel(200, 0);
  assert.equal(await page.evaluate(() => scrollX), 0, "the page scrolls sideways");
  await page.setViewportSize({ width: 1440, height: 900 });
});

test("the rule chosen in the panel decides on depth, and the model's own comes back", async () => {
  const write = async () => (await page.evaluate(() => isobath.generate("The sea was", 24, 1))).sequences[0];
  const own = native(null, "The sea was", 24);
  await page.mouse.click(152, 187); // rises by
  await frames(4);
  const rising = await write();
  for (const { depth, scores } of rising.tokens) {
    const rises = scores.slice(1).map((score, round) => score >= scores[round]);
    assert.deepEqual(rises.slice(0, depth), [...Array(depth - 1).fill(true), ...(depth < 3 ? [false] : [])], `${depth}: ${scores}`);
  }
  assert.notDeepEqual(written(rising).depths, own.depths);
  await page.mouse.click(95, 187); // is
  await frames(4);
  assert.deepEqual(written(await write()), own);
});

test("a hidden page rests, and goes on when it is seen again", async () => {
  const hide = (hidden) =>
    page.evaluate((hidden) => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
  let ended = false;
  const rest = page.evaluate(() => isobath.generate("The old captain said", 40, 2)).finally(() => (ended = true));
  const first = await tokens();
  await page.waitForFunction((first) => isobath.statistics()?.tokens > first + 8, first);
  await hide(true);
  // The tick under way still ends, which takes its time on a slow machine.
  let paused = -1;
  while (paused !== (paused = await tokens())) await page.waitForTimeout(3000);
  assert.ok(!ended && paused < first + 80, "tokens were written for nobody");
  await hide(false);
  const report = await rest;
  assert.deepEqual(report.sequences.map((sequence) => sequence.tokens.length), [40, 40]);
});

test("lost devices are replaced, for engine and canvas, and the text goes on as if nothing had been", async () => {
  const prompt = "The sea was";
  const report = page.evaluate((prompt) => isobath.generate(prompt, 24, 2), prompt);
  const first = await tokens();
  await page.waitForFunction((first) => isobath.statistics()?.tokens > first + 10, first);
  const devices = await page.evaluate(() => {
    const all = gpuCounts.devices.splice(0);
    all.forEach((device) => device.destroy());
    return all.length;
  });
  assert.ok(devices >= 2, `${devices} devices`);
  const wanted = native(null, prompt, 24);
  for (const sequence of (await report).sequences) assert.deepEqual(written(sequence), wanted);
  await page.waitForFunction(() => gpuCounts.devices.length >= 2);
  await frames(10);
  const counts = await picture(page, "after_loss");
  assert.ok(counts.every((count) => count > 1000), `the canvas is drawn on again: ${counts}`);
  // What is typed still arrives.
  const before = await tokens();
  await page.mouse.click(500, 785);
  await page.keyboard.press("Control+a");
  await page.keyboard.type("The fox");
  await page.keyboard.press("Enter");
  await page.waitForFunction((before) => isobath.statistics()?.tokens > before, before);
});

test("nothing complained", () => assert.deepEqual(page.complaints, []));
