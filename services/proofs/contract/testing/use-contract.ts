// Compiles an exported contract with solc and runs it in an EVM, as tests want it.

import { Common, Hardfork, Mainnet } from "@ethereumjs/common";
import type { EVM, ExecResult } from "@ethereumjs/evm";
import { createEVM } from "@ethereumjs/evm";
import type { Address } from "@ethereumjs/util";
import { Account, createAddressFromString, hexToBytes } from "@ethereumjs/util";
import solc from "solc";
import type { AbiEntry } from "../contract-abi.ts";
import type { ExportedContract } from "../export-contract.ts";
import { CONTRACT_NAME, SOLIDITY_VERSION, SOURCE_FILE } from "../export-contract.ts";

const GAS_LIMIT = 30_000_000n;
const CALLER = createAddressFromString("0x00000000000000000000000000000000000000ee");

export interface CompiledContract {
  readonly abi: readonly AbiEntry[];
  readonly creationCode: Uint8Array;
  /** As it stands on the chain. */
  readonly code: Uint8Array;
}

export interface Answer {
  /** "reverted" with the first four bytes of what it says; "failed": out of gas and the like. */
  readonly outcome: "true" | "false" | "returned" | "reverted" | "failed";
  readonly returned: Uint8Array;
  /** Of the call itself, without that of a transaction. */
  readonly gas: number;
  readonly logs: NonNullable<ExecResult["logs"]>;
}

export interface DeployedContract {
  readonly deployGas: number;
  call(calldata: Uint8Array): Promise<Answer>;
}

/** Compiles; a warning of the compiler is an error here. */
export function compiled(
  exported: Pick<ExportedContract, "standardJson">,
  name: string = CONTRACT_NAME,
): CompiledContract {
  if (!solc.version().startsWith(SOLIDITY_VERSION)) throw new Error(`solc is ${solc.version()}`);
  const output = JSON.parse(solc.compile(JSON.stringify(exported.standardJson)));
  const messages = (output.errors ?? []) as readonly { readonly formattedMessage: string }[];
  if (messages.length > 0) throw new Error(messages.map((m) => m.formattedMessage).join("\n"));
  const { abi, evm } = output.contracts[SOURCE_FILE][name];
  return {
    abi,
    creationCode: hexToBytes(`0x${evm.bytecode.object}`),
    code: hexToBytes(`0x${evm.deployedBytecode.object}`),
  };
}

/** Puts the contract on a chain of its own. */
export async function deployed({ creationCode }: CompiledContract): Promise<DeployedContract> {
  const common = new Common({ chain: Mainnet, hardfork: Hardfork.Prague });
  const evm = await createEVM({ common });
  // As every transaction begins (EIP-2929); a bare call would pay 2,500 gas more for each of three.
  for (const address of evm.precompiles.keys()) evm.journal.addAlwaysWarmAddress(address, true);
  await evm.stateManager.putAccount(CALLER, new Account(0n, 10n ** 18n));
  const made = await evm.runCall({ caller: CALLER, data: creationCode, gasLimit: GAS_LIMIT });
  if (made.execResult.exceptionError || !made.createdAddress) {
    throw new Error(`the contract was not deployed: ${made.execResult.exceptionError?.error}`);
  }
  const to = made.createdAddress;
  return {
    deployGas: Number(made.execResult.executionGasUsed),
    call: (calldata) => answerOf(evm, to, calldata),
  };
}

/** Gas of a transaction beside that of the call: its base and its calldata (EIP-2028). */
export function transactionGas(calldata: Uint8Array): number {
  return calldata.reduce((sum, byte) => sum + (byte === 0 ? 4 : 16), 21_000);
}

async function answerOf(evm: EVM, to: Address, data: Uint8Array): Promise<Answer> {
  const { execResult } = await evm.runCall({ caller: CALLER, to, data, gasLimit: GAS_LIMIT });
  const { exceptionError, returnValue, executionGasUsed, logs } = execResult;
  const rest = { returned: returnValue, gas: Number(executionGasUsed), logs: logs ?? [] };
  if (exceptionError) {
    return { outcome: exceptionError.error === "revert" ? "reverted" : "failed", ...rest };
  }
  const isWord = returnValue.length === 32 && returnValue.subarray(0, 31).every((b) => b === 0);
  const last = returnValue[31];
  if (isWord && last === 1) return { outcome: "true", ...rest };
  if (isWord && last === 0) return { outcome: "false", ...rest };
  return { outcome: "returned", ...rest };
}
