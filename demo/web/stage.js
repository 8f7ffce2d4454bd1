// Draws the masks over the image and sends what was clicked. It decides nothing; demo/studio/edits.py lists what is sent.
const SVG = 'http://www.w3.org/2000/svg';
const find = (selector) => element.querySelector(selector);
const stage = find('.stage'), frame = find('.frame'), photo = find('.photo'), tip = find('.tip'), hint = find('.hint');
const film = find('.film'), scrub = find('.scrub'), clock = find('.clock');
const masks = find('svg.masks'), marks = find('svg.marks'), threshold = find('.threshold input');
const HINTS = {
  select: 'Click a mask to choose it. Delete takes it out of the answer.',
  add: 'Click each object. A click into the chosen mask corrects it; Shift adds to it from outside, Alt or the right button takes away.',
  remove: 'Click the part that a mask should not cover.',
  box: 'Click two opposite corners around one object: everything that looks like it is added.',
};
const NOTHING = { key: '', masks: [], points: [], width: 0, height: 0, active: null, threshold: 0, film: null, progress: '' };
let state = NOTHING, home = null;
let cross = null;   // x y in the image's pixels, moved by the arrow keys
let corner = null;  // the first click of a box
let pressed = null; // where the pointer went down, for a box that is dragged
let compared = false;
let moment = 0;     // the frame of a video that is shown
let confirmed = []; // the rows of masks as the server has them
let waiting = [];   // edits that were not sent yet, in the order in which they were made
let sent = [];      // edits that the server has not answered yet
let made = 0;       // edits that the server has answered
let note = '';      // why the latest edit was refused
let object = { token: 1, active: null, fresh: false }; // what the next clicks are about; fresh: a new object, wherever it is
const PAGE = crypto.getRandomValues(new Uint32Array(3)).join('-');
const BATCH = 32;

const getMode = () => find('input[name=mode]:checked').value;
const getScale = () => state.width / Math.max(1, frame.clientWidth);
const findMask = (id) => state.masks.find((mask) => mask.id === id);
const listChosen = () => state.masks.filter((mask) => mask.selected && mask.score > Number(threshold.value));
const listShown = () => state.film ? listChosen().filter((mask) => mask.frames[moment]).map(toFrame) : listChosen();
const toFrame = (mask) => { const [path, x, y] = mask.frames[moment]; return { ...mask, path, at: [x, y] }; };
const countFrames = () => state.film ? state.film.edges.length - 1 : 0;

function appendSvg(parent, tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  parent.appendChild(made);
  return made;
}

function update() {
  state = { ...NOTHING, ...props.value };
  confirmed = state.masks;
  showWaiting();
  if (!sent.length && !waiting.length) adoptActive();
  const has = Boolean(state.key && props.image && props.image.key === state.key);
  stage.dataset.state = has ? 'image' : 'empty';
  for (const button of element.querySelectorAll('.start button')) button.disabled = !state.serial; // until the session has begun
  showBusy();
  if (has && home) sessionStorage.setItem('sam3-work', JSON.stringify([home, state.name || 'your image']));
  if (has && photo.dataset.key !== state.key) {
    photo.dataset.key = state.key;
    showSubject(props.image);
    cross = corner = null;
  }
  stage.dataset.medium = has && state.film ? 'video' : 'image';
  if (document.activeElement !== threshold) threshold.value = state.threshold || 0;
  frame.style.setProperty('--ratio', state.width / Math.max(1, state.height));
  const names = [...new Set(listShown().map((mask) => mask.phrase))].join(', ');
  photo.alt = has ? `${state.name || 'Your image'}, ${state.width} by ${state.height} pixels` : '';
  frame.setAttribute('aria-label', `${photo.alt}; ${listShown().length} masks${names ? ': ' + names : ''}`);
  draw();
}

function showSubject(subject) {
  film.pause();
  moment = 0;
  scrub.max = Math.max(0, countFrames() - 1);
  if (subject.film) {
    photo.removeAttribute('src');
    film.src = subject.film;
    film.load();
    seekFrame(0);
  } else {
    film.removeAttribute('src');
    film.load();
    photo.src = subject.url;
  }
}

