// The fragment of the address leads to a step: it is scrolled to and opened.

/** Open the step that the address names. Whether it is there by now. */
export function openLinkedStep(): boolean {
  const name = location.hash.slice(1), step = /^turn-\d+-step-\d+$/.test(name) ? document.getElementById(name) : null;
  if (!(step instanceof HTMLDetailsElement)) return false;
  step.open = true;
  step.scrollIntoView({ block: 'center' });
  step.querySelector<HTMLElement>('summary')?.focus({ preventScroll: true });
  return true;
}

export function connectLinks(): void {
  window.addEventListener('hashchange', () => openLinkedStep());
}
