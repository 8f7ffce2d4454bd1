// The reply to an edit tells the other parts of the page what changed for them. Each part is a script of its own.

/** What is shown on the canvas after the reply. */
export interface Shown {
  key: string;
  revision: string;
}

export interface PagePart {
  /** What the part shows, as the server is told it; null where it wants no news now. */
  describe(): unknown;
  take(news: unknown, shown: Shown): void;
}

interface PartHolder extends Window {
  sam3Parts?: Map<string, PagePart>;
}

function findParts(): Map<string, PagePart> {
  return (window as PartHolder).sam3Parts ??= new Map<string, PagePart>();
}

export function joinPart(name: string, part: PagePart): void {
  findParts().set(name, part);
}

export function describeParts(): Record<string, unknown> {
  return Object.fromEntries([...findParts()].map(([name, part]) => [name, part.describe()]));
}

export function tellParts(news: Record<string, unknown>, shown: Shown): void {
  for (const [name, told] of Object.entries(news)) findParts().get(name)?.take(told, shown);
}