function seekFrame(index) {
  if (!state.film) return;
  moment = Math.min(Math.max(index, 0), countFrames() - 1);
  const [start, end] = state.film.edges.slice(moment, moment + 2);
  film.currentTime = (start + end) / 2;
  corner = null;
  draw();
}

function followFilm(_, shown) {
  if (state.film && !film.paused) {
    const next = state.film.edges.findIndex((edge) => edge > shown.mediaTime + 1e-4);
    moment = Math.min(Math.max((next < 0 ? countFrames() : next) - 1, 0), countFrames() - 1);
    draw();
  }
  film.requestVideoFrameCallback(followFilm);
}

function stepFrame(count) {
  film.pause();
  seekFrame(moment + count);
}

function togglePlay() {
  if (!film.paused) return film.pause();
  if (moment >= countFrames() - 1) seekFrame(0);
  film.play();
}

function formatTime(seconds) {
  const tenths = Math.round(seconds * 10);
  return `${Math.floor(tenths / 600)}:${String(Math.floor(tenths / 10) % 60).padStart(2, '0')}.${tenths % 10}`;
}

function drawTime() {
  stage.dataset.frame = moment;
  if (!state.film) return;
  const edges = state.film.edges, whole = edges[edges.length - 1];
  if (document.activeElement !== scrub || Number(scrub.value) !== moment) scrub.value = moment;
  scrub.setAttribute('aria-valuetext', `${formatTime(edges[moment])}, frame ${moment + 1} of ${countFrames()}`);
  clock.textContent = `${formatTime(edges[moment])} / ${formatTime(whole)}`;
  const key = listChosen().map((mask) => `${mask.id}:${mask.spans.join()}`).join(' ') + state.active;
  const bars = find('.bars');
  if (bars.dataset.key !== key) {
    bars.dataset.key = key;
    bars.replaceChildren(...listChosen().sort((a, b) => a.id - b.id).map((mask) => buildBar(mask, edges, whole)));
  }
  find('.time').style.setProperty('--now', `${(edges[moment] + edges[moment + 1]) / 2 / whole * 100}%`);
}

function buildBar(mask, edges, whole) {
  const bar = document.createElement('div');
  bar.className = mask.id === state.active ? 'track active' : 'track';
  bar.dataset.id = mask.id;
  bar.title = `${mask.id} · ${mask.phrase}: ${mask.spans.map(([start, stop]) => `${formatTime(edges[start])} to ${formatTime(edges[stop])}`).join(', ')}`;
  bar.style.setProperty('--color', mask.color);
  for (const [start, stop] of mask.spans) {
    const part = bar.appendChild(document.createElement('i'));
    part.style.left = `${edges[start] / whole * 100}%`;
    part.style.width = `${(edges[stop] - edges[start]) / whole * 100}%`;
  }
  return bar;
}

function draw() {
  for (const layer of [masks, marks]) {
    layer.replaceChildren();
    layer.setAttribute('viewBox', `0 0 ${Math.max(1, state.width)} ${Math.max(1, state.height)}`);
  }
  const k = getScale(), drawn = listShown();
  for (const mask of drawn) drawOutline(mask, drawn.length);
  for (const mask of drawn) drawPlate(mask, k);
  for (const [x, y, positive] of state.points || []) drawPoint(x, y, positive, k);
  if (cross) appendSvg(marks, 'path', { d: `M${cross[0] - 9 * k} ${cross[1]}h${18 * k}M${cross[0]} ${cross[1] - 9 * k}v${18 * k}`, class: 'cross' });
  find('.threshold output').textContent = Number(threshold.value).toFixed(2);
  for (const act of ['fresh', 'extend']) find(`[data-do=${act}]`).hidden = getMode() !== 'add';
  find('[data-do=fresh]').disabled = state.active === null && !object.fresh;
  find('[data-do=extend]').disabled = state.active === null;
  for (const [act, able] of Object.entries({ undo: state.canUndo, redo: state.canRedo, drop: state.active !== null && findMask(state.active)?.selected }))
    find(`[data-do=${act}]`).disabled = !able || state.busy;
  hint.textContent = state.busy ? state.progress : note || HINTS[getMode()];
  hint.classList.toggle('refused', Boolean(note) && !state.busy);
  frame.style.setProperty('--wipe', compared ? `${find('.compare input').value}%` : '0%');
  stage.dataset.compare = compared ? 'yes' : 'no';
  stage.dataset.mode = getMode();
  stage.dataset.masks = drawn.length;
  stage.dataset.tracks = state.film ? listChosen().length : 0;
  drawTime();
  window.dispatchEvent(new CustomEvent('sam3-view', { detail: { active: state.active, threshold: Number(threshold.value) } }));
  window.dispatchEvent(new CustomEvent('sam3-state', { detail: { masks: state.masks, busy: state.busy } }));
}

