// `plinth features`: the definitions' commands, and the group that the others join. What they do is
// in features-*.ts.

import type { Command } from "commander";
import { examples, limitOption, type Runtime, runs } from "./command.ts";
import { jobCommands } from "./features-job-commands.ts";
import { valueCommands } from "./features-value-commands.ts";

const APPLY = [
  "Make the definitions in files so; others stay as they are. Shows first what would change, and asks " +
    "on a terminal. Applying twice is applying once. A change that would break a feature service in use " +
    "is refused, and the service named.",
  "YAML: one document a definition (--- between them), with kind and name. A TypeScript or JavaScript " +
    "module is run; it exports an array of the same objects as its default or as `definitions`.",
].join("\n\n");

const SYNTAX = `
Definitions:
  kind: Entity                      # what features describe
  name: airport
  joinKeys: {airport: string}       # or [airport] with valueType: string
  ---
  kind: FeatureView                 # features that come in the same rows
  name: airport_delays
  entities: [airport]
  ttl: 7d                           # 90m, 12h, 1d12h; none: rows are good forever
  features:                         # Feast's schema: will do
    mean_delay: double
    flights: {type: int64, default: 0, description: departures in the window}
  source:                           # where columns of files have other names
    eventTimestampColumn: time
    fieldMapping: {delay_mean: mean_delay}
  online: true                      # where rows are kept; both are true by default
  offline: true
  tags: {team: operations}
  ---
  kind: OnDemandFeatureView         # computed when asked for, in CEL
  name: departure
  inputs: {departure: timestamp, origin_mean_delay: double}
  expressions:
    hour: {type: int64, expression: "departure.getHours()"}
  ---
  kind: FeatureService              # what one model takes; pins the views' versions
  name: delay_model
  projections:
    - view: airport_delays
      joinKeys: {airport: origin}   # the request has the key as origin
      features: {mean_delay: origin_mean_delay}
    - departure                     # all of a view; departure@2 pins, departure:hour picks
  loggingSampleRate: 0.01           # share of online reads kept for check-skew

Types: bool, int32, int64, float, double, string, bytes, timestamp (also Feast's Float32, Float64,
UnixTimestamp). Every definition may have description, owner and tags. Keys may be written in
snake_case, and as protobuf JSON has them, so that \`features describe ... --json\` can be applied.
In TypeScript the type DefinitionFile of services/cli/features-file.ts lets an editor check them.`;

/** Adds `plinth features ...`. */
export function featureCommands(program: Command, runtime: Runtime): void {
  const features = program
    .command("features")
    .description("define features, store and read their values, make training sets");
  applyCommand(features, runtime);
  readCommands(features, runtime);
  valueCommands(features, runtime);
  jobCommands(features, runtime);
}

function applyCommand(features: Command, runtime: Runtime): void {
  const apply = features
    .command("apply")
    .summary("create and change definitions from files")
    .description(APPLY)
    .argument("<file...>", ".yaml, .yml, .json, .ts, .mts, .js or .mjs; - is YAML on stdin")
    .option("--dry-run", "show what would change, and change nothing")
    .option("--yes", "do not ask");
  apply.addHelpText("after", SYNTAX);
  examples(apply, [
    ["See what would change", "plinth features apply features.yaml --dry-run"],
    ["Change it without a question", "plinth features apply features.yaml models.ts --yes"],
  ]);
  runs(apply, runtime, async () => (await import("./features-apply.ts")).applyDefinitions);
}

function readCommands(features: Command, runtime: Runtime): void {
  const list = features
    .command("list")
    .summary("list definitions")
    .description("List entities, feature views, on-demand views and feature services.")
    .option("--kind <kind>", "only these: entity, view, on-demand or service")
    .addOption(limitOption());
  examples(list, [
    ["Everything", "plinth features list"],
    ["What models take", "plinth features list --kind service"],
  ]);
  runs(list, runtime, async () => (await import("./features-read.ts")).listDefinitions);

  const describe = features
    .command("describe")
    .summary("show a definition and what the stores hold of it")
    .description(
      "Show a definition: its columns, versions, and of a view what the stores hold. With --json it " +
        "can be applied again.",
    )
    .argument("<definition>", "name, or view/name, service/name@3, entity/name, on-demand/name");
  examples(describe, [
    ["By its name", "plinth features describe airport_delays"],
    ["A version of a service", "plinth features describe service/delay_model@2"],
  ]);
  runs(describe, runtime, async () => (await import("./features-describe.ts")).describeDefinition);

  const remove = features
    .command("delete")
    .summary("remove a definition, a view with its rows")
    .description(
      "Remove a definition that nothing reads any more; a view with all its rows. Asks first; where " +
        "nobody can be asked, only with --yes.",
    )
    .argument("<definition>", "name, or view/name, service/name@3, entity/name, on-demand/name")
    .option("--yes", "do not ask");
  examples(remove, [
    ["A view and its rows", "plinth features delete view/airport_delays"],
    ["One version of a service", "plinth features delete service/delay_model@1 --yes"],
  ]);
  runs(remove, runtime, async () => (await import("./features-delete.ts")).deleteDefinition);
}
