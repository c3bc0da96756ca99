// Where something is lacking: the page says what to do, or does with less.

import assert from "node:assert/strict";
import { test } from "node:test";
import { join } from "node:path";
import { browser, native, open, pictures, serve, written } from "./support.mjs";

async function advice(flags, prepare) {
  const server = await serve();
  const chromium = await browser(flags);
  try {
    const page = await open(await chromium.newContext({ viewport: { width: 800, height: 600 } }), server.address, prepare);
    await page.waitForFunction(() => document.getElementById("notice").textContent);
    await page.screenshot({ path: join(pictures, "no_webgpu.png") });
    assert.deepEqual(page.complaints.filter((complaint) => !/No available adapters|adapter/i.test(complaint)), []);
    return await page.textContent("#notice");
  } finally {
    await chromium.close();
    server.close();
  }
}

test("without WebGPU the page says what to do", async () => {
  const text = await advice(["--disable-features=WebGPU"], () => delete Navigator.prototype.gpu);
  assert.match(text, /no WebGPU/);
  assert.match(text, /Chrome|Firefox|Safari/);
});

test("without an adapter the page says what to do", async () => {
  const text = await advice(undefined, () => {
    GPU.prototype.requestAdapter = async () => null;
  });
  assert.match(text, /no GPU to this page/);
});

test("the limits that every WebGPU device has, and no optional feature, are enough", async () => {
  const server = await serve();
  const chromium = await browser();
  try {
    const page = await open(await chromium.newContext(), server.address, () => {
      const request = GPUAdapter.prototype.requestDevice;
      GPUAdapter.prototype.requestDevice = async function () {
        const device = await request.call(this, {});
        window.leastLimits = [device.limits.maxStorageBuffersPerShaderStage, device.limits.maxStorageBufferBindingSize, [...device.features].filter((feature) => /f16|subgroups/.test(feature)).length];
        return device;
      };
    });
    await page.evaluate(() => isobath.ready());
    assert.deepEqual(await page.evaluate(() => leastLimits), [8, 128 << 20, 0]);
    const report = await page.evaluate(() => isobath.generate("The sea was", 24, 1));
    assert.deepEqual(written(report.sequences[0]), native(null, "The sea was", 24));
    assert.deepEqual(page.complaints, []);
  } finally {
    await chromium.close();
    server.close();
  }
});
