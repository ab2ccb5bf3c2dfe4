// A pitfall's page as elements. Whatever is not Markdown of ours stays text: no markup of the page itself gets through.

import { Marked } from "marked";

import type { Report } from "./report";

/** What the tests of treadle read in a block of code, and nobody else should. */
const MARK = /\s*# (?:error|watch|file): .*$/gm;

export function markdown(text: string, report: Report): DocumentFragment {
  const marked = new Marked({
    gfm: true,
    renderer: {
      html: ({ text: raw }) => escaped(raw),
      image: ({ text: alt }) => escaped(alt),
      code: ({ text: code }) => `<pre tabindex="0"><code>${escaped(code.replace(MARK, ""))}</code></pre>`,
      heading({ tokens, depth }) {
        return depth === 1 ? "" : `<h4>${this.parser.parseInline(tokens)}</h4>`;
      },
      link({ href, tokens }) {
        const inner = this.parser.parseInline(tokens);
        const to = target(href, report);
        return to === null ? inner : `<a href="${escaped(to)}" rel="noreferrer">${inner}</a>`;
      },
    },
  });
  const template = document.createElement("template");
  template.innerHTML = marked.parse(text, { async: false });
  return template.content;
}

/** Pages link to each other by file; here they are under findings, or not at all. */
function target(href: string, report: Report): string | null {
  if (href.startsWith("https://")) return href;
  const name = /([a-z_]+)\/page\.md$/.exec(href)?.[1]?.replaceAll("_", "-");
  const at = report.findings.findIndex((finding) => finding.name === name);
  return at < 0 ? null : `#finding-${at + 1}`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
