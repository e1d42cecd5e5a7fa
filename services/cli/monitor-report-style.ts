// How the report looks: light or dark as the reader's system is, one accent for what is current, grey
// for the baseline, and red or amber only where something is wrong. On paper it is always light.

const LIGHT = `
  --page: #f7f8f9; --card: #ffffff; --ink: #1b1f24; --soft: #5b6570; --rule: #e3e6ea;
  --grid: #edeff2; --base: #b9c0c9; --now: #2f6bd0; --other: #8a5cc2;
  --bad: #b93124; --bad-fill: #fbeae8; --warn: #8a5a00; --warn-fill: #fbf1dc;
  --good: #22704a; --good-fill: #e5f4ec; --none-fill: #eef0f3;`;

const DARK = `
  --page: #0f1215; --card: #171b20; --ink: #e5e8ec; --soft: #98a2ae; --rule: #2a3038;
  --grid: #232931; --base: #5d6773; --now: #6c9ff0; --other: #b592e6;
  --bad: #f08a7d; --bad-fill: #3a1d1a; --warn: #e3b65c; --warn-fill: #362a12;
  --good: #6cc596; --good-fill: #14301f; --none-fill: #232931;`;

const FONT =
  'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif';

/** The style sheet of a report. */
export const STYLE = `
:root { color-scheme: light dark; ${LIGHT} }
@media (prefers-color-scheme: dark) { :root { ${DARK} } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 14px/1.5 ${FONT};
  font-variant-numeric: tabular-nums; }
main, header { max-width: 1200px; margin: 0 auto; padding: 0 28px; }
header { padding-top: 32px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 4px; letter-spacing: -0.01em;
  overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 40px 0 4px; letter-spacing: -0.005em; }
h3 { font-size: 14px; margin: 0; overflow-wrap: anywhere; }
p { margin: 0 0 12px; max-width: 76ch; }
.soft, .lead { color: var(--soft); }
.lead { margin: 0; max-width: none; }
nav { display: flex; flex-wrap: wrap; gap: 4px 18px; margin-top: 14px; padding-bottom: 10px;
  border-bottom: 1px solid var(--rule); }
a { color: var(--now); text-decoration: none; }
a:hover { text-decoration: underline; }
.cards { display: grid; grid-template-columns: repeat(6, 1fr); gap: 12px; margin-top: 20px; }
@media (max-width: 1080px) { .cards { grid-template-columns: repeat(3, 1fr); } }
@media (max-width: 560px) { .cards { grid-template-columns: repeat(2, 1fr); } }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 14px 16px;
  min-width: 0; break-inside: avoid; }
.card .what { color: var(--soft); font-size: 12.5px; }
.card .number { font-size: 24px; line-height: 1.3; font-weight: 600; letter-spacing: -0.01em; }
.card .word { font-size: 17px; line-height: 1.85; }
.card .beside { color: var(--soft); font-size: 12.5px; }
.bad-card { border-left: 3px solid var(--bad); } .bad-card .number { color: var(--bad); }
.good-card { border-left: 3px solid var(--good); }
.warn-card { border-left: 3px solid var(--warn); }
figure.card { margin: 0; } .wide { overflow-x: auto; }
.grid2 > .scroll { margin-top: 0; }
.grid2 { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 12px;
  margin-top: 12px; }
.head { display: flex; flex-wrap: wrap; align-items: baseline; gap: 2px 10px; margin-bottom: 2px; }
.measure { color: var(--soft); font-size: 12.5px; margin: 0 0 8px; max-width: none; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--rule); border-radius: 8px;
  margin-top: 12px; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th, td { padding: 7px 12px; text-align: left; border-bottom: 1px solid var(--rule);
  vertical-align: middle; }
thead th { color: var(--soft); font-weight: 500; font-size: 12px; white-space: nowrap;
  background: var(--card); }
tbody tr:last-child > * { border-bottom: 0; }
tbody th { font-weight: 500; overflow-wrap: anywhere; min-width: 110px; max-width: 260px; }
td small { display: block; color: var(--soft); font-size: 11.5px; font-weight: 400; }
td b { font-weight: 600; }
.n { text-align: right; white-space: nowrap; }
.t { white-space: nowrap; }
tr.off { color: var(--soft); }
.tag { display: inline-block; padding: 1px 8px; border-radius: 10px; font-size: 12px; font-weight: 500;
  white-space: nowrap; background: var(--none-fill); color: var(--soft); }
.tag.bad { background: var(--bad-fill); color: var(--bad); }
.tag.warn { background: var(--warn-fill); color: var(--warn); }
.tag.good { background: var(--good-fill); color: var(--good); }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; color: var(--soft); font-size: 12.5px;
  margin: 6px 0 0; }
.legend i { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 6px; }
.legend i.line { height: 3px; width: 14px; vertical-align: 3px; }
svg { display: block; }
svg.chart { width: 100%; height: auto; }
svg text { font-family: inherit; }
.tick { font-size: 11px; fill: var(--soft); }
.name { font-size: 12px; fill: var(--ink); }
.grid { stroke: var(--grid); } .axis { stroke: var(--rule); }
rect.base, path.base:not(.line), i.base { fill: var(--base); background: var(--base); }
rect.now, path.now:not(.line), i.now { fill: var(--now); background: var(--now); }
svg rect.now, svg path.now:not(.line) { fill-opacity: 0.82; } svg rect.now.open { fill-opacity: 0.35; }
i.other { background: var(--other); }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.line.now { stroke: var(--now); } .line.other { stroke: var(--other); }
.line.base { stroke: var(--base); }
.dot.now { fill: var(--now); } .dot.other { fill: var(--other); } .dot.base { fill: var(--base); }
.band { fill: var(--other); fill-opacity: 0.16; } i.band { background: var(--other); opacity: 0.3; }
.limit { stroke: var(--bad); stroke-dasharray: 4 3; } .limit-name { font-size: 11px; fill: var(--bad); }
.card > .legend:last-child { margin-bottom: 0; }
details { margin-top: 8px; font-size: 12.5px; } summary { color: var(--soft); cursor: pointer; }
details table { font-size: 12.5px; margin-top: 6px; } details th, details td { padding: 3px 8px; }
.heat { width: auto; } .heat td { text-align: right; min-width: 84px;
  background: color-mix(in srgb, var(--now) calc(var(--heat) * 55%), transparent); } .heat .right { font-weight: 600; }
.empty { background: var(--card); border: 1px dashed var(--rule); border-radius: 8px;
  padding: 16px; margin-top: 12px; color: var(--soft); max-width: none; }
footer { max-width: 1200px; margin: 40px auto 0; padding: 16px 28px 32px; color: var(--soft);
  font-size: 12.5px; }
.head small { color: var(--soft); }
@media (max-width: 900px) { th, td { padding: 7px 8px; } svg.mini { width: 108px; height: auto; } }
@media (max-width: 640px) { main, header, footer { padding-left: 14px; padding-right: 14px; } }
@media print {
  :root { color-scheme: light; ${LIGHT} --page: #ffffff; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  nav, details { display: none; } body { font-size: 11px; } main, header { max-width: none; padding: 0; }
  h2 { break-after: avoid; } .scroll { overflow: visible; } tr { break-inside: avoid; }
}
`;
