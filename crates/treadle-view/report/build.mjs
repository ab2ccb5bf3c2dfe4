// Makes the one file that `treadle report` fills in: `node build.mjs [OUTPUT]`. The same sources give the same bytes.

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const output = process.argv[2] ?? join(here, "../src/report/page.html");
/** What a page may weigh before anything is put into it. */
const MOST = 400 * 1024;

const bundled = await build({
  absWorkingDir: here,
  entryPoints: ["src/main.ts"],
  outdir: "out",
  bundle: true,
  minify: true,
  format: "iife",
  target: ["es2022"],
  charset: "utf8",
  legalComments: "none",
  metafile: true,
  write: false,
});
const text = (ending) => bundled.outputFiles.find((file) => file.path.endsWith(ending)).text.trim();
// A script element ends at its closing tag, wherever in the script that stands.
const script = text(".js").replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--");
const style = text(".css");

const parts = {
  SOURCES: sources(),
  STYLE_HASH: hashed(style),
  SCRIPT_HASH: hashed(script),
  STYLE: style,
  LICENCES: licences(Object.keys(bundled.metafile.inputs)),
  SCRIPT: script,
};
const template = readFileSync(join(here, "page.html"), "utf8");
const page = template.replace(/@@([A-Z_]+)@@/g, (whole, name) => parts[name] ?? whole);
const size = Buffer.byteLength(page);
if (size > MOST) throw new Error(`the page has ${size} bytes, more than ${MOST}`);
for (const name of ["TITLE", "REPORT"]) {
  if (page.split(`@@${name}@@`).length !== 2) throw new Error(`@@${name}@@ must stand in the page once`);
}
writeFileSync(output, page);
console.log(`${relative(process.cwd(), output)}: ${size} bytes`);

function hashed(content) {
  return `'sha256-${createHash("sha256").update(content).digest("base64")}'`;
}

/** FNV-1a over the names and bytes of all files here: treadle's tests compute the same, without Node. */
function sources() {
  let hash = 0xcbf29ce484222325n;
  const take = (bytes) => {
    for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  };
  for (const path of files("")) {
    const bytes = readFileSync(join(here, path));
    take(Buffer.from(`${path}\0${bytes.length}\0`));
    take(bytes);
  }
  return hash.toString(16).padStart(16, "0");
}

function files(directory) {
  const found = readdirSync(join(here, directory), { withFileTypes: true }).flatMap((entry) => {
    if (entry.name === "node_modules") return [];
    const path = directory === "" ? entry.name : `${directory}/${entry.name}`;
    return entry.isDirectory() ? files(path) : [path];
  });
  return found.sort();
}

/** The licences of all packages of which something is in the bundle. */
function licences(inputs) {
  const names = new Set(inputs.flatMap((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.slice(1, 2) ?? []));
  // What a package needs may already be inside of its own bundle.
  for (const name of names) {
    const { dependencies } = JSON.parse(readFileSync(join(here, "node_modules", name, "package.json"), "utf8"));
    for (const needed of Object.keys(dependencies ?? {})) names.add(needed);
  }
  const texts = [...names].sort().map((name) => {
    const directory = join(here, "node_modules", name);
    const file = readdirSync(directory).find((entry) => /^licen[cs]e(\.|$)/i.test(entry));
    const beside = file === undefined ? join(here, "licences", `${name.replace("/", "-")}.txt`) : join(directory, file);
    if (!existsSync(beside)) throw new Error(`${name} has no licence text`);
    const { version } = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
    return `${name} ${version}\n\n${readFileSync(beside, "utf8").trim()}`;
  });
  // Two dashes would end the comment.
  return texts.join(`\n\n${"=".repeat(78)}\n\n`).replaceAll("--", "- -");
}
