// Files that are read part by part: the person's own, and those on a server, whose chunks are kept in the browser's
// private file system, so that nothing is fetched twice and an interrupted download goes on where it stopped.
//
// A cached file is a folder: `manifest.json` with address, length, version and the SHA-256 of every chunk that has come,
// and one file for each of these. Files are replaced as a whole or not at all, and a chunk counts only where its hash is
// the manifest's, so no interruption leaves anything that could be mistaken for the model.

const CHUNK = 2 << 20;
/// Chunks that stay in memory: neighbouring tensors share them.
const REMEMBERED = 6;
/// A server that sends nothing for so long is asked again.
const STALLED_MS = 20_000;
const WAITS_MS = [200, 1000, 3000];

async function wait(milliseconds, signal) {
  await new Promise((done) => {
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), done()), { once: true });
  });
  if (signal.aborted) throw new Error("loading was broken off");
}

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/// A file of the person's.
export function own_file(blob) {
  return {
    length: blob.size,
    read: async (start, end) => new Uint8Array(await blob.slice(start, end).arrayBuffer()),
    abort() {},
  };
}

/// What the page's publisher says of the chunks of its files.
let published;
async function published_hashes(address, signal) {
  const link = document.querySelector('link[rel="isobath-hashes"]');
  if (!link || !address.startsWith(new URL(".", link.href).href)) return [];
  published ??= fetch(link.href, { signal, cache: "no-cache" }).then((answer) => (answer.ok ? answer.json() : {}));
  const list = await published.catch(() => (published = undefined));
  return (list?.chunk === CHUNK && list.files[address.split("/").pop()]) || [];
}

/// The folder of a cached file; nothing where the browser keeps no files.
async function folder_of(address) {
  try {
    const root = await navigator.storage.getDirectory();
    const models = await root.getDirectoryHandle("models", { create: true });
    const name = (await sha256(new TextEncoder().encode(address))).slice(0, 24);
    return await models.getDirectoryHandle(name, { create: true });
  } catch {
    return undefined;
  }
}

async function write(folder, name, content) {
  const stream = await (await folder.getFileHandle(name, { create: true })).createWritable();
  await stream.write(content);
  // Until here the file is what it was.
  await stream.close();
}

const read = async (folder, name) => (await folder.getFileHandle(name)).getFile();

/// What a server says of a file, from an answer to a request for a part of it.
function described(answer) {
  const total = /\/(\d+)$/.exec(answer.headers.get("Content-Range") ?? "")?.[1];
  const plain = answer.status === 200 && !answer.headers.has("Content-Encoding");
  const whole = plain ? answer.headers.get("Content-Length") : undefined;
  return { length: Number(total ?? whole ?? NaN), version: answer.headers.get("ETag") ?? answer.headers.get("Last-Modified") ?? "" };
}

class Refused extends Error {}

function refuse(address, answer) {
  throw new Refused(`cannot fetch ${address}: the server answers ${answer.status} ${answer.statusText}`.trimEnd());
}

/// A file on a server. `progress(done, total)` is told where the server can only send it from the beginning.
class Remote {
  constructor(address, progress) {
    this.address = address;
    this.progress = progress;
    this.control = new AbortController();
    this.remembered = new Map();
    this.blobs = [];
    this.saving = Promise.resolve();
  }

  async open() {
    const { signal } = this.control;
    this.folder = await folder_of(this.address);
    const kept = await this.manifest();
    this.wanted = await published_hashes(this.address, signal);
    try {
      let answer = await this.ask(0, 1);
      this.ranges = answer.status === 206 && answer.headers.has("Content-Range");
      if (answer.status === 206) {
        answer.body?.cancel();
        // Servers elsewhere may not let the page see the range.
        if (!this.ranges) answer = await this.ask(0, 0);
      }
      Object.assign(this, described(answer));
      if (!this.ranges) this.first = answer;
    } catch (error) {
      // Without a connection the cache is as good as the server, if it is whole.
      if (error instanceof Refused || !kept || kept.hashes.includes(null)) throw error;
      Object.assign(this, { length: kept.length, version: kept.version, ranges: true });
    }
    if (!Number.isFinite(this.length)) {
      throw new Error(`cannot load ${this.address}: the server does not tell its length (Content-Range, or Content-Length)`);
    }
    const same = kept && kept.length === this.length && kept.version === this.version;
    this.hashes = same ? kept.hashes : new Array(Math.ceil(this.length / CHUNK)).fill(null);
    return this;
  }

