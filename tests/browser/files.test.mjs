// The person's own files: dropped as a folder, chosen in a dialog, broken, or a saved run.

import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { browser, drawn, native, open, picture, root, serve, written } from "./support.mjs";

const tiny = join(root, "tests/models/tiny");
let server, chromium, page, folder;
before(async () => {
  folder = mkdtempSync(join(tmpdir(), "isobath-"));
  server = await serve();
  chromium = await browser();
  page = await open(await chromium.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: "dark" }), server.address);
  await page.evaluate(() => isobath.ready());
  await drawn(page);
});
after(async () => {
  await chromium?.close();
  server?.close();
  rmSync(folder, { recursive: true });
});

/// Drops files or folders of this machine on the middle of the page, as a file manager would.
async function drop(...paths) {
  const session = await page.context().newCDPSession(page);
  const data = { items: [], files: paths, dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"]) {
    await session.send("Input.dispatchDragEvent", { type, x: 700, y: 450, data });
  }
  await session.detach();
}

const said = (pattern) => page.waitForFunction((source) => new RegExp(source).test(document.getElementById("said").textContent), pattern.source);

async function right() {
  const report = await page.evaluate(() => isobath.generate(" the old captain", 16, 1));
  assert.deepEqual(written(report.sequences[0]), native(tiny, " the old captain", 16));
}

test("a model folder that is dropped runs", async () => {
  await drop(tiny);
  await said(/tiny is loaded/);
  await right();
});

test("files that are chosen together are a model", async () => {
  const choosing = page.waitForEvent("filechooser");
  await page.evaluate(() => isobath.choose());
  await (await choosing).setFiles(readdirSync(tiny).map((name) => join(tiny, name)));
  await said(/own model is loaded/);
  await right();
});

test("a generation_config.json beside the model says where texts end", async () => {
  const own = mkdtempSync(join(tmpdir(), "isobath-"));
  try {
    for (const name of readdirSync(tiny)) copyFileSync(join(tiny, name), join(own, name));
    const whole = await page.evaluate(() => isobath.generate(" the old captain", 16, 1));
    const end = whole.sequences[0].tokens[5].token;
    const first = whole.sequences[0].tokens.findIndex((token) => token.token === end);
    writeFileSync(join(own, "generation_config.json"), JSON.stringify({ eos_token_id: [0, end], do_sample: true, num_beams: 4 }));
    await drop(own);
    await said(/is loaded\. generation_config\.json: not followed: num_beams 4\./);
    const ended = await page.evaluate(() => isobath.generate(" the old captain", 16, 1));
    assert.ok(ended.sequences[0].tokens.length <= first + 1, `${ended.sequences[0].tokens.length} tokens, not ${first}`);
    writeFileSync(join(own, "generation_config.json"), "<html>");
    await drop(own);
    await said(/generation_config\.json.*not valid JSON/);
    await drop(tiny);
    await said(/tiny is loaded/);
  } finally {
    rmSync(own, { recursive: true });
  }
});

test("a chat template is told the date of the person's time zone, and the special tokens", async () => {
  const own = mkdtempSync(join(tmpdir(), "isobath-chat-"));
  for (const name of readdirSync(tiny)) copyFileSync(join(tiny, name), join(own, name));
  writeFileSync(join(own, "tokenizer_config.json"), JSON.stringify({ bos_token: { content: "<go>" }, eos_token: null }));
  const template = "{{ raise_exception(bos_token ~ (eos_token is defined) ~ strftime_now('%Y-%m-%d')) }}";
  writeFileSync(join(own, "chat_template.jinja"), template);
  for (const timezoneId of ["Pacific/Kiritimati", "Etc/GMT+12"]) {
    const session = await page.context().newCDPSession(page);
    await session.send("Emulation.setTimezoneOverride", { timezoneId });
    await drop(own);
    await said(/isobath-chat-.* is loaded/);
    const told = page.evaluate(() => isobath.generate("Hi", 4, 1, true).then(() => "it wrote", (why) => why.message));
    const date = await page.evaluate(() => new Date().toLocaleDateString("en-CA"));
    assert.match(await told, new RegExp(`<go>False${date}`));
    await session.send("Emulation.setTimezoneOverride", { timezoneId: "" });
    await session.detach();
  }
  rmSync(own, { recursive: true });
});

test("broken files are told of in the page, and the next model loads", async () => {
  for (const name of readdirSync(tiny)) copyFileSync(join(tiny, name), join(folder, name));
  const weights = readFileSync(join(tiny, "model.safetensors"));
  writeFileSync(join(folder, "model.safetensors"), weights.subarray(0, weights.length - 1000));
  await drop(folder);
  await said(/model\.safetensors.*truncated/);
  const counts = await picture(page, "broken_file");
  assert.ok(counts);
  writeFileSync(join(folder, "model.safetensors"), weights);
  writeFileSync(join(folder, "config.json"), "{");
  await drop(folder);
  await said(/config/);
  rmSync(join(folder, "config.json"));
  await drop(folder);
  await said(/there is no config\.json/);
  await drop(join(tiny, "model.safetensors"));
  await said(/there is no config\.json/);
  await drop(tiny);
  await said(/tiny is loaded/);
  await right();
});

test("a saved run is played, a text that is none is refused", async () => {
  const [trace] = readdirSync(join(root, "tests/traces")).filter((name) => name.endsWith(".jsonl"));
  await drop(join(root, "tests/traces", trace));
  await page.waitForTimeout(500);
  await picture(page, "saved_run");
  const wrong = join(folder, "wrong.jsonl");
  writeFileSync(wrong, "no run\n");
  await drop(wrong);
  await said(/wrong\.jsonl: line 1 of the trace/);
});

test("nothing complained", () => assert.deepEqual(page.complaints, []));
