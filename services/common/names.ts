// Resource names, `workspaces/{workspace}/models/{model}`: parsed and written from one pattern.

import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "./errors/domain-error.ts";

const ID = /^[a-zA-Z0-9@_-][a-zA-Z0-9@._-]{0,255}$/;

type Variables<P extends string> = P extends `${string}{${infer V}}${infer Rest}`
  ? V | Variables<Rest>
  : never;

export interface NamePattern<P extends string> {
  readonly pattern: P;
  /**
   * The variables of a name.
   * @throws InvalidArgument that names the field, what came and the pattern.
   */
  parse(name: string, field: string): Readonly<Record<Variables<P>, string>>;
  /** The variables, or undefined when the text is not such a name. */
  match(name: string): Readonly<Record<Variables<P>, string>> | undefined;
  format(variables: Readonly<Record<Variables<P>, string>>): string;
}

/** Makes the parser and writer of one kind of resource name. */
export function namePattern<const P extends string>(pattern: P): NamePattern<P> {
  type Values = Readonly<Record<Variables<P>, string>>;
  const segments = pattern.split("/");
  const match = (name: string): Values | undefined => {
    const parts = name.split("/");
    if (parts.length !== segments.length) {
      return undefined;
    }
    const values: Record<string, string> = {};
    for (const [index, segment] of segments.entries()) {
      const part = parts[index] ?? "";
      if (!segment.startsWith("{")) {
        if (part !== segment) {
          return undefined;
        }
      } else if (ID.test(part)) {
        values[segment.slice(1, -1)] = part;
      } else {
        return undefined;
      }
    }
    return values as Values;
  };
  return {
    pattern,
    match,
    parse(name, field) {
      const values = match(name);
      if (values === undefined) {
        throw new InvalidArgument(
          `${field} must look like "${pattern}"; got ${JSON.stringify(name.slice(0, 200))}.`,
          {
            reason: ErrorReason.INVALID_FIELD,
            violations: [{ field, description: `must match ${pattern}` }],
          },
        );
      }
      return values;
    },
    format(variables) {
      return segments
        .map((s) => (s.startsWith("{") ? variables[s.slice(1, -1) as Variables<P>] : s))
        .join("/");
    },
  };
}

export const workspaceName = namePattern("workspaces/{workspace}");
export const modelName = namePattern("workspaces/{workspace}/models/{model}");
export const modelVersionName = namePattern(
  "workspaces/{workspace}/models/{model}/versions/{version}",
);
export const deploymentName = namePattern("workspaces/{workspace}/deployments/{deployment}");
export const uploadName = namePattern("workspaces/{workspace}/uploads/{upload}");
export const apiKeyName = namePattern("workspaces/{workspace}/apiKeys/{key}");
export const entityName = namePattern("workspaces/{workspace}/entities/{entity}");
export const featureViewName = namePattern("workspaces/{workspace}/featureViews/{view}");
export const featureViewVersionName = namePattern(
  "workspaces/{workspace}/featureViews/{view}/versions/{version}",
);
export const onDemandFeatureViewName = namePattern(
  "workspaces/{workspace}/onDemandFeatureViews/{view}",
);
export const onDemandFeatureViewVersionName = namePattern(
  "workspaces/{workspace}/onDemandFeatureViews/{view}/versions/{version}",
);
export const featureServiceName = namePattern("workspaces/{workspace}/featureServices/{service}");
export const featureServiceVersionName = namePattern(
  "workspaces/{workspace}/featureServices/{service}/versions/{version}",
);
export const tableName = namePattern("workspaces/{workspace}/tables/{table}");
export const jobName = namePattern("workspaces/{workspace}/jobs/{job}");
export const monitorName = namePattern("workspaces/{workspace}/deployments/{deployment}/monitor");
export const baselineName = namePattern(
  "workspaces/{workspace}/models/{model}/versions/{version}/baseline",
);
export const alertRuleName = namePattern("workspaces/{workspace}/alertRules/{rule}");
export const alertName = namePattern("workspaces/{workspace}/alerts/{alert}");
export const circuitName = namePattern(
  "workspaces/{workspace}/models/{model}/versions/{version}/circuits/{circuit}",
);
export const powersOfTauName = namePattern("workspaces/{workspace}/powersOfTau/{powersOfTau}");
export const proofJobName = namePattern("workspaces/{workspace}/proofJobs/{proofJob}");
export const proofName = namePattern("workspaces/{workspace}/proofs/{proof}");
