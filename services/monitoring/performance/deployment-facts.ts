// What labels are checked against before anything is stored: which kinds of predictions a
// deployment gives, and which classes. And whether any of its labels are remembered, so that
// captured batches of deployments without labels need not look for them.

import type { Stored } from "../../common/documents/port.ts";
import { Aborted, AlreadyExists } from "../../common/errors/domain-error.ts";
import { deploymentName } from "../../common/names.ts";
import type { Task } from "./chunk-rows.ts";
import type { DeploymentFacts, PredictionCollections } from "./prediction-collections.ts";

/** Deployments held in memory. */
const ENTRIES_MAX = 4096;
const CLASSES_MAX = 1000;
/** Lengths of windows that are remembered; monitors are seldom changed. */
const LENGTHS_MAX = 64;
/** Each try that is lost is another writer's success, and facts change rarely. */
const TRIES_MAX = 100;
/** `labelsUntil` is set later than needed by this much, so that it is seldom written. */
const LABELS_AHEAD_MS = 3_600_000;

const NOTHING = {
  tasks: [],
  classLabels: [],
  openClasses: false,
  windowLengths: [],
  labelsUntil: new Date(0),
} as const;

/** Owns what is known of deployments; facts only ever grow, so what was read once holds. */
export class DeploymentKnowledge {
  readonly #deployments: PredictionCollections["deployments"];
  readonly #known = new Map<string, DeploymentFacts>();

  constructor(deployments: PredictionCollections["deployments"]) {
    this.#deployments = deployments;
  }

  /** As it is stored now; undefined: nothing of it was ever captured or labelled. */
  async read(deployment: string): Promise<Stored<DeploymentFacts> | undefined> {
    const found = await this.#deployments.findOne({ _id: deployment });
    if (found !== undefined) {
      this.#keep(found);
    }
    return found;
  }

  /** Names of the deployments of a workspace that had predictions or labels. */
  async list(workspace: string): Promise<string[]> {
    const names: string[] = [];
    for await (const { _id } of this.#deployments.find({ workspace })) {
      names.push(_id);
    }
    return names;
  }

  /** Notes the kind of a deployment's predictions, its classes (none: any), a length. Durable. */
  async learn(
    deployment: string,
    seen: Pick<DeploymentFacts, "classLabels"> & {
      readonly task: Task;
      readonly windowUs: number;
    },
  ): Promise<void> {
    const { task, windowUs } = seen;
    await this.#grow(deployment, (facts) => {
      const tasks = withNew(facts.tasks, [task]);
      const windowLengths = withNew(facts.windowLengths, [windowUs]).slice(-LENGTHS_MAX);
      const classes = withNew(facts.classLabels, seen.classLabels);
      const isOpen = task === "classification" && seen.classLabels.length === 0;
      const openClasses = facts.openClasses || isOpen || classes.length > CLASSES_MAX;
      const classLabels = openClasses ? facts.classLabels : classes;
      const isKnown =
        tasks.length === facts.tasks.length &&
        facts.windowLengths.includes(windowUs) &&
        openClasses === facts.openClasses &&
        classLabels.length === facts.classLabels.length;
      return isKnown ? undefined : { ...facts, tasks, windowLengths, classLabels, openClasses };
    });
  }

  /** Notes that labels of the deployment are remembered until then. Durable. */
  async remember(deployment: string, until: Date): Promise<void> {
    await this.#grow(deployment, (facts) => {
      const labelsUntil = new Date(until.getTime() + LABELS_AHEAD_MS);
      return facts.labelsUntil >= until ? undefined : { ...facts, labelsUntil };
    });
  }

  async #grow(
    deployment: string,
    change: (facts: DeploymentFacts) => DeploymentFacts | undefined,
  ): Promise<void> {
    const known = this.#known.get(deployment);
    if (known !== undefined && change(known) === undefined) {
      return;
    }
    const { workspace } = deploymentName.parse(deployment, "deployment");
    for (let tries = 1; ; tries++) {
      const stored = await this.read(deployment);
      const next = change(stored ?? { _id: deployment, workspace, ...NOTHING });
      if (next === undefined) {
        return;
      }
      try {
        this.#keep(
          stored === undefined
            ? await this.#deployments.insertOne(next)
            : await this.#deployments.replaceOne(next, { ifVersion: stored.version }),
        );
        return;
      } catch (error) {
        const isLost = error instanceof Aborted || error instanceof AlreadyExists;
        if (!isLost || tries === TRIES_MAX) {
          throw error;
        }
      }
    }
  }

  #keep(facts: DeploymentFacts): void {
    this.#known.delete(facts._id);
    this.#known.set(facts._id, facts);
    if (this.#known.size > ENTRIES_MAX) {
      this.#known.delete(this.#known.keys().next().value ?? "");
    }
  }
}

function withNew<T>(known: readonly T[], seen: readonly T[]): T[] {
  return [...new Set([...known, ...seen])];
}
