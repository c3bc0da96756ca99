// Figures of the page: ticks, host time, frames. Not a test: `node figures.mjs [WIDTH HEIGHT [TOKENS [FLAGS OF CHROMIUM]]]`, with
// nothing else running.
// The release page is `scripts/build_web.sh`; `isobath bench` and `isobath gui --frame-times` measure the same natively.

import { browser, gpu, open, serve } from "./support.mjs";

const [width = 1280, height = 800, tokens = 64, ...flags] = process.argv.slice(2);
const server = await serve();
const chromium = await browser([...gpu, ...flags]);
try {
  const page = await open(await chromium.newContext({ viewport: { width: Number(width), height: Number(height) } }), server.address);
  page.setDefaultTimeout(300_000);
  const facts = await page.evaluate(() => isobath.ready());
  console.log(`${facts.adapter.backend}, ${facts.adapter.kind}, ${facts.order}`);
  for (let run = 0; run < 4; run++) {
    const { report, between } = await page.evaluate(async (length) => {
      const between = [];
      let last, running = true;
      const frame = (now) => {
        if (last) between.push(now - last);
        last = now;
        if (running) requestAnimationFrame(frame);
      };
      requestAnimationFrame(frame);
      const report = await isobath.generate("Once upon a time", length, 32);
      running = false;
      return { report, between };
    }, Number(tokens));
    // The first run makes pipelines.
    if (run === 0) continue;
    const written = report.sequences.reduce((sum, sequence) => sum + sequence.tokens.length, 0);
    between.sort((a, b) => a - b);
    const at = (share) => between[Math.round((between.length - 1) * share)].toFixed(1);
    console.log(
      `${(written / report.seconds).toFixed(0)} tokens/s, ${((1e3 * report.seconds) / report.ticks).toFixed(2)} ms per tick, ` +
        `of these ${(report.host_microseconds / 1e3 / report.ticks).toFixed(3)} ms by the host; ` +
        `from frame to frame ${at(0.5)} ms, 99 % within ${at(0.99)} ms (${between.length} frames)`,
    );
  }
  console.log(await page.evaluate(() => isobath.frameTimes()));
} finally {
  await chromium.close();
  server.close();
}
