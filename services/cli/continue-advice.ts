// The command line that goes on where a prediction run stopped.

const SAFE_WORD = /^[\w@%+=:,./-]+$/;

/** The words given, with --skip-rows and --append set and the credential left out. */
export function continueCommand(
  words: readonly string[],
  options: { readonly skipRows: number; readonly append: boolean },
): string {
  const kept: string[] = [];
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? "";
    if (word === "--skip-rows" || word === "--api-key") {
      index += 1;
    } else if (!/^--(?:skip-rows|api-key)=|^--append$/.test(word)) {
      kept.push(word);
    }
  }
  const more = ["--skip-rows", String(options.skipRows), ...(options.append ? ["--append"] : [])];
  return ["plinth", ...kept, ...more].map(quoted).join(" ");
}

/** The word as a POSIX shell reads it back. */
function quoted(word: string): string {
  return SAFE_WORD.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
