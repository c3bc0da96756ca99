// CPU time that llama.cpp takes for a prompt and for each token behind it, on its CPU backend or on Vulkan: the other side of the
// table in docs/performance.md.
//
//     npm install --ignore-scripts node-llama-cpp @node-llama-cpp/linux-x64-vulkan @node-llama-cpp/linux-x64
//     GGML_VK_VISIBLE_DEVICES=0 node llama_cpp.mjs MODEL.gguf vulkan 3 2     # 3 tokens behind a prompt of 2
//
// Run it from the folder that npm installed into. The first token pays for the compilation of shaders as well.

import { getLlama, LlamaLogLevel } from "node-llama-cpp";

const [modelPath, backend, tokens, promptTokens] = process.argv.slice(2);
const onGpu = backend === "vulkan";
const llama = await getLlama({ gpu: onGpu ? "vulkan" : false, build: "never", logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath, gpuLayers: onGpu ? 99 : 0 });
const context = await model.createContext({ contextSize: 256, sequences: 1, batchSize: 256, threads: 1 });
const prompt = model.tokenize("Tell me about the sea. ".repeat(60)).slice(0, Number(promptTokens));

const seconds = () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
};
let before = seconds();
let written = 0;
for await (const _ of context.getSequence().evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    const now = seconds();
    console.log(`token ${written} after ${(now - before).toFixed(2)} s of CPU time`);
    before = now;
    written += 1;
    if (written > Number(tokens)) break;
}
process.exit(0);
