// A features service for tests: a real server over a table of values, that can be away, be slow and
// answer wrongly.

import { fromJson, type JsonValue, type MessageInitShape } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { onTestFinished } from "vitest";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { FeatureRegistryService } from "../../../gen/plinth/features/v1/feature_registry_service_pb.js";
import {
  FeatureStoreService,
  type FeatureVectorSchema,
  type GetOnlineFeaturesRequest,
} from "../../../gen/plinth/features/v1/feature_store_service_pb.js";
import {
  type Column,
  type ColumnSchema,
  FieldStatus,
  ValueType,
} from "../../../gen/plinth/features/v1/value_pb.js";
import { anonymous } from "../../common/auth/principal.ts";
import { NotFound } from "../../common/errors/domain-error.ts";
import { Channel } from "../../common/rpc/client.ts";
import type {
  CallContext,
  ServiceHandlers as Handlers,
  ServiceBinding,
} from "../../common/rpc/context.ts";
import { startRpcServer } from "../../common/rpc/server.ts";

/** A value of a feature, null, or why there is none. */
export type TestCell =
  | boolean
  | number
  | bigint
  | string
  | Date
  | null
  | { readonly status: FieldStatus };

export interface TestFeatureService {
  /** `workspaces/w/featureServices/f/versions/2` */
  readonly name: string;
  /** The first is the key of the table. */
  readonly requestColumns: readonly (readonly [name: string, type: ValueType])[];
  readonly outputs: readonly {
    readonly name: string;
    /** Id of the view it is stored in. Absent: computed on demand. */
    readonly view?: string;
    readonly type: ValueType;
    readonly default?: JsonValue;
  }[];
  /** Key, as text, to the values by output; a key or an output that is not there is NOT_FOUND. */
  readonly table: Readonly<Record<string, Readonly<Record<string, TestCell>>>>;
}

export class TestFeatures implements AsyncDisposable {
  readonly channel: Channel;
  /** Names asked for with GetFeatureService. */
  readonly definitionsRead: string[] = [];
  readonly reads: { readonly request: GetOnlineFeaturesRequest; readonly context: CallContext }[] =
    [];
  /** Thrown by every call while it is set. */
  failure: Error | undefined;
  /** What a read waits for. */
  gate: Promise<void> | undefined;
  /** Changes what a read answers. */
  spoil: ((results: MessageInitShape<typeof FeatureVectorSchema>[]) => void) | undefined;
  readonly #services = new Map<string, TestFeatureService>();
  readonly #stop: () => Promise<void>;

  private constructor(address: string, stop: () => Promise<void>) {
    this.channel = new Channel({ address });
    this.#stop = stop;
  }

  /** Starts one that ends with the test. */
  static async start(...services: readonly TestFeatureService[]): Promise<TestFeatures> {
    const started: { features?: TestFeatures } = {};
    const getFeatureService: Handlers<typeof FeatureRegistryService>["getFeatureService"] = async ({
      name,
    }) => started.features!.#definition(name);
    const getOnlineFeatures: Handlers<typeof FeatureStoreService>["getOnlineFeatures"] = (
      request,
      context,
    ) => started.features!.#read(request, context);
    const bindings: ServiceBinding[] = [
      { service: FeatureRegistryService, handlers: { getFeatureService }, codecs: {} },
      { service: FeatureStoreService, handlers: { getOnlineFeatures }, codecs: {} },
    ];
    const server = await startRpcServer({
      host: "127.0.0.1",
      port: 0,
      bindings,
      authenticate: () => anonymous,
    });
    const features = new TestFeatures(server.address, async () => {
      await server[Symbol.asyncDispose]();
    });
    started.features = features;
    for (const service of services) {
      features.define(service);
    }
    onTestFinished(() => features[Symbol.asyncDispose]());
    return features;
  }

  /** Makes a feature service, or makes it otherwise. */
  define(service: TestFeatureService): void {
    this.#services.set(service.name, service);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.channel[Symbol.dispose]();
    await this.#stop();
  }

  #definition(name: string) {
    this.definitionsRead.push(name);
    const service = this.#require(name);
    return {
      // As the features service has it: the version stands beside the name.
      name: name.split("/versions/")[0]!,
      requestColumns: service.requestColumns.map(([column, valueType]) => ({
        name: column,
        valueType,
      })),
      outputFeatures: service.outputs.map((output) => ({
        name: output.name,
        featureView: output.view ?? "computed",
        valueType: output.type,
        ...(output.default !== undefined && {
          defaultValue: fromJson(ValueSchema, output.default),
        }),
      })),
    };
  }

  async #read(request: GetOnlineFeaturesRequest, context: CallContext) {
    this.reads.push({ request, context });
    await this.gate;
    const service = this.#require(request.featureService);
    const [name, type] = service.requestColumns[0]!;
    const keys = keysOf(request.entities.find((column) => column.name === name)!, type);
    const results = service.outputs.map((output) => {
      const cells = keys.map(
        (key) => service.table[key]?.[output.name] ?? missingCell(service, key, output.name),
      );
      return {
        values: columnOf(output.name, output.type, cells),
        statuses: cells.map(statusOf),
      };
    });
    this.spoil?.(results);
    const views = [...new Set(service.outputs.flatMap(({ view }) => view ?? []))];
    return {
      results,
      featureService: service.name,
      views: views.map((featureView) => ({ featureView, entityColumns: [name] })),
    };
  }

  #require(name: string): TestFeatureService {
    if (this.failure !== undefined) {
      throw this.failure;
    }
    const service = this.#services.get(name);
    if (service === undefined) {
      throw new NotFound(`There is no ${name}.`, { reason: ErrorReason.RESOURCE_NOT_FOUND });
    }
    return service;
  }
}

function missingCell(service: TestFeatureService, key: string, output: string): TestCell {
  const row = service.table[key];
  const isNull = row !== undefined && Object.hasOwn(row, output);
  return isNull ? null : { status: FieldStatus.NOT_FOUND };
}

function statusOf(cell: TestCell): FieldStatus {
  if (cell === null) {
    return FieldStatus.NULL_VALUE;
  }
  return typeof cell === "object" && "status" in cell ? cell.status : FieldStatus.PRESENT;
}

function keysOf(column: Column, type: ValueType): string[] {
  const list = type === ValueType.STRING ? column.strings : column.ints;
  return list.map(String);
}

function columnOf(
  name: string,
  type: ValueType,
  cells: readonly TestCell[],
): MessageInitShape<typeof ColumnSchema> {
  const or = <T>(zero: T): T[] =>
    cells.map((cell) => (statusOf(cell) === FieldStatus.PRESENT ? (cell as T) : zero));
  switch (type) {
    case ValueType.BOOL:
      return { name, bools: or(false) };
    case ValueType.INT32:
    case ValueType.INT64:
      return { name, ints: or<number | bigint>(0n).map(BigInt) };
    case ValueType.STRING:
      return { name, strings: or("") };
    case ValueType.BYTES:
      return { name, bytesValues: or("").map((text) => new TextEncoder().encode(text)) };
    case ValueType.TIMESTAMP:
      return {
        name,
        timestamps: or(new Date(0)).map((date) => ({
          seconds: BigInt(Math.floor(date.getTime() / 1000)),
          nanos: (((date.getTime() % 1000) + 1000) % 1000) * 1_000_000,
        })),
      };
    default:
      return { name, doubles: or(0) };
  }
}
