// For tests: the features service in a process of its own, to be killed. Arguments: the folder of
// its state. Prints its address.

import { startFeatures } from "./start-features.ts";

const features = await startFeatures({ folder: process.argv[2] ?? "" });
console.log(features.address);