  async manifest() {
    try {
      const kept = JSON.parse(await (await read(this.folder, "manifest.json")).text());
      const whole = kept.chunk === CHUNK && kept.hashes.length === Math.ceil(kept.length / CHUNK);
      return kept.address === this.address && whole ? kept : undefined;
    } catch {
      return undefined;
    }
  }

  /// One request, from byte to byte; network trouble and busy servers are waited for.
  async ask(start, end) {
    const { signal } = this.control;
    for (let attempt = 0; ; attempt++) {
      try {
        const stalled = new AbortController();
        const timer = setTimeout(() => stalled.abort(), STALLED_MS);
        const answer = await fetch(this.address, {
          headers: end > start ? { Range: `bytes=${start}-${end - 1}` } : {},
          signal: AbortSignal.any([signal, stalled.signal]),
          cache: "no-store",
        }).finally(() => clearTimeout(timer));
        // An empty file has no range.
        if (answer.ok || answer.status === 416) return answer.ok ? answer : await this.ask(0, 0);
        if (![408, 429, 500, 502, 503, 504].includes(answer.status) || attempt === WAITS_MS.length) refuse(this.address, answer);
      } catch (error) {
        if (signal.aborted) throw new Error("loading was broken off");
        if (error instanceof Refused) throw error;
        if (attempt === WAITS_MS.length) {
          throw new Error(`cannot fetch ${this.address}: ${error.message}; is the server reachable, and may this page read from it (CORS)?`);
        }
      }
      await wait(WAITS_MS[attempt], signal);
    }
  }

  /// Pieces of an answer as they come; one that stops coming is an error.
  async *pieces(answer) {
    const reader = answer.body.getReader();
    try {
      for (;;) {
        let timer;
        const late = new Promise((_, stop) => (timer = setTimeout(() => stop(new Error("the server stopped sending")), STALLED_MS)));
        const { done, value } = await Promise.race([reader.read(), late]).finally(() => clearTimeout(timer));
        if (done) return;
        yield value;
      }
    } finally {
      reader.cancel().catch(() => {});
    }
  }

  size(index) {
    return Math.min(CHUNK, this.length - index * CHUNK);
  }

  /// Bytes from `start` to `end`.
  async read(start, end) {
    const bytes = new Uint8Array(end - start);
    const put = async (index) => {
      const chunk = await this.chunk(index);
      const first = index * CHUNK;
      bytes.set(chunk.subarray(Math.max(0, start - first), Math.min(chunk.length, end - first)), Math.max(0, first - start));
    };
    const indices = [];
    for (let index = Math.floor(start / CHUNK); index * CHUNK < end; index++) indices.push(index);
    // What is sent from the beginning comes one after the other.
    if (this.ranges) await Promise.all(indices.map(put));
    else for (const index of indices) await put(index);
    return bytes;
  }

  async chunk(index) {
    const bytes = this.remembered.get(index) ?? (await this.cached(index)) ?? (this.ranges ? await this.fetched(index) : await this.streamed(index));
    this.remembered.delete(index);
    this.remembered.set(index, bytes);
    if (this.remembered.size > REMEMBERED) this.remembered.delete(this.remembered.keys().next().value);
    return bytes;
  }

  async cached(index) {
    if (this.blobs[index]) return new Uint8Array(await this.blobs[index].arrayBuffer());
    if (!this.folder || !this.hashes[index]) return undefined;
    try {
      const bytes = new Uint8Array(await (await read(this.folder, String(index))).arrayBuffer());
      if (bytes.length === this.size(index) && (await sha256(bytes)) === this.hashes[index]) return bytes;
    } catch {
      // A file that is gone is as good as a wrong one.
    }
    this.hashes[index] = null;
    await this.folder.removeEntry(String(index)).catch(() => {});
    return undefined;
  }

