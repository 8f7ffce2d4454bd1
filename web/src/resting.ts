// Lets an open page rest. Gradio's loader leaves its clock running when it goes, and that asks for sixty frames a second.

/** What the clock counts in each frame, as Gradio's built script says it; where that changes, the clock goes on. */
const COUNTS_TIME = /performance\.now\(\)-[\w$]+\([\w$]+\)\)\/1e3/;
const SHOWN_CLOCKS = '[data-testid=status-tracker]:not(.hide)';

const askForFrame = window.requestAnimationFrame.bind(window);

window.requestAnimationFrame = (act) => {
  const rests = COUNTS_TIME.test(String(act)) && !document.querySelector(SHOWN_CLOCKS);
  return rests ? 0 : askForFrame(act);
};
