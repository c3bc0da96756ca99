// Guesses in the page: chosen in the panel, they save passes and change nothing.

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

/// Lets the panel draw what was clicked.
const frames = (count) =>
  page.evaluate(async (count) => {
    for (; count > 0; count--) await new Promise(requestAnimationFrame);
  }, count);

/// Chooses one of those who guess, in the order of the list.
async function choose(place) {
  await page.mouse.click(160, 372);
  await frames(6);
  await page.mouse.click(160, 404 + 30 * place);
  await frames(6);
}

/// Bright pixels of the header behind the legend of depth, where it says how many tokens a pass wrote.
async function said() {
  const png = await page.screenshot({ clip: { x: 560, y: 8, width: 380, height: 36 } });
  return page.evaluate(async (png) => {
    const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${png}`)).blob());
    const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, image.width, image.height);
    let bright = 0;
    for (let at = 0; at < data.length; at += 4) bright += data[at] > 90 && data[at + 1] > 90;
    return bright;
  }, png.toString("base64"));
}

const prompt = "one two three one two three one two three one two three one two";
const write = async () => {
  const report = await page.evaluate((prompt) => isobath.generate(prompt, 48, 1), prompt);
  await frames(6);
  return { sequence: report.sequences[0], tick: await page.evaluate(() => isobath.statistics()) };
};

test("nobody guesses, then lookup does: the text is that of the command without guesses", async () => {
  const wanted = native(null, prompt, 48, ["--draft", "off"]);
  await choose(0); // nobody
  const plain = await write();
  assert.deepEqual(written(plain.sequence), wanted);
  assert.equal(plain.tick.guesses, undefined, "nobody guessed");
  const silent = await said();
  await choose(2); // lookup
  const guessed = await write();
  await picture(page, "guesses");
  assert.deepEqual(written(guessed.sequence), wanted);
  const { checks, checked, accepted } = guessed.tick.guesses;
  assert.ok(1 + accepted / checks > 1 && checked >= accepted, JSON.stringify(guessed.tick.guesses));
  const guesses = guessed.sequence.tokens.map((token) => token.guess).filter((guess) => guess);
  assert.ok(guesses.every((guess) => guess.by === "lookup"));
  assert.equal(guesses.filter((guess) => guess.accepted).length, accepted);
  assert.ok((await said()) > silent + 100, "the header tells of tokens a pass");
});

test("nothing complained", () => assert.deepEqual(page.complaints, []));
