// Pictures of the page for the documentation: `node pictures.mjs DIRECTORY`.

import { join } from "node:path";

import { closed, LOOKS, Reader, ROOT, Timeline } from "./reading.mjs";
import { small } from "./reports.mjs";

const [directory] = process.argv.slice(2);
const report = small(ROOT);
const reader = await Reader.start();
try {
  const [light, dark] = LOOKS.map((look) => ({ ...look, viewport: { width: 820, height: 900 } }));
  await picture(light, "report-findings", async (page) => {
    const [top, bottom] = [await page.locator("#verdict").boundingBox(), await page.locator("#finding-1").boundingBox()];
    return { ...top, height: bottom.y + bottom.height - top.y };
  });
  await picture(dark, "report-timeline", async (page) => {
    const timeline = new Timeline(page, report);
    await page.locator("#finding-2").getByRole("button", { name: /timeline/ }).click();
    const { start, took } = report.pauses;
    const blocked = report.pauses.kind.indexOf("blocked");
    await timeline.show(start[blocked] - 120_000, start[blocked] + took[blocked] + 900_000);
    await page.mouse.move(0, 0);
    await timeline.settled();
    const [part, drawing] = [await timeline.part.boundingBox(), await timeline.part.locator(".stage.timeline").boundingBox()];
    return { ...part, height: drawing.y + drawing.height - part.y + 8 };
  });
  await picture(light, "report-waits", async (page) => {
    const [part, rest] = [await page.locator("#waits").boundingBox(), await page.locator(".waits-list:not(.ring)").boundingBox()];
    return { ...part, height: rest.y - part.y - 40 };
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
