// The pure parts of `plinth monitor`: words, shares, times, axes, small bars, escaping.

import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { AlertRuleSchema, Comparison } from "../../gen/plinth/monitoring/v1/alert_pb.js";
import { DriftMethod } from "../../gen/plinth/monitoring/v1/drift_pb.js";
import {
  ColumnBinsSchema,
  DriftReportSchema,
  TimeRangeSchema,
} from "../../gen/plinth/monitoring/v1/report_pb.js";
import { durationOf } from "../common/duration.ts";
import { UsageError } from "./exit-codes.ts";
import { conditionText } from "./monitor-alert-words.ts";
import { worstFirst } from "./monitor-drift-lines.ts";
import { isVersion } from "./monitor-range.ts";
import { shortNumber, ticks, timeLabel, timeTicks } from "./monitor-report-axes.ts";
import { breakable, escaped, html } from "./monitor-report-markup.ts";
import { sparkline } from "./monitor-sparkline.ts";
import {
  datasetText,
  METHODS,
  measureText,
  methodOption,
  methodTitle,
  percentText,
  rangeText,
  referenceText,
  spanText,
  verdictText,
} from "./monitor-words.ts";
import { DRIFT, day, HOSTILE } from "./testing-flights.ts";

const report = create(DriftReportSchema, DRIFT);

describe("monitor-words", () => {
  it("names every method, with a title of its own", () => {
    expect(METHODS).toHaveLength(11);
    const titles = METHODS.map((word) => methodTitle(methodOption(word)));
    expect(new Set(titles).size).toBe(11);
    expect(methodOption("Jensen-Shannon")).toBe(DriftMethod.JENSEN_SHANNON);
    expect(methodOption("auto")).toBe(DriftMethod.UNSPECIFIED);
    expect(() => methodOption("wasserstien")).toThrow('Did you mean "wasserstein"?');
    expect(() => methodOption("UNSPECIFIED")).toThrow(UsageError);
  });

  it("writes shares, measures and spans", () => {
    expect([0, 0.44, 0.005, 0.0004, 0.00001, 1, 1 / 3].map(percentText)).toEqual([
      "0%",
      "44%",
      "0.5%",
      "0.04%",
      "<0.01%",
      "100%",
      "33.3%",
    ]);
    expect([0, 0.123456, 3.14e-9, 12.5, 1e-4].map(measureText)).toEqual([
      "0",
      "0.1235",
      "3.1e-9",
      "12.5",
      "0.0001",
    ]);
    const spans = [0, 500, 90_000, 129_600_000, 3_600_000, 3_062_220_000];
    expect(spans.map((ms) => spanText(durationOf(ms)))).toEqual([
      "",
      "500ms",
      "1m30s",
      "1d12h",
      "1h",
      "35d10h37m",
    ]);
    expect(spanText(undefined)).toBe("");
  });

  it("writes ranges, the day once", () => {
    const range = (start: number, end: number) =>
      rangeText(create(TimeRangeSchema, { startTime: day(0, start), endTime: day(0, end) }));
    expect(range(8, 9)).toBe("2001-02-01 08:00Z to 09:00Z");
    expect(range(8, 24)).toBe("2001-02-01 08:00Z to 2001-02-02 00:00Z");
    expect(rangeText(create(TimeRangeSchema, { startTime: day(0) }))).toBe(
      "since 2001-02-01 00:00Z",
    );
    const seconds = { startTime: day(0, 8), endTime: { ...day(0, 8), seconds: 981_014_410n } };
    expect(rangeText(create(TimeRangeSchema, seconds))).toBe("2001-02-01 08:00:00Z to 08:00:10Z");
    expect(rangeText(undefined)).toBe("");
  });

  it("says what came of a comparison, and of what", () => {
    expect(report.columns.map(({ drift }) => verdictText(drift))).toEqual([
      "no drift",
      "DRIFTED",
      "DRIFTED",
      "DRIFTED",
      "no drift",
      "too few: 122 of 500",
      "not comparable: constant",
      "no drift",
      "DRIFTED",
    ]);
    expect(datasetText(report.features)).toBe(
      "DRIFTED: 3 of 5 columns (60%; drift from 50% on), 2 not measured",
    );
    expect(datasetText(undefined)).toBe("no columns");
    expect(referenceText(report)).toBe("the baseline of delay/3");
    const reference = "workspaces/default/models/delay/versions/2";
    expect(referenceText({ ...report, reference })).toBe("version delay/2 at the same time");
  });

  it("sorts the worst first, by how far it is beyond its threshold", () => {
    expect(worstFirst(report.columns).map(({ name }) => name)).toEqual([
      "prediction.probabilities[1]",
      "origin_mean_delay",
      "origin",
      "hour",
      "prediction.label",
      "distance",
      "is_weekend",
      "snow_depth_at_the_airport_of_departure_in_centimetres",
      HOSTILE,
    ]);
  });

  it("writes conditions as they are written in files", () => {
    const text = (condition: Parameters<typeof create<typeof AlertRuleSchema>>[1]) =>
      conditionText(create(AlertRuleSchema, condition));
    const comparison = Comparison.GREATER;
    expect(text({ condition: { case: "threshold", value: { comparison, value: 0.3 } } })).toBe(
      "> 0.3",
    );
    expect(
      text({
        condition: { case: "baseline", value: { comparison, factor: 2, offset: -0.01 } },
      }),
    ).toBe("> baseline * 2 - 0.01");
    expect(text({ condition: { case: "baseline", value: { comparison } } })).toBe("> baseline");
    expect(text({ condition: { case: "sigma", value: {} } })).toBe(
      "3 sigma from the mean of 30 windows",
    );
  });

  it("finds a version by number and by name", () => {
    const name = "workspaces/w/models/m/versions/13";
    expect([isVersion(name, ""), isVersion(name, "13"), isVersion(name, name)]).toEqual([
      true,
      true,
      true,
    ]);
    expect(isVersion(name, "3")).toBe(false);
  });
});

