// The tools, what the hint says of each, and which of them make or change objects.
export type Mode = 'smart' | 'select' | 'add' | 'remove' | 'box' | 'brush' | 'eraser' | 'polygon' | 'hand';

export const HINTS: Record<Mode, string> = {
  smart: 'Click an object; click in it again to correct it. The right button or Alt takes away. Draw a box for one like it, or for all.',
  select: 'Click a mask to choose it. Delete takes it out of the answer.',
  add: 'Click each object. A click into the chosen mask corrects it; Shift adds to it from outside, Alt or the right button takes away.',
  remove: 'Click the part that a mask should not cover.',
  box: 'Click two opposite corners around one object: everything that looks like it is added.',
  brush: 'Paint what belongs to the chosen mask, or a new object. Comma and full stop change the brush.',
  eraser: 'Wipe away what does not belong to the chosen mask.',
  polygon: 'Click the corners; a double click, Enter or a click at the first one closes it. Alt takes it away. At the cross, Enter adds a corner and closes at the last one.',
  hand: 'Drag the image; the wheel or two fingers zoom.',
};
/** Tools whose click may find or correct an object. */
export const CLICKING: Mode[] = ['smart', 'add'];
/** Tools that make or change one object. */
export const EDITING: Mode[] = [...CLICKING, 'brush', 'eraser', 'polygon'];
