// Elements from plain calls. Whatever comes from elsewhere becomes text, never markup.

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {Record<string, unknown>} Props */

/**
 * An element. A property that is a function listens to the event of its name; `class` and whatever has a
 * dash or is no property of the element becomes an attribute; null and false are left out.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Props | null} [props]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) set(element, name, value);
  element.append(...children.flat().filter(isShown).map(toNode));
  return element;
}

/**
 * @param {HTMLElement} element
 * @param {string} name
 * @param {unknown} value
 */
function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (typeof value === "function") {
    element.addEventListener(name, /** @type {EventListener} */ (value));
  } else if (name !== "list" && !name.includes("-") && name in element) {
    Reflect.set(element, name, value);
  } else {
    element.setAttribute(name, value === true ? "" : String(value));
  }
}

/** @param {Child} child */
const isShown = (child) => child !== null && child !== undefined && child !== false;

/** @param {Child} child */
const toNode = (child) => (child instanceof Node ? child : String(child));

/**
 * Put these in place of what an element holds.
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter(isShown).map(toNode));
}

// Control characters, marks that change the direction or are not seen, line separators, lone surrogates.
const HIDDEN =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/gu;

/**
 * A text from a file, what is hidden in it written out: for places that take no elements.
 * @param {string} text
 */
export function plain(text) {
  return text.replace(HIDDEN, (sign) => `⟨${code(sign)}⟩`);
}

/** @param {string} sign */
const code = (sign) => `U+${(sign.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;

/**
 * A text from a file, in a direction of its own, what is hidden in it shown as such.
 * @param {string} text
 * @param {Props} [props]
 */
export function named(text, props) {
  const parts = [];
  let at = 0;
  for (const found of text.matchAll(HIDDEN)) {
    parts.push(text.slice(at, found.index), h("span", { class: "hidden-sign" }, code(found[0])));
    at = found.index + found[0].length;
  }
  return h("bdi", props ?? null, ...parts, text.slice(at));
}

/** A function that has something done once the screen shows what is in the page by then; once, however often it is called before. @param {() => void} act */
export function afterPicture(act) {
  let due = false;
  const done = () => {
    due = false;
    act();
  };
  return () => {
    // One frame is made of what is there now; the next one begins when that is drawn.
    if (!due) requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)));
    due = true;
  };
}

/** Whether a key press belongs to a field that is typed into. @param {Event} event */
export function isTyping(event) {
  const target = event.composedPath()[0];
  return (
    target instanceof HTMLElement &&
    target.matches("input:not([type=checkbox],[type=radio],[type=range]), textarea, select")
  );
}
