// graphile-worker. Arguments: the URL, and `plain` or `local` (a local queue of 500 and batched completion).
// It reads phases and answers them as phases.py says.

import { createInterface } from "node:readline";
import { Logger, makeWorkerUtils, run } from "graphile-worker";

const [url, mode] = process.argv.slice(2);
const quiet = new Logger(() => () => {});
const local = { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 };
const preset = {
  worker: {
    connectionString: url,
    maxPoolSize: 20,
    concurrentJobs: mode === "local" ? 24 : 10,
    logger: quiet,
    ...(mode === "local" ? local : {}),
  },
};
const utils = await makeWorkerUtils({ preset });
await utils.migrate();

let left = 0;
let empty = () => {};
let picked = () => {};
const taskList = {
  nothing: async () => {
    picked();
    if (--left === 0) empty();
  },
};
const worker = () => run({ preset, taskList, noHandleSignals: true });

async function singly(count) {
  for (let i = 0; i < count; i++) await utils.addJob("nothing", {});
}

const phases = {
  singly,
  ten: (count) => Promise.all(Array.from({ length: 10 }, () => singly(count / 10))),
  async thousands(count) {
    const jobs = Array.from({ length: 1000 }, () => ({ identifier: "nothing", payload: {} }));
    for (let i = 0; i < count / 1000; i++) await utils.addJobs(jobs);
  },
  async run(count) {
    left = count;
    const done = new Promise((resolve) => (empty = resolve));
    const runner = await worker();
    await done;
    await runner.stop();
  },
  async "pick-up"(count) {
    const runner = await worker();
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const waits = [];
    for (let i = 0; i < count; i++) {
      const taken = new Promise((resolve) => (picked = resolve));
      const began = performance.now();
      await utils.addJob("nothing", {});
      await taken;
      waits.push(performance.now() - began);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await runner.stop();
    return waits;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [name, count] = line.split(" ");
  const [began, used] = [performance.now(), process.cpuUsage()];
  const waits = await phases[name](Number(count));
  const { user, system } = process.cpuUsage(used);
  const answer = { seconds: (performance.now() - began) / 1000, cpu: (user + system) / 1e6 };
  console.log(JSON.stringify(Array.isArray(waits) && name === "pick-up" ? { waits } : answer));
}
process.exit(0);
