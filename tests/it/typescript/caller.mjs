// A program that uses sidecars through rouse.ts, compiled to the path in $ROUSE_JS. A line in, a line out:
//
//     ensure NAME [TIMES]   "ready", or why not; as often as that, all at the same moment
//     mark NAME             "marked", at once
//     running NAME          "true" or "false"
//     become UID            "became UID", which is nobody of importance

import { createInterface } from "node:readline";

const { ensureSidecar, isSidecarRunning, markSidecarUsed } = await import(process.env.ROUSE_JS);

const verbs = {
  async ensure(name, times = "1") {
    const asked = Array.from({ length: Number(times) }, () => ensureSidecar(name));
    const ends = (await Promise.allSettled(asked)).map(({ value, reason }) => reason?.message ?? value ?? "ready");
    // All that are alike count once.
    return [...new Set(ends)].join(" | ");
  },
  mark: (name) => markSidecarUsed(name) ?? "marked",
  running: isSidecarRunning,
  become(uid) {
    process.setgroups([]);
    process.setgid(Number(uid));
    process.setuid(Number(uid));
    return `became ${process.getuid()}`;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [verb, ...words] = line.split(" ");
  console.log(String(await verbs[verb](...words)));
}
