// What windows are counted for: one model version in one deployment.

/** Names and uids; a deployment or version made anew under an old name is another one. */
export interface TargetIdentity {
  readonly workspace: string;
  /** `workspaces/{w}/deployments/{d}` */
  readonly deployment: string;
  readonly deploymentUid: string;
  /** `workspaces/{w}/models/{m}/versions/{v}` */
  readonly modelVersion: string;
  readonly modelVersionUid: string;
}

/** A target as it is stored: when rows of it were last seen, and how far its time has come. */
export interface Target extends TargetIdentity {
  /** `{deploymentUid}/{modelVersionUid}` */
  readonly _id: string;
  /** As of its newest batch. */
  readonly shadow: boolean;
  readonly classLabels: readonly string[];
  readonly featureService: string;
  readonly firstSeen: Date;
  readonly lastSeen: Date;
  /**
   * The newest event time counted, microseconds, and the server's clock when it came. The target's
   * time is that event time plus what has passed since.
   */
  readonly newestEventUs: number;
  readonly newestSeenMs: number;
}

/** The id of a target's document. */
export function targetId(
  target: Pick<TargetIdentity, "deploymentUid" | "modelVersionUid">,
): string {
  return `${target.deploymentUid}/${target.modelVersionUid}`;
}
