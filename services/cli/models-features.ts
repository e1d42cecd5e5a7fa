// What `plinth models push` says of features: the version of the feature service that the model
// reads from then on, and the training sets that it was trained on.

import type { Job } from "../../gen/plinth/features/v1/job_pb.js";
import { CommandError, ExitCode } from "./exit-codes.ts";
import { fullName, jobReference, shortFeatureName } from "./features-names.ts";
import type { Session } from "./session.ts";

export interface FeatureLineage {
  /** `workspaces/{w}/featureServices/{f}/versions/{n}`, or empty. */
  readonly featureService: string;
  /** `workspaces/{w}/jobs/{j}` */
  readonly trainingSets: readonly string[];
}

/**
 * Looks up what the options name and pins it. A service without a version is that of the training
 * set, so that the model is served what it was trained on; without a training set, the newest.
 * @throws CommandError for a job that is no finished training set.
 */
export async function featureLineage(
  session: Session,
  options: {
    readonly featureService?: string | undefined;
    readonly trainingSet?: readonly string[] | undefined;
  },
): Promise<FeatureLineage> {
  const jobs: Job[] = [];
  for (const text of options.trainingSet ?? []) {
    const name = jobReference(session, text);
    jobs.push(checked(await session.jobs.getJob({ name }, session.call)));
  }
  const trainingSets = jobs.map(({ name }) => name);
  if (options.featureService === undefined) {
    return { featureService: "", trainingSets };
  }
  const trained = jobs.map(serviceOf);
  const featureService = await pinned(session, options.featureService, trained);
  for (const [index, one] of trained.entries()) {
    if (one !== featureService) {
      session.output.warning(
        `${shortFeatureName(jobs[index]!.name)} was made with ${shortFeatureName(one)}; the model will ` +
          `read ${shortFeatureName(featureService)}.`,
      );
    }
  }
  return { featureService, trainingSets };
}

async function pinned(session: Session, text: string, trained: readonly string[]): Promise<string> {
  const name = fullName("service", text, session.workspace);
  if (/\/versions\/\d+$/.test(name)) {
    // Asked for all the same: a version that is not there is found before the file was sent.
    await session.features.getFeatureService({ name }, session.call);
    return name;
  }
  const same = trained.filter((one) => one.startsWith(`${name}/versions/`));
  const [first] = same;
  if (first !== undefined && same.every((one) => one === first)) {
    return first;
  }
  const { version } = await session.features.getFeatureService({ name }, session.call);
  const newest = `${name}/versions/${version}`;
  session.output.note(`The model will read ${shortFeatureName(newest)}, the newest.`);
  return newest;
}

function checked(job: Job): Job {
  if (job.work.case !== "trainingSet" || job.work.value.result === undefined) {
    throw new CommandError(`${shortFeatureName(job.name)} is no training set that was made.`, {
      exitCode: ExitCode.conflict,
      advice: [`See "plinth features job ${shortFeatureName(job.name)}".`],
    });
  }
  return job;
}

function serviceOf(job: Job): string {
  return job.work.case === "trainingSet" ? job.work.value.featureService : "";
}
