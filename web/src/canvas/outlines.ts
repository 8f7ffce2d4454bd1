// Draws the outlines of masks and their numbers. Only what has changed is drawn again, so that 200 masks are no burden.
import { appendSvg, setAttributes } from './svg.ts';
import type { Box, Outline, Point } from './types.ts';
import type { Viewport } from './viewport.ts';

interface Drawn {
  rim: SVGElement;
  path: SVGElement;
  plate: SVGElement;
}

export class OutlineLayer {
  private readonly drawn = new Map<number, Drawn>();

  /** `masks` takes the outlines, `plates` the numbers on top of all of them, which keep their size at each zoom. */
  constructor(private readonly viewport: Viewport, readonly masks: SVGElement, private readonly plates: SVGElement) {}

  /** Draw these outlines, in this order: later ones lie on top. */
  draw(outlines: Outline[], active: number | null): void {
    this.removeOthers(new Set(outlines.map((outline) => outline.id)));
    let last: SVGElement | null = null;
    for (const outline of outlines) {
      const nodes = this.drawn.get(outline.id) ?? this.append(outline);
      this.update(nodes, outline, outline.id === active);
      last = this.putAfter(last, nodes);
    }
  }

  highlight(id: number | null): void {
    for (const [own, { path }] of this.drawn) path.classList.toggle('lit', own === id);
  }

  /** The box of a mask that is drawn. */
  findBox(id: number): Box | null {
    const path = this.drawn.get(id)?.path as SVGGraphicsElement | undefined;
    if (!path) return null;
    const { x, y, width, height } = path.getBBox();
    return [x, y, x + width, y + height];
  }

  /** The topmost mask at a pixel. */
  findIdAt(pixel: Point): number | null {
    const hit = document.elementsFromPoint(...this.viewport.toWindow(pixel));
    const path = hit.find((node) => node.closest('svg') === this.masks && node.getAttribute('data-id'));
    return path ? Number(path.getAttribute('data-id')) : null;
  }

  private append({ id, color, ink }: Outline): Drawn {
    const rim = appendSvg(this.masks, 'path', {});
    const path = appendSvg(this.masks, 'path', { 'data-id': id });
    const plate = appendSvg(this.plates, 'svg', { class: 'plate' });
    const wide = String(id).length * 7.5 + 11;
    appendSvg(plate, 'rect', { x: -wide / 2, y: -9.5, width: wide, height: 19, rx: 9.5, fill: color, stroke: ink });
    appendSvg(plate, 'text', { y: 4.5, fill: ink }, id);
    const nodes = { rim, path, plate };
    this.drawn.set(id, nodes);
    return nodes;
  }

  private update({ rim, path, plate }: Drawn, outline: Outline, active: boolean): void {
    const kind = active ? ' active' : '', lit = path.classList.contains('lit') ? ' lit' : '';
    setAttributes(rim, { d: outline.path, class: `rim${kind}` });
    setAttributes(path, { d: outline.path, class: `mask${kind}${lit}`, 'data-label': outline.label ?? '' });
    path.style.setProperty('--color', outline.color); // a page may forbid styles that are written as attributes
    setAttributes(plate, { ...this.viewport.toPercent(outline.at) });
    if (plate.firstElementChild) setAttributes(plate.firstElementChild, { fill: outline.color, stroke: outline.ink });
    if (plate.lastElementChild) setAttributes(plate.lastElementChild, { fill: outline.ink });
  }

  private putAfter(last: SVGElement | null, { rim, path, plate }: Drawn): SVGElement {
    const next = last ? last.nextSibling : this.masks.firstChild;
    if (next !== rim) {
      this.masks.insertBefore(rim, next);
      rim.after(path);
      this.plates.appendChild(plate);
    }
    return path;
  }

  private removeOthers(ids: Set<number>): void {
    for (const [id, nodes] of this.drawn) {
      if (ids.has(id)) continue;
      for (const node of Object.values(nodes) as SVGElement[]) node.remove();
      this.drawn.delete(id);
    }
  }
}