function drawOutline(mask) {
  const lit = mask.id === state.active ? ' active' : '';
  appendSvg(masks, 'path', { d: mask.path, class: 'rim' + lit });
  appendSvg(masks, 'path', { d: mask.path, class: 'mask' + lit, 'data-id': mask.id, style: `--color:${mask.color}` });
}

function drawPlate(mask, k) {
  const wide = String(mask.id).length * 7.5 + 11;
  const at = appendSvg(marks, 'g', { class: 'plate', transform: `translate(${mask.at[0]} ${mask.at[1]}) scale(${k})` });
  appendSvg(at, 'rect', { x: -wide / 2, y: -9.5, width: wide, height: 19, rx: 9.5, fill: mask.color, stroke: mask.ink });
  appendSvg(at, 'text', { y: 4.5, fill: mask.ink }, mask.id);
}

function drawPoint(x, y, positive, k) {
  const at = appendSvg(marks, 'g', { class: positive ? 'dot plus' : 'dot minus', transform: `translate(${x} ${y}) scale(${k})` });
  appendSvg(at, 'circle', { r: 7 });
  appendSvg(at, 'path', { d: positive ? 'M-3.5 0h7M0-3.5v7' : 'M-3.5 0h7' });
}

function toPixel(event) {
  const box = frame.getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width * state.width, y = (event.clientY - box.top) / box.height * state.height;
  return [Math.min(Math.max(Math.floor(x), 0), state.width - 1), Math.min(Math.max(Math.floor(y), 0), state.height - 1)];
}

const isMinus = (event) => getMode() === 'add' && (event.button === 2 || event.altKey);

function findIdAt([x, y]) {
  const box = frame.getBoundingClientRect();
  const hit = document.elementsFromPoint(box.left + x / state.width * box.width, box.top + y / state.height * box.height);
  const path = hit.find((node) => node.dataset && node.dataset.id && node.closest('svg') === masks);
  return path ? Number(path.dataset.id) : null;
}

function chooseMask(id) {
  state.active = id;
  state.points = [];
  object = { token: object.token + 1, active: id, fresh: false };
  note = '';
  draw();
}

// The mask of the object that is being clicked, now that the server has made it.
function adoptActive() {
  if (state.active !== null && state.active !== undefined) object = { ...object, active: state.active };
}

function beginObject() {
  chooseMask(null);
  object.fresh = true;
  note = 'The next click begins a new object.';
  draw();
}

function handleClick(at, { minus = false, extend = false } = {}) {
  if (state.busy) return;
  const [x, y] = at;
  switch (getMode()) {
    case 'select': return chooseMask(findIdAt(at));
    case 'add': return sendPoint(x, y, !minus, extend || find('[data-do=extend]').getAttribute('aria-pressed') === 'true');
    case 'remove': return sendPoint(x, y, false, false);
    case 'box':
      if (!corner) { corner = at; hint.textContent = 'Now the opposite corner.'; return drawBand(at); }
      return sendBox(corner, at);
  }
}

function sendPoint(x, y, positive, extend) {
  drawPoint(x, y, positive, getScale());
  sendEdit({ kind: 'point', x, y, positive, extend, object: object.token, active: object.active, new: object.fresh, frame: state.film ? moment : null });
}

// Edits are made one after the other: while a request is under way, the next ones wait here, and go together.
function sendEdit(edit) {
  note = '';
  const last = waiting[waiting.length - 1];
  if (last && last.kind === edit.kind && (edit.kind === 'keep' || edit.kind === 'threshold')) waiting.pop();
  waiting.push(edit);
  showWaiting();
  showBusy();
  flushEdits();
}