describe("monitor-sparkline", () => {
  it("draws both sides on one scale; a bin without rows is a blank", () => {
    const bins = create(ColumnBinsSchema, { reference: [1, 2, 1], current: [0, 0, 4] });
    expect(sparkline(bins)).toBe("▂▄▂ |   █");
    expect(sparkline(create(ColumnBinsSchema, {}))).toBe("");
    const one = create(ColumnBinsSchema, { reference: [0], current: [0] });
    expect(sparkline(one)).toBe("  |  ");
  });

  it("divides bins among fewer characters without making steps", () => {
    const flat = Array.from({ length: 18 }, () => 5);
    const bins = create(ColumnBinsSchema, { reference: flat, current: flat });
    expect(sparkline(bins, 12)).toBe(`${"█".repeat(12)} | ${"█".repeat(12)}`);
  });
});

describe("monitor-report-axes", () => {
  it("marks round numbers", () => {
    expect(ticks(0, 1)).toEqual([0, 0.25, 0.5, 0.75, 1]);
    expect(ticks(0, 0.16)).toEqual([0, 0.05, 0.1, 0.15]);
    expect(ticks(-7, 113, 5)).toEqual([0, 25, 50, 75, 100]);
    expect(ticks(3, 3)).toEqual([3]);
    expect([0, 1200, 12_500, 2_500_000, 0.05, 0.00005].map(shortNumber)).toEqual([
      "0",
      "1200",
      "12.5k",
      "2.5M",
      "0.05",
      "5.0e-5",
    ]);
  });

  it("marks round times", () => {
    const start = Date.UTC(2001, 1, 1, 0, 20);
    const hours = timeTicks(start, start + 5 * 3_600_000);
    expect(hours.map((ms) => timeLabel(ms, 5 * 3_600_000))).toEqual([
      "01:00",
      "02:00",
      "03:00",
      "04:00",
      "05:00",
    ]);
    const span = 28 * 86_400_000;
    expect(timeTicks(start, start + span).length).toBeLessThanOrEqual(6);
    expect(timeLabel(Date.UTC(2001, 1, 3), span)).toBe("3 Feb");
    expect(timeTicks(start, start + 900 * span).length).toBeLessThanOrEqual(7);
  });
});

describe("monitor-report-markup", () => {
  it("escapes every value, and takes only its own markup as it is", () => {
    expect(
      html`<p title="${'"><b>'}">${HOSTILE} ${3} ${undefined}${html`<i>${"&"}</i>`}</p>`.markup,
    ).toBe(
      '<p title="&quot;&gt;&lt;b&gt;">&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; 3 <i>&amp;</i></p>',
    );
    expect(escaped("a\u202eb\u0000'")).toBe("a\ufffdb\ufffd&#39;");
    expect(breakable("a_<b>").markup).toBe("a_<wbr>&lt;b&gt;");
  });
});
