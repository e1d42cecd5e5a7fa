// Which addresses are public, for meshes whose editors must not reach the network around them by
// way of a webhook. Everything that IANA's special-purpose registries keep from the internet is not.

import { BlockList, isIP, isIPv4 } from "node:net";

const NOT_PUBLIC_V4: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
];
/** Of 2000::/3, outside of which nothing is public: Teredo and others, examples, 6to4. */
const NOT_PUBLIC_V6: readonly (readonly [string, number])[] = [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
];

const blocked = new BlockList();
for (const [net, prefix] of NOT_PUBLIC_V4) {
  blocked.addSubnet(net, prefix, "ipv4");
}
for (const [net, prefix] of NOT_PUBLIC_V6) {
  blocked.addSubnet(net, prefix, "ipv6");
}
const unicast = new BlockList();
unicast.addSubnet("2000::", 3, "ipv6");

/** Whether it is an address of the public internet; false for a text that is no address. */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 0) {
    return false;
  }
  return isIPv4(address)
    ? !blocked.check(address, "ipv4")
    : unicast.check(address, "ipv6") && !blocked.check(address, "ipv6");
}

/** The address that a URL's host name is, or undefined where it is a name. */
export function literalAddress(hostname: string): string | undefined {
  const bare = hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
  return isIP(bare) === 0 ? undefined : bare;
}
