// The little of a browser that the console's pages use, since the project's types are Node's; and
// how they make elements: from names and text, never from markup.

export interface Element {
  textContent: string | null;
  hidden: boolean;
  className: string;
  append(...children: readonly (Element | string)[]): void;
  replaceChildren(...children: readonly (Element | string)[]): void;
  setAttribute(name: string, value: string): void;
  removeAttribute(name: string): void;
  addEventListener(type: string, listen: (event: PageEvent) => void): void;
}

/** A text field, or one for a file. */
export interface Input extends Element {
  value: string;
  readonly files: Iterable<PageFile> | null;
}

/** A file that was chosen or dropped; its bytes are read when they are asked for. */
export interface PageFile {
  readonly name: string;
  readonly size: number;
  arrayBuffer(): Promise<ArrayBuffer>;
}

export interface PageEvent {
  readonly dataTransfer?: { readonly files: Iterable<PageFile> } | null;
  preventDefault(): void;
}

interface PageDocument extends Pick<Element, "addEventListener"> {
  readonly documentElement: Element & { readonly dataset: Readonly<Record<string, string>> };
  createElement(name: string): Element;
  getElementById(id: string): Element | null;
}

interface Browser {
  readonly document: PageDocument;
  readonly setTimeout: (run: () => void, delayMs: number) => number;
  readonly clearTimeout: (timer: number | undefined) => void;
}

export const browser: Browser = globalThis as unknown as Browser;

/** The element of the page with this id, which must be there. */
export function byId<E extends Element = Element>(id: string): E {
  const found = browser.document.getElementById(id);
  if (found === null) throw new Error(`the page has no element "${id}"`);
  return found as E;
}

/** A new element. What is given as text is shown as text, whatever stands in it. */
export function element(
  name: string,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly (Element | string)[]
): Element {
  const made = browser.document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children.map((child) => (typeof child === "string" ? shown(child) : child)));
  return made;
}

/** Text from a file: set apart from what is around it, so that it cannot turn its direction. */
export function given(text: string): Element {
  return element("bdi", {}, text);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: those are what is looked for.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** With a sign in the place of characters that nobody sees. */
function shown(text: string): string {
  return text.replace(UNSEEN, "\ufffd");
}
