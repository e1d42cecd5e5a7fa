// The roles of API keys as they are typed on the command line.

/** Lower-case names of plinth.common.v1.Role, but for SERVICE, which no key has. */
export const ROLES = ["viewer", "predictor", "editor", "approver", "admin"] as const;
