// Nodes of SVG drawings.
const NAMESPACE = 'http://www.w3.org/2000/svg';

export type Attributes = Record<string, string | number>;

export function appendSvg(parent: Element, tag: string, attributes: Attributes, text?: string | number): SVGElement {
  const made = document.createElementNS(NAMESPACE, tag) as SVGElement;
  setAttributes(made, attributes);
  if (text !== undefined) made.textContent = String(text);
  parent.appendChild(made);
  return made;
}

/** Set attributes, but only those that differ: a browser draws again whatever is set. */
export function setAttributes(node: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
  }
}
