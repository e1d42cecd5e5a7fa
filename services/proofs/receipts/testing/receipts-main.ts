// For tests and the bench: the receipts part of the proofs service in a process of its own, to be
// killed. Arguments: the folder of its state, the port (0: any), how long receipts wait for others,
// ms. Prints its address as JSON.

import { startReceipts } from "./start-receipts.ts";

const [folder = "", port = "0", flushMs = "5"] = process.argv.slice(2);
const config = { receiptFlushMs: Number(flushMs) };
const { address } = await startReceipts({ folder, port: Number(port), config });
console.log(JSON.stringify({ address }));
