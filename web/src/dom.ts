// Short ways to find and to make nodes of the document. Text is always written as text, never read as markup.

/** The first element of this selector; it must be there. */
export function findNode<T extends Element = HTMLElement>(root: ParentNode, selector: string): T {
  const found = root.querySelector<T>(selector);
  if (!found) throw new Error(`the page has no ${selector}`);
  return found;
}

export function makeNode<K extends keyof HTMLElementTagNameMap>(tag: K, kind = '', text?: string | number): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = String(text);
  return made;
}

/** Change the text of a node, and not its children: those make a browser match all rules with `:has` around it again. */
export function setText(node: Node, text: string): void {
  const [own, other] = node.childNodes;
  if (own instanceof Text && !other) own.data = text;
  else node.textContent = text;
}

export function limitNumber(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}
