// How large a page of `treadle report` is and how soon it can be used: `node measure.mjs PAGE`. Fails where that is more than a page may take.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { closed, LOOKS, Reader } from "./reading.mjs";

const html = readFileSync(process.argv[2], "utf8");
const reader = await Reader.start();
try {
  const times = [];
  for (let round = 0; round < 5; round++) {
    const page = await reader.open(null, LOOKS[0], { html });
    times.push(await page.evaluate(() => [performance.getEntriesByName("interactive")[0].startTime, performance.now()]));
    await closed(page);
  }
  // The machine may have had something else to do in the other rounds.
  const [interactive, all] = times.sort(([one], [other]) => one - other)[0];
  console.log(`${(html.length / 2 ** 20).toFixed(2)} MiB, can be used after ${Math.round(interactive)} ms, every part is there after ${Math.round(all)} ms`);
  assert.ok(html.length <= 5 * 2 ** 20, "larger than 5 MiB");
  assert.ok(interactive <= 2000, "cannot be used within two seconds");
} finally {
  await reader.stop();
}
