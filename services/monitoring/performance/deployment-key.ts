// How the keys of labels and predictions name a deployment. By name, not by uid: a label may come
// before anything is known of its deployment.

import { deploymentName } from "../../common/names.ts";

/** `{workspace}/{deployment}` of `workspaces/{workspace}/deployments/{deployment}`. */
export function deploymentKey(name: string): string {
  const { workspace, deployment } = deploymentName.parse(name, "deployment");
  return `${workspace}/${deployment}`;
}
