// Pictures of the page for the documentation: `node pictures.mjs DIRECTORY`.

import { join } from "node:path";

import { closed, LOOKS, Reader, ROOT, Timeline } from "./reading.mjs";
import { small } from "./reports.mjs";

const [directory] = process.argv.slice(2);
const report = small(ROOT);
const reader = await Reader.start();
try {
  const [light, dark] = LOOKS.map((look) => ({ ...look, viewport: { width: 1000, height: 900 } }));
  await picture(light, "report-findings", async (page) => {
    const [top, bottom] = [await page.locator("#verdict").boundingBox(), await page.locator("#finding-2").boundingBox()];
    return { x: top.x, y: top.y, width: top.width, height: bottom.y + bottom.height - top.y };
  });
  await picture(dark, "report-timeline", async (page) => {
    await page.locator("#finding-2").getByRole("button", { name: /timeline/ }).click();
    const timeline = new Timeline(page, report);
    await timeline.show(1_000_000, 3_200_000);
    const all = [await timeline.part.boundingBox(), await timeline.panel.boundingBox()];
    return { ...all[0], height: all[1].y + all[1].height - all[0].y + 12 };
  });
  await picture(light, "report-waits", async (page) => {
    const [part, rest] = [await page.locator("#waits").boundingBox(), await page.locator(".waits-list:not(.ring)").boundingBox()];
    return { ...part, height: rest.y - part.y + 90 };
  });
} finally {
  await reader.stop();
}

async function picture(look, name, where) {
  const page = await reader.open(report, { ...look, reducedMotion: "reduce" });
  await page.evaluate(() => document.fonts.ready);
  const clip = await where(page);
  const scroll = await page.evaluate(() => scrollY);
  await page.screenshot({ path: join(directory, `${name}.png`), fullPage: true, clip: { ...clip, y: clip.y + scroll } });
  await closed(page);
}
