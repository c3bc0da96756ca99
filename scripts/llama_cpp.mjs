// CPU time that llama.cpp takes for a prompt and for each token behind it, on its CPU backend or on Vulkan: the other side of the
// table in docs/performance.md.
//
//     npm install --ignore-scripts node-llama-cpp @node-llama-cpp/linux-x64-vulkan @node-llama-cpp/linux-x64
//     GGML_VK_VISIBLE_DEVICES=0 node llama_cpp.mjs MODEL.gguf vulkan 3 2     # 3 tokens behind a prompt of 2
//     GGML_VK_VISIBLE_DEVICES=0 node llama_cpp.mjs MODEL.gguf vulkan 3 2 32  # the same by 32 sequences side by side
//
// Run it from the folder that npm installed into. The first token pays for the compilation of shaders as well.

import { getLlama, LlamaLogLevel } from "node-llama-cpp";

const [modelPath, backend, tokens, promptTokens, lanes = "1"] = process.argv.slice(2);
const onGpu = backend === "vulkan";
const llama = await getLlama({ gpu: onGpu ? "vulkan" : false, build: "never", logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath, gpuLayers: onGpu ? 99 : 0 });
const sequences = Number(lanes);
const context = await model.createContext({ contextSize: sequences > 1 ? 64 : 256, sequences, batchSize: 256, threads: 1 });
const prompt = model.tokenize("Tell me about the sea. ".repeat(60)).slice(0, Number(promptTokens));

const seconds = () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
};
let before = [seconds(), performance.now()];
const told = Array(Number(tokens) + 1).fill(0);

/// Writes one sequence; whoever is the last to have a token tells what it took.
async function write(sequence) {
    let token = 0;
    for await (const _ of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
        if (++told[token] === sequences) {
            const now = [seconds(), performance.now()];
            const [cpu, wall] = [now[0] - before[0], (now[1] - before[1]) / 1e3];
            console.log(`token ${token} of ${sequences} after ${cpu.toFixed(2)} s of CPU time, ${wall.toFixed(2)} s on the wall`);
            before = now;
        }
        if (token++ === Number(tokens)) return;
    }
}
await Promise.all(Array.from({ length: sequences }, () => write(context.getSequence())));
process.exit(0);
