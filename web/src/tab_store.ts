// What a tab remembers over a reload. A browser that forbids it, for all cookies are blocked, remembers until then.

interface MemoryHolder extends Window {
  sam3Memory?: Map<string, string>;
}

/** Each script of a page is one of its own, so that they share what the window holds. */
function findMemory(): Map<string, string> {
  return (window as MemoryHolder).sam3Memory ??= new Map<string, string>();
}

export function recallText(name: string): string | null {
  try {
    return sessionStorage.getItem(name) ?? findMemory().get(name) ?? null;
  } catch {
    return findMemory().get(name) ?? null;
  }
}

export function rememberText(name: string, text: string): void {
  try {
    sessionStorage.setItem(name, text);
    findMemory().delete(name);
  } catch {
    findMemory().set(name, text);
  }
}

export function forgetText(name: string): void {
  findMemory().delete(name);
  try {
    sessionStorage.removeItem(name);
  } catch {
    // nothing is kept there
  }
}

/** The session of this tab at the demo's server; '' before it has one. */
export const recallSession = (): string => recallText('sam3-agent') ?? '';