async function flushEdits() {
  if (sent.length) return;
  while (waiting.length) {
    sent = waiting.splice(0, BATCH);
    const reply = await requestEdits();
    const last = sent[sent.length - 1];
    sent = [];
    if (reply.error) { waiting = []; note = reply.error; break; }
    made = reply.done;
    applyReply(reply, last);
  }
  showWaiting();
  showBusy();
  draw();
  trigger('settled');
}

// The same edits are asked for until the server answers; it makes none of them twice.
async function requestEdits() {
  for (let wait = 500; ; wait = Math.min(2 * wait, 8000)) {
    try {
      return await server.apply_edits({
        session: sessionStorage.getItem('sam3-agent') || '', sam3: props.sam3 || '', page: PAGE, first: made, revision: state.revision || '', edits: sent,
      });
    } catch {
      note = 'The server does not answer; your clicks are kept.';
      draw();
      await new Promise((done) => setTimeout(done, wait));
    }
  }
}

function applyReply(reply, last) {
  note = reply.notes[reply.notes.length - 1] || '';
  if (reply.moved) return trigger('moved');
  const { film } = state, active = state.active;
  state = { ...state, ...reply.state, film };
  if (reply.rows) confirmed = reply.rows;
  else confirmed = patchRows(confirmed, reply);
  if (last.kind === 'point' && last.object !== object.token) state.active = active; // another mask was chosen meanwhile
  else adoptActive();
  showWaiting();
  if (document.activeElement !== threshold) threshold.value = state.threshold || 0;
  draw();
}

function patchRows(rows, { changed, gone }) {
  const known = new Map(rows.map((row) => [String(row.id), row]));
  for (const [id, fields] of Object.entries(changed)) known.set(id, { ...known.get(id), ...fields });
  for (const id of gone) known.delete(String(id));
  return [...known.values()].sort((a, b) => b.area - a.area);
}

// What is ticked is shown at once; the server confirms it.
function showWaiting() {
  const kept = [...sent, ...waiting].reverse().find((edit) => edit.kind === 'keep');
  state.masks = kept ? confirmed.map((row) => ({ ...row, selected: kept.ids.includes(row.id) })) : confirmed;
}

function showBusy() { stage.dataset.busy = state.busy || sent.length || waiting.length ? 'yes' : 'no'; }

function sendBox(from, to) {
  corner = null;
  const edges = [Math.min(from[0], to[0]), Math.min(from[1], to[1]), Math.max(from[0], to[0]) + 1, Math.max(from[1], to[1]) + 1];
  if (edges[2] - edges[0] < 3 || edges[3] - edges[1] < 3) return draw(); // a double click
  sendEdit({ kind: 'box', box: edges, frame: state.film ? moment : null });
}

function drawBand(to) {
  marks.querySelector('.band')?.remove();
  const from = corner || pressed;
  appendSvg(marks, 'rect', { class: 'band', x: Math.min(from[0], to[0]), y: Math.min(from[1], to[1]), width: Math.abs(to[0] - from[0]), height: Math.abs(to[1] - from[1]) });
}

function markBusy() { stage.dataset.busy = 'yes'; }

function sendKept(ids) {
  sendEdit({ kind: 'keep', ids });
  draw();
}

function dropActive() {
  if (state.active === null || state.busy) return;
  sendKept(state.masks.filter((mask) => mask.selected && mask.id !== state.active).map((mask) => mask.id));
}

function openFile(files) {
  const picker = document.querySelector('input[type=file]');
  if (!picker) return;
  if (!files) return picker.click();
  const carried = new DataTransfer();
  carried.items.add(files[0]);
  picker.files = carried.files;
  picker.dispatchEvent(new Event('change', { bubbles: true }));
}

const ACTS = {
  undo: () => sendEdit({ kind: 'undo' }),
  redo: () => sendEdit({ kind: 'redo' }),
  fresh: beginObject,
  extend: () => { const button = find('[data-do=extend]'); button.setAttribute('aria-pressed', button.getAttribute('aria-pressed') !== 'true'); },
  drop: dropActive,
  open: () => openFile(null),
  play: togglePlay,
  back: () => stepFrame(-1),
  ahead: () => stepFrame(1),
  compare: () => { compared = !compared; find('[data-do=compare]').setAttribute('aria-pressed', compared); draw(); },
};

