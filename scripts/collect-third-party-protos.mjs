// Third-party protos come from the npm packages that publish them, at generation time, so that no
// copy of them lives in the tree. They land in a folder that git ignores and buf reads as a module.
import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";

const target = ".third-party-protos";
const sources = {
  "google/rpc/code.proto": "google-proto-files/google/rpc/code.proto",
  "google/rpc/error_details.proto": "google-proto-files/google/rpc/error_details.proto",
  "google/rpc/status.proto": "google-proto-files/google/rpc/status.proto",
  "grpc/health/v1/health.proto": "grpc-health-check/proto/health/v1/health.proto",
  "grpc/reflection/v1/reflection.proto":
    "@grpc/reflection/build/proto/grpc/reflection/v1/reflection.proto",
  "grpc/reflection/v1alpha/reflection.proto":
    "@grpc/reflection/build/proto/grpc/reflection/v1alpha/reflection.proto",
};

rmSync(target, { recursive: true, force: true });
for (const [name, source] of Object.entries(sources)) {
  const path = join(target, name);
  mkdirSync(dirname(path), { recursive: true });
  copyFileSync(join("node_modules", source), path);
}