  /// Fetches one chunk, and what is missing of it again where the server cuts off.
  async fetched(index) {
    const bytes = new Uint8Array(this.size(index));
    let done = 0;
    let why = "";
    for (let attempt = 0; attempt <= WAITS_MS.length; attempt++) {
      if (attempt > 0) await wait(WAITS_MS[attempt - 1], this.control.signal);
      const before = done;
      try {
        const start = index * CHUNK;
        const answer = await this.ask(start + done, start + bytes.length);
        if (answer.status === 206) this.check(answer);
        else throw new Refused(`${this.address}: the server sends parts no longer; load it again`);
        for await (const piece of this.pieces(answer)) {
          bytes.set(piece.subarray(0, bytes.length - done), done);
          done = Math.min(bytes.length, done + piece.length);
        }
      } catch (error) {
        if (this.control.signal.aborted || error instanceof Refused) throw error;
        why = error.message;
      }
      if (done === bytes.length) {
        const hash = await sha256(bytes);
        if (!this.wanted[index] || this.wanted[index] === hash) {
          await this.keep(index, bytes, hash);
          return bytes;
        }
        why = "what came does not have the published SHA-256";
        done = 0;
      } else if (done > before) {
        // As long as something comes there is hope.
        attempt = 0;
      }
    }
    throw new Error(`cannot fetch ${this.address}: ${why || "the server cut off"}; what has come is kept, load it again to go on`);
  }

  check(answer) {
    const { length, version } = described(answer);
    if (length === this.length && version === this.version) return;
    throw new Refused(`${this.address} has changed on the server while it was loaded; load it again`);
  }

  /// A server without ranges sends from the beginning: everything is kept on the way to the chunk that is wanted.
  async streamed(index) {
    for (let attempt = 0; ; attempt++) {
      try {
        this.stream ??= this.chunks();
        for (;;) {
          const { done, value } = await this.stream.next();
          if (done) throw new Error("the server cut off");
          if (value.index === index) return value.bytes;
        }
      } catch (error) {
        this.stream = undefined;
        if (this.control.signal.aborted || error instanceof Refused) throw error;
        if (attempt === WAITS_MS.length) throw new Error(`cannot fetch ${this.address}: ${error.message}; load it again`);
        await wait(WAITS_MS[attempt], this.control.signal);
      }
    }
  }

  async *chunks() {
    const answer = this.first ?? (await this.ask(0, 0));
    this.first = undefined;
    this.check(answer);
    let index = 0;
    let done = 0;
    let bytes = new Uint8Array(this.size(0));
    for await (let piece of this.pieces(answer)) {
      while (piece.length > 0 && index < this.hashes.length) {
        const part = piece.subarray(0, bytes.length - done);
        bytes.set(part, done);
        done += part.length;
        piece = piece.subarray(part.length);
        if (done < bytes.length) continue;
        const hash = await sha256(bytes);
        if (this.wanted[index] && this.wanted[index] !== hash) throw new Error("what came does not have the published SHA-256");
        if (this.hashes[index] !== hash) await this.keep(index, bytes, hash);
        this.progress(Math.min(this.length, (index + 1) * CHUNK), this.length);
        yield { index, bytes };
        index += 1;
        done = 0;
        bytes = new Uint8Array(index < this.hashes.length ? this.size(index) : 0);
      }
    }
  }

  /// Puts a chunk into the cache; where there is no room, loading goes on without.
  keep(index, bytes, hash) {
    const save = async () => {
      try {
        if (!this.folder) throw new Error("no cache");
        await write(this.folder, String(index), bytes);
        this.hashes[index] = hash;
        const { address, length, version, hashes } = this;
        await write(this.folder, "manifest.json", JSON.stringify({ address, length, version, chunk: CHUNK, hashes }));
      } catch {
        this.folder = undefined;
        // What cannot be asked for again must stay with the browser.
        if (!this.ranges) this.blobs[index] = new Blob([bytes]);
      }
    };
    return (this.saving = this.saving.then(save));
  }

  abort() {
    this.control.abort();
  }
}

export const remote_file = (address, progress) => new Remote(new URL(address, document.baseURI).href, progress);
export const open_file = (file) => file.open();

