// What a reader sees of a page.

import type { Locator } from "playwright-core";

/** The text of the one element as it is rendered: what is hidden is left out. */
export async function seenText(element: Locator): Promise<string> {
  const [text, ...others] = await element.allInnerTexts();
  if (text === undefined || others.length > 0) {
    throw new Error(`${element} is not one element of the page`);
  }
  return text;
}
