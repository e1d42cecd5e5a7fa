// Small pieces that every section of the report is built of: tables, tags, legends, charts in cards.

import {
  type DriftResult,
  DriftResult_Outcome as Outcome,
} from "../../gen/plinth/monitoring/v1/drift_pb.js";
import { html, type Markup, nothing } from "./monitor-report-markup.ts";
import { severityWord, verdictText } from "./monitor-words.ts";

/** How a tag is coloured. */
export type Tone = "bad" | "warn" | "good" | "";

/** A heading of a table; numbers stand to the right. */
export interface Heading {
  readonly title: string;
  readonly number?: boolean;
}

/** A row: its first cell names it. */
export interface Row {
  readonly cells: readonly (string | Markup)[];
  /** Not measured: set back. */
  readonly off?: boolean;
}

/** A word on a coloured ground. */
export function tag(text: string, tone: Tone): Markup {
  return html`<span class="tag ${tone}">${text}</span>`;
}

/** The verdict on one column. */
export function verdictTag(drift: DriftResult | undefined): Markup {
  if (drift?.outcome !== Outcome.MEASURED) {
    // "too few: 12 of 500": the word, and what stands behind it.
    const [word = "", why] = verdictText(drift).split(": ");
    return why === undefined ? tag(word, "") : html`${tag(word, "")}<small>${why}</small>`;
  }
  if (!drift.drifted) {
    return tag("no drift", "good");
  }
  const severity = severityWord(drift.severity);
  const tone = severity === "significant" ? "bad" : "warn";
  return tag(severity === "none" ? "drifted" : `drifted, ${severity}`, tone);
}

/** A table that scrolls sideways where the page is narrow. */
export function table(caption: string, headings: readonly Heading[], rows: readonly Row[]): Markup {
  const heads = headings.map(
    ({ title, number }) => html`<th scope="col"${classOf(number)}>${title}</th>`,
  );
  const body = rows.map(
    ({ cells, off }) =>
      html`<tr${off === true && html` class="off"`}>${cells.map((cell, index) =>
        index === 0
          ? html`<th scope="row">${cell}</th>`
          : html`<td${classOf(headings[index]?.number)}>${cell}</td>`,
      )}</tr>\n`,
  );
  return html`<div class="scroll"><table aria-label="${caption}">
<thead><tr>${heads}</tr></thead>
<tbody>${body}</tbody>
</table></div>`;
}

function classOf(number: boolean | undefined): Markup {
  return number === undefined ? nothing : number ? html` class="n"` : html` class="t"`;
}

/** The names of what a chart shows: a colour of the page and what it stands for. */
export function legend(entries: readonly (readonly [string, string])[]): Markup {
  return html`<p class="legend">${entries.map(
    ([style, text]) => html`<span><i class="${style}"></i>${text}</span>`,
  )}</p>`;
}

/** A chart in a card; nothing where there is no chart. */
export function chartCard(title: string, chart: Markup, below: Markup = nothing): Markup {
  return chart.markup === ""
    ? nothing
    : html`<figure class="card"><h3>${title}</h3>${chart}${below}</figure>`;
}

/** What is said in place of something that is not there. */
export function empty(text: string): Markup {
  return html`<p class="empty">${text}</p>`;
}

/** A section of the page. */
export function section(id: string, title: string, lead: string, content: Markup): Markup {
  return html`<section id="${id}"><h2>${title}</h2><p class="lead">${lead}</p>${content}</section>`;
}
