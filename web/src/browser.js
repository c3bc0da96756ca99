// What only JavaScript can ask of a browser.

/// Advice where the engine cannot run, nothing where it can.
export async function lacks() {
  const outside = "\n\nIsobath also runs outside of the browser; its README says how.";
  if (!window.isSecureContext) {
    return (
      "Isobath computes on the GPU through WebGPU, which browsers grant only to pages from https or localhost. " +
      `This page came from ${location.origin}. Open it through https.` + outside
    );
  }
  if (!navigator.gpu) {
    return (
      "This browser has no WebGPU, through which Isobath computes on the GPU. What helps:\n" +
      "• Windows, macOS, ChromeOS: Chrome or Edge 113 or newer; or a current Firefox.\n" +
      "• Linux: Chromium started with --enable-unsafe-webgpu --enable-features=Vulkan; " +
      "or Firefox with dom.webgpu.enabled set to true in about:config.\n" +
      "• Android: Chrome 121 or newer. iPhone, iPad, Safari: version 26 or newer." + outside
    );
  }
  // The one that may be slow is better than none.
  const adapter = (await navigator.gpu.requestAdapter({ powerPreference: "high-performance" })) ?? (await navigator.gpu.requestAdapter());
  if (!adapter) {
    return (
      "This browser has WebGPU but offers no GPU to this page. What helps:\n" +
      "• Switch on hardware acceleration in the browser's settings, and start it anew.\n" +
      "• Update the graphics driver.\n" +
      "• In Chromium, chrome://gpu says what is switched off and why; " +
      "on Linux it may need --enable-unsafe-webgpu --enable-features=Vulkan.\n" +
      "• After the GPU failed several times, browsers refuse it until they are started anew." + outside
    );
  }
}

export const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/// Files that the person chooses: `[{ name, blob }]`, none where nothing is chosen.
export function pick() {
  const input = document.createElement("input");
  input.type = "file";
  input.multiple = true;
  return new Promise((chosen) => {
    const tell = () => chosen(Array.from(input.files, (file) => ({ name: file.name, blob: file })));
    input.addEventListener("change", tell);
    input.addEventListener("cancel", tell);
    input.click();
  });
}

/// Files under an entry of what was dropped, folders opened.
async function files_under(entry, above) {
  const name = above + entry.name;
  if (entry.isFile) return [{ name, blob: await new Promise((found, failed) => entry.file(found, failed)) }];
  const reader = entry.createReader();
  const files = [];
  for (;;) {
    // A folder is told of in parts, the last of them empty.
    const part = await new Promise((found, failed) => reader.readEntries(found, failed));
    if (part.length === 0) return files;
    for (const inner of part) {
      // Hidden folders hold no models; a version control's would be long to read.
      if (!inner.name.startsWith(".")) files.push(...(await files_under(inner, `${name}/`)));
    }
  }
}

async function files_of(items) {
  // Items are only there until the event is over.
  const found = Array.from(items, (item) => item.webkitGetAsEntry?.() ?? item.getAsFile());
  const lists = found.filter(Boolean).map((one) => (one instanceof File ? [{ name: one.name, blob: one }] : files_under(one, "")));
  return (await Promise.all(lists)).flat();
}

/// Calls `dropped(files, why)` with files that are dropped on the page, or why they cannot be read.
export function watch_drops(dropped) {
  const over = (on) => document.getElementById("drop")?.classList.toggle("over", on);
  const carries = (event) => event.dataTransfer?.types.includes("Files");
  const on = (kind, act) =>
    // Before the canvas, which would read each file as a whole.
    window.addEventListener(kind, (event) => {
      if (!carries(event)) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      act(event);
    }, true);
  on("dragenter", () => over(true));
  on("dragover", () => over(true));
  on("dragleave", (event) => event.relatedTarget ?? over(false));
  on("drop", (event) => {
    over(false);
    files_of(event.dataTransfer.items).then((files) => dropped(files, ""), (error) => dropped([], error.message));
  });
}

export function save(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/jsonl" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

export function watch_visibility(changed) {
  document.addEventListener("visibilitychange", () => changed(document.hidden));
  window.addEventListener("pagehide", () => changed(true));
  window.addEventListener("pageshow", () => changed(document.hidden));
}
