// Puts an exported contract on a chain that lives in this process, calls it with a proof, and says
// what it answered and what that cost. `npx node on-chain.ts` after the commands in the README.

import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { Common, Hardfork, Mainnet } from "@ethereumjs/common";
import { createEVM, type EVM } from "@ethereumjs/evm";
import {
  Account,
  type Address,
  bytesToHex,
  createAddressFromString,
  hexToBytes,
} from "@ethereumjs/util";
import solc from "solc";

const CALLER = createAddressFromString("0x00000000000000000000000000000000000000ee");
const GAS_LIMIT = 30_000_000n;
/** Of a transaction itself, and of each byte of calldata (EIP-2028). */
const TRANSACTION_GAS = 21_000;
const ZERO_BYTE_GAS = 4;
const BYTE_GAS = 16;

const { values } = parseArgs({
  options: {
    contract: { type: "string", default: "solc-input.json" },
    calldata: { type: "string", default: "calldata.txt" },
  },
});
const code = compile(await readFile(values.contract, "utf8"));
const call = hexToBytes((await readFile(values.calldata, "utf8")).trim() as `0x${string}`);
const { evm, contract } = await deploy(code);
console.log(`contract: ${code.deployed.length} bytes, deployed for ${contract.gas} gas`);
console.log(await ask(evm, contract.address, call));
const changed = call.slice();
changed[changed.length - 1]! ^= 1;
console.log(`the same with one bit of it changed: ${await ask(evm, contract.address, changed)}`);

/** @throws Error with what solc says. */
function compile(input: string): { readonly creation: Uint8Array; readonly deployed: Uint8Array } {
  const output = JSON.parse(solc.compile(input));
  const errors = (output.errors ?? []) as readonly { readonly formattedMessage: string }[];
  if (errors.length > 0) {
    throw new Error(errors.map(({ formattedMessage }) => formattedMessage).join("\n"));
  }
  const { evm } = output.contracts["InferenceVerifier.sol"].InferenceVerifier;
  return {
    creation: hexToBytes(`0x${evm.bytecode.object}`),
    deployed: hexToBytes(`0x${evm.deployedBytecode.object}`),
  };
}

async function deploy({ creation }: { readonly creation: Uint8Array }) {
  const evm = await createEVM({
    common: new Common({ chain: Mainnet, hardfork: Hardfork.Prague }),
  });
  // As every transaction begins (EIP-2929).
  for (const address of evm.precompiles.keys()) {
    evm.journal.addAlwaysWarmAddress(address, true);
  }
  await evm.stateManager.putAccount(CALLER, new Account(0n, 10n ** 18n));
  const made = await evm.runCall({ caller: CALLER, data: creation, gasLimit: GAS_LIMIT });
  return {
    evm,
    contract: { address: made.createdAddress!, gas: made.execResult.executionGasUsed },
  };
}

async function ask(evm: EVM, to: Address, data: Uint8Array): Promise<string> {
  const { execResult } = await evm.runCall({ caller: CALLER, to, data, gasLimit: GAS_LIMIT });
  const [log] = execResult.logs ?? [];
  if (execResult.exceptionError !== undefined || log === undefined) {
    return "refused";
  }
  const commitment = bytesToHex(log[1][1]!);
  const around = data.reduce(
    (gas, byte) => gas + (byte === 0 ? ZERO_BYTE_GAS : BYTE_GAS),
    TRANSACTION_GAS,
  );
  return (
    `verified for ${execResult.executionGasUsed} gas and ${around} of the transaction; ` +
    `event InferenceVerified of the model ${commitment}`
  );
}
