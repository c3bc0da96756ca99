// Guesses in the page: as the person set them, they save passes and change nothing.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { browser, drawn, native, open, picture, serve, written } from "./support.mjs";

let server, chromium;
before(async () => {
  server = await serve();
  chromium = await browser();
});
after(async () => {
  await chromium?.close();
  server?.close();
});

/// The page as it opens for a person who has set who guesses.
async function opened(drafting) {
  const context = await chromium.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: "dark" });
  const kept = JSON.stringify(JSON.stringify({ drafting }));
  const page = await open(context, server.address, { content: `localStorage.setItem("isobath.controls", ${kept});` });
  await page.evaluate(() => isobath.ready());
  await drawn(page);
  return page;
}

/// Bright pixels of the header behind the legend of depth, where it says how many tokens a pass wrote.
async function said(page) {
  const png = await page.screenshot({ clip: { x: 500, y: 8, width: 260, height: 36 } });
  return page.evaluate(async (png) => {
    const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${png}`)).blob());
    const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, image.width, image.height);
    let bright = 0;
    for (let at = 0; at < data.length; at += 4) bright += data[at + 2] > 90;
    return bright;
  }, png.toString("base64"));
}

const prompt = "one two three one two three one two three one two three one two";
async function write(page) {
  const report = await page.evaluate((prompt) => isobath.generate(prompt, 48, 1), prompt);
  await page.evaluate(async () => {
    for (let count = 6; count > 0; count--) await new Promise(requestAnimationFrame);
  });
  return { sequence: report.sequences[0], tick: await page.evaluate(() => isobath.statistics()) };
}

test("nobody guesses, or lookup does: the text is that of the command without guesses", async () => {
  const wanted = native(null, prompt, 48, ["--draft", "off"]);
  const silent = await opened({ draft: "off" });
  const plain = await write(silent);
  assert.deepEqual(written(plain.sequence), wanted);
  assert.equal(plain.tick.guesses, undefined, "nobody guessed");
  const page = await opened({ draft: "lookup", guesses: 3 });
  const guessed = await write(page);
  await picture(page, "guesses");
  assert.deepEqual(written(guessed.sequence), wanted);
  const { checks, checked, accepted } = guessed.tick.guesses;
  assert.ok(1 + accepted / checks > 1 && checked >= accepted, JSON.stringify(guessed.tick.guesses));
  const guesses = guessed.sequence.tokens.map((token) => token.guess).filter((guess) => guess);
  assert.ok(guesses.every((guess) => guess.by === "lookup"));
  assert.equal(guesses.filter((guess) => guess.accepted).length, accepted);
  assert.ok((await said(page)) > (await said(silent)) + 100, "the header tells of tokens a pass");
  assert.deepEqual([...silent.complaints, ...page.complaints], []);
});