element.addEventListener('click', (event) => {
  const act = event.target.closest('[data-do]'), example = event.target.closest('[data-example]');
  if (act) ACTS[act.dataset.do]();
  if (example) { markBusy(); trigger('example', { name: example.dataset.example }); }
});
frame.addEventListener('pointerdown', (event) => { if (event.button === 0 || isMinus(event)) pressed = toPixel(event); });
frame.addEventListener('contextmenu', (event) => { if (getMode() === 'add') event.preventDefault(); });
frame.addEventListener('pointerup', (event) => {
  if (!pressed) return;
  const from = pressed, to = toPixel(event);
  pressed = null;
  cross = null;
  const far = Math.hypot(to[0] - from[0], to[1] - from[1]) > 6 * getScale();
  if (getMode() === 'box' && far && !corner && !state.busy) return sendBox(from, to);
  handleClick(to, { minus: isMinus(event), extend: event.shiftKey });
});
frame.addEventListener('pointermove', (event) => {
  const at = toPixel(event);
  if (getMode() === 'box' && (corner || pressed)) drawBand(at);
  const over = findMask(findIdAt(at));
  highlight(over ? over.id : null);
  tip.textContent = over ? `${over.id} · ${over.phrase} · ${over.score.toFixed(2)}` : '';
  tip.style.left = `${at[0] / state.width * 100}%`;
  tip.style.top = `${at[1] / state.height * 100}%`;
});
frame.addEventListener('pointerleave', () => { tip.textContent = ''; highlight(null); });
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const LETTERS = { a: [-1, 0], d: [1, 0], w: [0, -1], s: [0, 1] };
function moveInTime(event) {
  const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (way) stepFrame(way * (event.shiftKey ? 10 : 1));
  else if (event.key === ' ') togglePlay();
  else return false;
  event.preventDefault();
  return true;
}
frame.addEventListener('keydown', (event) => {
  if (state.film && moveInTime(event)) return;
  const way = state.film ? LETTERS[event.key.toLowerCase()] : ARROWS[event.key];
  if (way) {
    const far = event.shiftKey ? 1 : Math.max(1, Math.round(Math.max(state.width, state.height) / 40));
    cross = cross || [state.width / 2, state.height / 2];
    cross = [Math.min(Math.max(cross[0] + way[0] * far, 0), state.width - 1), Math.min(Math.max(cross[1] + way[1] * far, 0), state.height - 1)];
    draw();
    if (corner) drawBand(cross);
    const over = findMask(findIdAt(cross));
    tip.textContent = over ? `${over.id} · ${over.phrase} · ${over.score.toFixed(2)}` : '';
    tip.style.left = `${cross[0] / state.width * 100}%`;
    tip.style.top = `${cross[1] / state.height * 100}%`;
  } else if (event.key === 'Enter' || event.key === ' ') {
    if (cross) handleClick(cross, { minus: event.altKey, extend: event.shiftKey });
  } else if (event.key === 'Delete' || event.key === 'Backspace') {
    dropActive();
  } else if (event.key === 'Escape') {
    corner = null;
    chooseMask(null);
  } else if (event.key.toLowerCase() === 'n' && getMode() === 'add') {
    beginObject();
  } else if ('1234'.includes(event.key)) {
    element.querySelectorAll('input[name=mode]')[Number(event.key) - 1].checked = true;
    corner = null;
    draw();
  } else return;
  event.preventDefault();
});
for (const radio of element.querySelectorAll('input[name=mode]')) radio.addEventListener('change', () => { corner = null; draw(); });
threshold.addEventListener('input', draw);
threshold.addEventListener('change', () => sendEdit({ kind: 'threshold', value: Number(threshold.value) }));
find('.compare input').addEventListener('input', draw);
find('.time').addEventListener('keydown', (event) => {
  if (event.key === ' ' && event.target.closest('button')) return; // that presses it
  moveInTime(event);
});
scrub.addEventListener('input', () => { film.pause(); seekFrame(Number(scrub.value)); });
find('.bars').addEventListener('click', (event) => {
  const box = find('.bars').getBoundingClientRect(), edges = state.film.edges;
  const time = (event.clientX - box.left) / box.width * edges[edges.length - 1];
  film.pause();
  seekFrame(edges.findIndex((edge) => edge > time) - 1);
  const bar = event.target.closest('.track');
  if (bar) chooseMask(Number(bar.dataset.id));
});
for (const kind of ['play', 'pause', 'ended'])
  film.addEventListener(kind, () => { find('[data-do=play]').setAttribute('aria-pressed', !film.paused); if (film.paused) seekFrame(moment); });
