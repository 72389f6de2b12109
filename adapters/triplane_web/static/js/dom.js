// Making elements. No markup is ever made from text, so nothing that a client named can become part of the page.

/**
 * @param {string} tag
 * @param {Record<string, any>|null} [props] `class`, `text`, `on` (events), `data`, anything else is an attribute or a property
 * @param {...(Node|string|number|null|undefined|false|Array<any>)} children
 * @returns {any}
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") element.className = value;
    else if (key === "text") element.textContent = value;
    else if (key === "on") for (const [event, handler] of Object.entries(value)) element.addEventListener(event, handler);
    else if (key === "data") Object.assign(element.dataset, value);
    else if (key in element && typeof value !== "string") element[key] = value;
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  add(element, children);
  return element;
}

function add(parent, children) {
  for (const child of children) {
    if (Array.isArray(child)) add(parent, child);
    else if (child !== null && child !== undefined && child !== false) parent.append(child instanceof Node ? child : String(child));
  }
}

const SVG = "http://www.w3.org/2000/svg";

/** @returns {any} an SVG element */
export function s(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes ?? {})) if (value !== undefined && value !== null) element.setAttribute(key, String(value));
  add(element, children);
  return element;
}

/** Put these children in the place of all that an element has. */
export function fill(element, ...children) {
  element.replaceChildren();
  add(element, children);
  return element;
}

/** Call `work` once in the next frame, however often it is asked for. In a hidden page soon after, for frames do not come there. */
export function eachFrame(work) {
  let due = false;
  return () => {
    if (due) return;
    due = true;
    const go = () => { due = false; work(); };
    if (document.hidden) setTimeout(go, 200); else requestAnimationFrame(go);
  };
}

/** Call `work` when nothing has asked for it during `ms`, at the latest after ten times that. */
export function settled(work, ms) {
  let timer = 0, since = 0;
  return (...given) => {
    const now = performance.now();
    if (!timer) since = now;
    clearTimeout(timer);
    timer = setTimeout(() => { timer = 0; work(...given); }, now - since > ms * 10 ? 0 : ms);
  };
}