film.requestVideoFrameCallback?.(followFilm);

function highlight(id) {
  for (const path of masks.querySelectorAll('.mask')) path.classList.toggle('lit', Number(path.dataset.id) === id);
  window.dispatchEvent(new CustomEvent('sam3-lit', { detail: id }));
}
window.addEventListener('sam3-light', (event) => {
  for (const path of masks.querySelectorAll('.mask')) path.classList.toggle('lit', Number(path.dataset.id) === event.detail);
});
window.addEventListener('sam3-choose', (event) => chooseMask(event.detail));
window.addEventListener('sam3-keep', (event) => sendKept(event.detail));

const isEditable = (target) => target.closest('textarea, input:not([type=radio]):not([type=range]):not([type=checkbox]), [contenteditable]');
document.addEventListener('keydown', (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== 'z' || isEditable(event.target)) return;
  event.preventDefault();
  const act = find(event.shiftKey ? '[data-do=redo]' : '[data-do=undo]');
  if (!act.disabled) act.click();
});
document.addEventListener('paste', (event) => {
  const files = [...(event.clipboardData?.files || [])].filter((file) => file.type.startsWith('image/'));
  if (files.length) { event.preventDefault(); openFile(files); }
});
for (const kind of ['dragenter', 'dragover'])
  document.addEventListener(kind, (event) => { event.preventDefault(); stage.dataset.drag = 'yes'; });
document.addEventListener('dragleave', (event) => { if (!event.relatedTarget) stage.dataset.drag = 'no'; });
document.addEventListener('drop', (event) => {
  event.preventDefault();
  stage.dataset.drag = 'no';
  if (event.dataTransfer.files.length) openFile(event.dataTransfer.files);
});

// says when the server is gone; a new server does not know this page, so the page begins anew
let gone = null;
async function watchServer() {
  try {
    const { app_id } = await (await fetch('gradio_api/app_id', { cache: 'no-store' })).json();
    if (home === null) sayWhatIsLost(app_id);
    home ??= app_id;
    if (app_id !== home) return location.reload();
    gone?.remove();
    gone = null;
  } catch {
    gone ??= element.closest('.gradio-container').appendChild(document.createElement('div'));
    gone.className = 'gone';
    gone.setAttribute('role', 'alert');
    gone.textContent = 'The server does not answer: it was stopped, or the network is gone.';
  }
  setTimeout(watchServer, 3000);
}
watchServer();

// nothing is lost without a word, whoever reloads the page first: this script or gradio's
function sayWhatIsLost(server) {
  const [worked, lost] = JSON.parse(sessionStorage.getItem('sam3-work') || '[]');
  if (!worked || worked === server) return;
  sessionStorage.removeItem('sam3-work');
  const said = element.closest('.gradio-container').appendChild(document.createElement('button'));
  said.className = 'gone';
  said.type = 'button';
  said.setAttribute('role', 'alert');
  said.textContent = `The server was started anew, and it no longer has the work on ${lost}. A conversation that you have downloaded can be opened here.`;
  said.addEventListener('click', () => said.remove());
}

for (const example of props.examples || []) {
  const button = document.createElement('button');
  button.type = 'button';
  button.dataset.example = example.name;
  button.title = example.about;
  const thumbnail = document.createElement('img');
  thumbnail.src = example.url;
  thumbnail.alt = example.about;
  button.appendChild(thumbnail);
  find('.examples').appendChild(button);
}
new ResizeObserver(draw).observe(frame);
watch(['value', 'image'], update);
update();
